//! What a write must satisfy before it is done: digests, checksums, conditions, customer keys.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use md5::{Digest as _, Md5};

use super::Request;
use crate::support::fault::error::S3Error;
use crate::support::fault::http::{Answer, header};
use crate::support::fault::personality::{Checksums, ConditionalWrites, Trailers};
use crate::support::fault::sigv4::STREAMING_UNSIGNED;
use crate::support::fault::state::State;
use crate::support::fault::sums::Algorithm;

const CUSTOMER: &str = "x-amz-server-side-encryption-customer-";
/// What of a write's headers its answer repeats.
const ECHOED: [&str; 4] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key-md5",
];

/// Compares `Content-MD5` with the body.
pub fn content_md5(request: &Request<'_>) -> Result<(), S3Error> {
    let Some(sent) = request.head.header("content-md5") else {
        return Ok(());
    };
    let Some(sent) = BASE64.decode(sent).ok().filter(|md5| md5.len() == 16) else {
        let message = "The Content-MD5 you specified was invalid.";
        return Err(S3Error::new(400, "InvalidDigest", message));
    };
    if sent == request.body.sums.md5 {
        return Ok(());
    }
    let message = "The Content-MD5 you specified did not match what we received.";
    Err(S3Error::new(400, "BadDigest", message)
        .with("ExpectedDigest", BASE64.encode(sent))
        .with("CalculatedDigest", BASE64.encode(request.body.sums.md5)))
}

/// Returns the one `x-amz-checksum-*` value that was sent, unless such are ignored; refuses several, and any if the server
/// refuses them.
pub fn sent_checksum(request: &Request<'_>) -> Result<Option<(Algorithm, String)>, S3Error> {
    if request.personality.checksums == Checksums::Ignored {
        return Ok(None);
    }
    let declared = declared_algorithm(request)?;
    let sent: Vec<(Algorithm, String)> = Algorithm::ALL
        .into_iter()
        .filter_map(|a| Some((a, request.header(&a.header())?.to_owned())))
        .collect();
    if let Checksums::Refused(status, code) = &request.personality.checksums
        && (!sent.is_empty() || declared.is_some())
    {
        let message = "This server knows no x-amz-checksum headers.";
        return Err(S3Error::new(*status, code, message));
    }
    if sent.len() > 1 {
        let message = "Expecting a single x-amz-checksum- header";
        return Err(S3Error::invalid_request(message));
    }
    Ok(sent.into_iter().next())
}

/// Returns the algorithm that `x-amz-checksum-algorithm` names; refuses an unknown one.
pub fn declared_algorithm(request: &Request<'_>) -> Result<Option<Algorithm>, S3Error> {
    let name = request.head.header("x-amz-checksum-algorithm");
    let known = |name| {
        let message = "Checksum algorithm provided is unsupported.";
        Algorithm::named(name).ok_or_else(|| S3Error::invalid_request(message))
    };
    name.map(known).transpose()
}

/// Compares the checksum that was sent, if one was, with the body; returns it.
pub fn body_checksum(request: &Request<'_>) -> Result<Option<(Algorithm, String)>, S3Error> {
    let sent = sent_checksum(request)?;
    let sdk = request.head.header("x-amz-sdk-checksum-algorithm").and_then(Algorithm::named);
    let ignored = request.personality.checksums == Checksums::Ignored;
    if let Some(algorithm) = sdk
        && !ignored
        && sent.as_ref().map(|(sent, _)| *sent) != Some(algorithm)
    {
        let message = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.";
        return Err(S3Error::invalid_request(message));
    }
    if let Some((algorithm, value)) = &sent {
        let width = BASE64.decode(value).map(|raw| raw.len());
        if width != Ok(algorithm.width()) {
            let message = format!("Value for {} header is invalid.", algorithm.header());
            return Err(S3Error::invalid_request(message));
        }
        if *value != request.body.sums.base64(*algorithm) {
            return Err(bad_checksum(*algorithm));
        }
    }
    Ok(sent)
}

/// Returns the refusal of a checksum that is not that of the bytes.
pub fn bad_checksum(algorithm: Algorithm) -> S3Error {
    let name = algorithm.name();
    let message = format!("The {name} you specified did not match the calculated checksum.");
    S3Error::new(400, "BadDigest", message)
}

/// Refuses an aws-chunked body that is not framed as it says, and one whose trailer is not the one announced.
pub fn trailers(request: &Request<'_>) -> Result<(), S3Error> {
    let (head, body) = (request.head, &request.body);
    if head.header("x-amz-content-sha256") != Some(STREAMING_UNSIGNED) {
        return Ok(());
    }
    match &request.personality.trailers {
        Trailers::Known => {}
        Trailers::KeptAsBytes => return Ok(()),
        Trailers::Refused(status, code) => {
            return Err(S3Error::new(*status, code, "This server knows no aws-chunked bodies."));
        }
    }
    let encoding = head.header("content-encoding").unwrap_or_default();
    if encoding.rsplit(',').next().map(str::trim) != Some("aws-chunked") {
        return Err(S3Error::invalid_request("The body is not said to be aws-chunked."));
    }
    if head.header("x-amz-decoded-content-length").is_none() {
        let message = "You must provide the x-amz-decoded-content-length HTTP header.";
        return Err(S3Error::new(411, "MissingContentLength", message));
    }
    if body.short_chunk {
        let message = "Only the last chunk is allowed to have a size less than 8192 bytes";
        return Err(S3Error::new(403, "InvalidChunkSizeError", message));
    }
    let announced = head.header("x-amz-trailer").into_iter().flat_map(|names| names.split(','));
    let came = body.trailers.iter().map(|(name, _)| name.as_str());
    if !announced.map(str::trim).eq(came) {
        let message = "The request contained trailing data that was not well-formed or did not conform to our published schema.";
        return Err(S3Error::new(400, "MalformedTrailerError", message));
    }
    Ok(())
}

/// Refuses a body whose length was not announced.
pub fn announced_length(request: &Request<'_>) -> Result<(), S3Error> {
    let head = request.head;
    let decoded = head.header("x-amz-decoded-content-length");
    if head.header("content-length").or(decoded).is_none() {
        let message = "You must provide the Content-Length HTTP header.";
        return Err(S3Error::new(411, "MissingContentLength", message));
    }
    let framed = request.personality.trailers != Trailers::KeptAsBytes;
    if framed && decoded.is_some_and(|decoded| decoded != request.body.sums.len.to_string()) {
        let message =
            "You did not provide the number of bytes specified by the x-amz-decoded-content-length header";
        return Err(S3Error::new(400, "IncompleteBody", message));
    }
    Ok(())
}

/// Honours, ignores or refuses `If-None-Match` and `If-Match` on a write of the request's key.
pub fn conditions(request: &Request<'_>, state: &State) -> Result<(), S3Error> {
    let none_match = request.head.header("if-none-match");
    let matches = request.head.header("if-match");
    let asked = none_match.map(|_| "If-None-Match").or(matches.map(|_| "If-Match"));
    let Some(name) = asked else {
        return Ok(());
    };
    match request.personality.conditional_writes {
        ConditionalWrites::Ignored => return Ok(()),
        ConditionalWrites::Refused => return Err(S3Error::not_implemented(name)),
        ConditionalWrites::Honoured => {}
    }
    let failed = || {
        let message = "At least one of the pre-conditions you specified did not hold";
        S3Error::new(412, "PreconditionFailed", message).with("Condition", name)
    };
    let object = state.buckets[request.bucket()].get(request.key());
    match none_match {
        Some("*") if object.is_some() => return Err(failed()),
        Some("*") | None => {}
        Some(_) => return Err(S3Error::not_implemented("If-None-Match")),
    }
    match (matches, object) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(no_such_key(request.key())),
        (Some(etag), Some(object)) if etag.trim_matches('"') == object.etag.trim_matches('"') => Ok(()),
        _ => Err(failed()),
    }
}

pub fn no_such_key(key: &str) -> S3Error {
    let message = "The specified key does not exist.";
    S3Error::new(404, "NoSuchKey", message).with("Key", key)
}

/// Refuses a customer key that is not whole, and one other than `creation` (the headers of the upload) had.
pub fn customer_key(request: &Request<'_>, creation: Option<&[(String, String)]>) -> Result<(), S3Error> {
    let field = |name: &str| request.head.header(&format!("{CUSTOMER}{name}"));
    let fields = [field("algorithm"), field("key"), field("key-md5")];
    if let Some(creation) = creation {
        let first = header(creation, &format!("{CUSTOMER}key-md5"));
        if first != field("key-md5") {
            let message = "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.";
            return Err(S3Error::invalid_request(message));
        }
    }
    let [Some(algorithm), Some(key), Some(sum)] = fields else {
        if fields.iter().all(Option::is_none) {
            return Ok(());
        }
        let message = "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.";
        return Err(S3Error::invalid_argument(message));
    };
    let key = BASE64.decode(key).unwrap_or_default();
    if algorithm != "AES256" || key.len() != 32 || BASE64.encode(Md5::digest(&key)) != sum {
        let message = "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(S3Error::invalid_argument(message));
    }
    Ok(())
}

/// Returns whether such an object's ETag is no MD5: encrypted by a key of the customer's or of KMS.
pub fn is_opaque(headers: &[(String, String)]) -> bool {
    let kms = header(headers, "x-amz-server-side-encryption");
    kms.is_some_and(|kms| kms.starts_with("aws:kms"))
        || header(headers, &format!("{CUSTOMER}algorithm")).is_some()
}

/// Repeats in `answer` what a write's headers said about encryption.
pub fn echo_encryption(answer: &mut Answer, headers: &[(String, String)]) {
    for name in ECHOED {
        if let Some(value) = header(headers, name) {
            answer.set(name, value);
        }
    }
}

/// Adds a checksum to the answer's headers, if this server mentions them.
pub fn echo_checksum(request: &Request<'_>, answer: &mut Answer, checksum: Option<(Algorithm, &str)>) {
    if request.personality.checksums == Checksums::Known
        && let Some((algorithm, value)) = checksum
    {
        answer.set(&algorithm.header(), value);
    }
}
