//! The operations of S3, with its strictness: what is asked is verified first and done only then.

mod checks;
mod complete;
mod listing;
mod multipart;
mod objects;

use std::time::SystemTime;

use bytes::Bytes;

use super::body::{Body, Sink};
use super::error::S3Error;
use super::http::{Answer, Head, header};
use super::personality::{EtagKind, Personality};
use super::route::{Op, Route};
use super::state::{Object, Part, State};
use super::sums::{Sums, hex};
use super::xml::document;

const MAX_KEY_BYTES: usize = 1024;

/// A request whose body is read and whose sender is known.
pub struct Request<'a> {
    pub personality: &'a Personality,
    pub head: &'a Head,
    pub route: Route,
    pub body: Body,
    pub now: SystemTime,
}

impl Request<'_> {
    fn bucket(&self) -> &str {
        self.route.bucket.as_deref().unwrap_or_default()
    }

    fn key(&self) -> &str {
        self.route.key.as_deref().unwrap_or_default()
    }

    fn upload_id(&self) -> &str {
        self.route.upload_id.as_deref().unwrap_or_default()
    }

    /// Returns a header, or a trailer of that name.
    fn header(&self, name: &str) -> Option<&str> {
        let sent = self.head.header(name);
        sent.or_else(|| header(&self.body.trailers, name))
    }

    /// Returns the ETag of what the body is, with its quotes; `serial` makes an opaque one unique.
    fn etag(&self, sums: &Sums, opaque: bool, serial: u64) -> String {
        if opaque || self.personality.etag == EtagKind::Opaque {
            return format!("\"opaque.{serial}_{:04x}\"", serial.wrapping_mul(40_503) & 0xffff);
        }
        format!("\"{}\"", hex(&sums.md5))
    }
}

/// Does what was asked.
pub fn perform(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    let route = &request.route;
    if route.op == Op::Other {
        return Err(S3Error::not_implemented(&request.head.target));
    }
    if !state.buckets.contains_key(request.bucket()) {
        let message = "The specified bucket does not exist";
        let error = S3Error::new(404, "NoSuchBucket", message);
        return Err(error.with("BucketName", request.bucket()));
    }
    if request.key().len() > MAX_KEY_BYTES {
        return Err(S3Error::new(400, "KeyTooLongError", "Your key is too long"));
    }
    if request.head.header("x-amz-copy-source").is_some() {
        return Err(S3Error::not_implemented("x-amz-copy-source"));
    }
    match route.op {
        Op::HeadBucket => Ok(head_bucket(request)),
        Op::GetBucketLocation => Ok(location(request)),
        Op::ListObjects => listing::objects(request, state),
        Op::ListUploads => listing::uploads(request, state),
        Op::ListParts => listing::parts(request, state),
        Op::PutObject => objects::put(request, state),
        Op::GetObject => objects::get(request, state),
        Op::HeadObject => objects::head(request, state),
        Op::DeleteObject => Ok(objects::delete(request, state)),
        Op::Create => multipart::create(request, state),
        Op::UploadPart => multipart::upload_part(request, state),
        Op::Complete => complete::complete(request, state),
        Op::Abort => multipart::abort(request, state),
        Op::Other => unreachable!("refused above"),
    }
}

fn head_bucket(request: &Request<'_>) -> Answer {
    let mut answer = Answer::new(200);
    answer.set("x-amz-bucket-region", &request.personality.region);
    answer
}

fn location(request: &Request<'_>) -> Answer {
    // us-east-1 is the one that has no name here.
    let region = match request.personality.region.as_str() {
        "us-east-1" => "",
        region => region,
    };
    Answer::xml(200, document("LocationConstraint", region))
}

/// Stores an object as if it had been put.
pub fn seed_object(state: &mut State, bucket: &str, key: &str, bytes: Bytes, now: SystemTime) {
    let sums = Sums::of(&bytes);
    let object = Object {
        key: key.to_owned(),
        len: sums.len,
        sha256: Some(sums.sha256),
        etag: format!("\"{}\"", hex(&sums.md5)),
        bytes: Some(bytes),
        checksum: None,
        headers: Vec::new(),
        parts: Vec::new(),
        modified: now,
    };
    let objects = state.buckets.get_mut(bucket).expect("a bucket of the server's");
    objects.insert(key.to_owned(), object);
}

/// Stores a part as if it had been uploaded; returns its ETag.
pub fn seed_part(state: &mut State, upload_id: &str, number: u32, bytes: Bytes, now: SystemTime) -> String {
    let mut sink = Sink::new(true, false, false);
    sink.take(&bytes);
    let body = sink.finish();
    let etag = format!("\"{}\"", hex(&body.sums.md5));
    let mut uploads = state.uploads.iter_mut();
    let upload = uploads.find(|upload| upload.id == upload_id).expect("an upload of the server's");
    upload.parts.insert(number, Part::new(number, etag.clone(), &body, now));
    etag
}
