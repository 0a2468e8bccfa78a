//! Whole objects: put, get, head, delete.

use super::{Request, checks};
use crate::support::fault::error::S3Error;
use crate::support::fault::http::Answer;
use crate::support::fault::personality::Checksums;
use crate::support::fault::state::{Checksum, ChecksumType, Object, State};
use crate::support::fault::sums::Algorithm;

/// Headers of a write that a read repeats, beside `x-amz-meta-*`.
const KEPT: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-storage-class",
];

pub fn put(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    checks::trailers(request)?;
    checks::announced_length(request)?;
    checks::content_md5(request)?;
    let sent = checks::body_checksum(request)?;
    checks::customer_key(request, None)?;
    checks::conditions(request, state)?;
    let headers = unframed(&request.head.headers);
    let sums = &request.body.sums;
    let etag = request.etag(sums, checks::is_opaque(&headers), state.next());
    let (algorithm, value) = sent.unwrap_or((Algorithm::Crc64Nvme, sums.base64(Algorithm::Crc64Nvme)));
    let mut answer = Answer::new(200);
    answer.set("ETag", &etag);
    checks::echo_encryption(&mut answer, &headers);
    checks::echo_checksum(request, &mut answer, Some((algorithm, &value)));
    if request.personality.checksums == Checksums::Known {
        answer.set("x-amz-checksum-type", ChecksumType::FullObject.name());
    }
    let object = Object {
        key: request.key().to_owned(),
        len: sums.len,
        bytes: request.body.bytes.clone(),
        sha256: Some(sums.sha256),
        etag,
        checksum: Some(Checksum { algorithm, kind: ChecksumType::FullObject, value }),
        headers,
        parts: Vec::new(),
        modified: request.now,
    };
    store(request, state, object);
    Ok(answer)
}

/// The headers without the encoding that was taken off with the frames.
fn unframed(headers: &[(String, String)]) -> Vec<(String, String)> {
    let unframe = |(name, value): &(String, String)| {
        if !name.eq_ignore_ascii_case("content-encoding") {
            return Some((name.clone(), value.clone()));
        }
        let own = value.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked");
        let own = own.collect::<Vec<_>>().join(",");
        (!own.is_empty()).then(|| (name.clone(), own))
    };
    headers.iter().filter_map(unframe).collect()
}

/// Stores an object under the request's key.
pub fn store(request: &Request<'_>, state: &mut State, object: Object) {
    if let Some(objects) = state.buckets.get_mut(request.bucket()) {
        objects.insert(request.key().to_owned(), object);
    }
}

pub fn head(request: &Request<'_>, state: &State) -> Result<Answer, S3Error> {
    let object = find(request, state)?;
    let mut answer = Answer::new(200);
    answer.set("Content-Length", object.len);
    describe(request, object, &mut answer);
    Ok(answer)
}

pub fn get(request: &Request<'_>, state: &State) -> Result<Answer, S3Error> {
    let object = find(request, state)?;
    let mut answer = Answer::new(200);
    answer.body = object
        .bytes
        .clone()
        .ok_or_else(|| S3Error::new(500, "InternalError", "This server keeps no bytes."))?;
    describe(request, object, &mut answer);
    Ok(answer)
}

fn find<'a>(request: &Request<'_>, state: &'a State) -> Result<&'a Object, S3Error> {
    let object = state.buckets[request.bucket()].get(request.key());
    let object = object.ok_or_else(|| checks::no_such_key(request.key()))?;
    checks::customer_key(request, Some(&object.headers))?;
    if let Some(etag) = request.head.header("if-match")
        && etag.trim_matches('"') != object.etag.trim_matches('"')
    {
        let message = "At least one of the pre-conditions you specified did not hold";
        return Err(S3Error::new(412, "PreconditionFailed", message));
    }
    Ok(object)
}

fn describe(request: &Request<'_>, object: &Object, answer: &mut Answer) {
    answer.set("ETag", &object.etag);
    answer.set("Last-Modified", httpdate::fmt_http_date(object.modified));
    answer.set("Accept-Ranges", "bytes");
    answer.set("Content-Type", "binary/octet-stream");
    for (name, value) in &object.headers {
        let name = name.to_lowercase();
        if KEPT.contains(&name.as_str()) || name.starts_with("x-amz-meta-") {
            answer.set(&name, value);
        }
    }
    checks::echo_encryption(answer, &object.headers);
    let mode = request.head.header("x-amz-checksum-mode");
    if mode.is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
        && request.personality.checksums == Checksums::Known
        && let Some(checksum) = &object.checksum
    {
        answer.set(&checksum.algorithm.header(), &checksum.value);
        answer.set("x-amz-checksum-type", checksum.kind.name());
    }
}

pub fn delete(request: &Request<'_>, state: &mut State) -> Answer {
    if let Some(objects) = state.buckets.get_mut(request.bucket()) {
        objects.remove(request.key());
    }
    Answer::new(204)
}
