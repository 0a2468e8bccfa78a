//! The steps of a multipart upload but its completion: create, upload a part, abort.

use super::{Request, checks};
use crate::support::fault::error::S3Error;
use crate::support::fault::http::Answer;
use crate::support::fault::personality::Checksums;
use crate::support::fault::state::{ChecksumType, Part, State, Upload};
use crate::support::fault::sums::Algorithm;
use crate::support::fault::xml::{document, element};

const MAX_PART_NUMBER: u32 = 10_000;

pub fn create(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    checks::customer_key(request, None)?;
    checks::sent_checksum(request)?;
    let checksum = match request.personality.checksums {
        Checksums::Ignored => None,
        _ => checksum_of_upload(request)?,
    };
    let headers = request.head.headers.clone();
    let (bucket, key) = (request.bucket(), request.key());
    let id = state.begin(bucket, key, headers.clone(), checksum, request.now);
    let inner = [element("Bucket", bucket), element("Key", key), element("UploadId", &id)];
    let xml = document("InitiateMultipartUploadResult", &inner.concat());
    let mut answer = Answer::xml(200, xml);
    checks::echo_encryption(&mut answer, &headers);
    if request.personality.checksums == Checksums::Known
        && let Some((algorithm, kind)) = checksum
    {
        answer.set("x-amz-checksum-algorithm", algorithm.name());
        answer.set("x-amz-checksum-type", kind.name());
    }
    Ok(answer)
}

fn checksum_of_upload(request: &Request<'_>) -> Result<Option<(Algorithm, ChecksumType)>, S3Error> {
    let kind = match request.head.header("x-amz-checksum-type") {
        None => None,
        Some("FULL_OBJECT") => Some(ChecksumType::FullObject),
        Some("COMPOSITE") => Some(ChecksumType::Composite),
        Some(_) => {
            return Err(S3Error::invalid_request("Value for x-amz-checksum-type header is invalid."));
        }
    };
    let Some(algorithm) = checks::declared_algorithm(request)? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(S3Error::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let usual = match algorithm {
        Algorithm::Crc64Nvme => ChecksumType::FullObject,
        _ => ChecksumType::Composite,
    };
    let kind = kind.unwrap_or(usual);
    let possible = match kind {
        ChecksumType::FullObject => algorithm.is_crc(),
        ChecksumType::Composite => algorithm != Algorithm::Crc64Nvme,
    };
    if !possible {
        return Err(S3Error::invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            algorithm.name().to_lowercase(),
        )));
    }
    Ok(Some((algorithm, kind)))
}

pub fn upload_part(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    let number = part_number(request)?;
    checks::trailers(request)?;
    checks::announced_length(request)?;
    let upload = living(request, state)?;
    checks::customer_key(request, Some(&upload.headers))?;
    checks::content_md5(request)?;
    let sent = checks::body_checksum(request)?;
    let declared = upload.checksum.map(|(algorithm, _)| algorithm);
    if let Some((algorithm, _)) = sent
        && declared != Some(algorithm)
    {
        let name = |a: Option<Algorithm>| a.map_or("null".to_owned(), |a| a.name().to_lowercase());
        return Err(S3Error::invalid_request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            name(declared),
            name(Some(algorithm)),
        )));
    }
    let sums = &request.body.sums;
    let checksum = sent.or_else(|| declared.map(|a| (a, sums.base64(a))));
    let headers = upload.headers.clone();
    let serial = state.next();
    let etag = request.etag(sums, checks::is_opaque(&headers), serial);
    let mut answer = Answer::new(200);
    answer.set("ETag", &etag);
    checks::echo_encryption(&mut answer, &headers);
    let echoed = checksum.as_ref().map(|(a, value)| (*a, value.as_str()));
    checks::echo_checksum(request, &mut answer, echoed);
    let mut part = Part::new(number, etag, &request.body, request.now);
    part.checksum = checksum;
    living(request, state)?.parts.insert(number, part);
    Ok(answer)
}

fn part_number(request: &Request<'_>) -> Result<u32, S3Error> {
    let number = request.route.part.filter(|n| (1..=MAX_PART_NUMBER).contains(n));
    number.ok_or_else(|| {
        let sent = request.route.parameter("partNumber").unwrap_or_default();
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        S3Error::invalid_argument(message).with("ArgumentName", "partNumber").with("ArgumentValue", sent)
    })
}

pub fn abort(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    let upload = find(request, state)?;
    match request.personality.abort_after_list_parts {
        0 => state.forget(request.upload_id()),
        listings => upload.fading = Some(upload.fading.unwrap_or(listings)),
    }
    Ok(Answer::new(204))
}

/// Returns the request's upload, aborted but still listed or not.
pub fn find<'a>(request: &Request<'_>, state: &'a mut State) -> Result<&'a mut Upload, S3Error> {
    let upload = state.upload(request.bucket(), request.key(), request.upload_id());
    upload.ok_or_else(|| no_such_upload(request))
}

/// Returns the request's upload if it is not aborted.
pub fn living<'a>(request: &Request<'_>, state: &'a mut State) -> Result<&'a mut Upload, S3Error> {
    let upload = find(request, state)?;
    match upload.fading {
        None => Ok(upload),
        Some(_) => Err(no_such_upload(request)),
    }
}

fn no_such_upload(request: &Request<'_>) -> S3Error {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    S3Error::new(404, "NoSuchUpload", message).with("UploadId", request.upload_id())
}
