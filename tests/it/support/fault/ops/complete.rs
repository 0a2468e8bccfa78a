//! CompleteMultipartUpload: every part named is checked before the object is made.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Request, checks, multipart, objects};
use crate::support::fault::error::S3Error;
use crate::support::fault::http::Answer;
use crate::support::fault::personality::{Checksums, CompleteAgain, EtagKind, ObjectSize};
use crate::support::fault::state::{Checksum, ChecksumType, Object, Part, State, Upload};
use crate::support::fault::sums::{Algorithm, Sums, composite, full_object, multipart_etag};
use crate::support::fault::xml::{Element, document, element, parse};

/// A part as the request names it.
struct Named {
    number: u32,
    etag: String,
    checksum: Option<(Algorithm, String)>,
}

pub fn complete(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    let id = (request.bucket().into(), request.key().into(), request.upload_id().into());
    if request.personality.complete_again == CompleteAgain::Idempotent
        && let Some(xml) = state.completed.get(&id)
    {
        return Ok(Answer::xml(200, xml.clone()));
    }
    let named = parse(&request.body.text()).as_ref().and_then(named_parts);
    let named = named.ok_or_else(|| {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        S3Error::new(400, "MalformedXML", message)
    })?;
    let upload = multipart::living(request, state)?.clone();
    let parts = check_parts(request, &upload, &named)?;
    check_size(request, &parts)?;
    let checksum = check_checksum(request, &upload, &parts)?;
    checks::conditions(request, state)?;
    let object = assemble(request, &upload, parts, checksum, state.next());
    let answer = answer(request, &object);
    state.forget(&upload.id);
    state.completed.insert(id, String::from_utf8_lossy(&answer.body).into_owned());
    objects::store(request, state, object);
    Ok(answer)
}

fn named_parts(root: &Element) -> Option<Vec<Named>> {
    let valid = root.name == "CompleteMultipartUpload"
        && !root.children.is_empty()
        && root.children.len() <= 10_000
        && root.children.iter().all(|child| child.name == "Part");
    let named = |part: &Element| {
        Some(Named {
            number: part.child("PartNumber")?.trim().parse().ok()?,
            etag: part.child("ETag")?.trim().trim_matches('"').to_owned(),
            checksum: Algorithm::ALL
                .into_iter()
                .find_map(|a| Some((a, part.child(&a.element())?.to_owned()))),
        })
    };
    valid.then(|| root.children.iter().map(named).collect())?
}

fn check_parts(request: &Request<'_>, upload: &Upload, named: &[Named]) -> Result<Vec<Part>, S3Error> {
    if !named.is_sorted_by(|a, b| a.number < b.number) {
        let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
        return Err(S3Error::new(400, "InvalidPartOrder", message).with("UploadId", &upload.id));
    }
    let mut parts = Vec::new();
    for named in named {
        let part = upload.parts.get(&named.number);
        let part = part.filter(|part| part.etag.trim_matches('"') == named.etag);
        let part = part.ok_or_else(|| invalid_part(upload, named))?;
        check_named_checksum(request, upload, named, part)?;
        parts.push(part.clone());
    }
    let small =
        parts[..parts.len() - 1].iter().find(|part| part.sums.len < request.personality.min_part_size);
    if let Some(part) = small {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(S3Error::new(400, "EntityTooSmall", message)
            .with("ProposedSize", part.sums.len)
            .with("MinSizeAllowed", request.personality.min_part_size)
            .with("PartNumber", part.number)
            .with("ETag", part.etag.trim_matches('"')));
    }
    Ok(parts)
}

fn invalid_part(upload: &Upload, named: &Named) -> S3Error {
    let message = "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    S3Error::new(400, "InvalidPart", message)
        .with("UploadId", &upload.id)
        .with("PartNumber", named.number)
        .with("ETag", &named.etag)
}

fn check_named_checksum(
    request: &Request<'_>,
    upload: &Upload,
    named: &Named,
    part: &Part,
) -> Result<(), S3Error> {
    if request.personality.checksums == Checksums::Ignored {
        return Ok(());
    }
    match (&named.checksum, upload.checksum) {
        (Some((algorithm, value)), _) => {
            if part.checksum.as_ref() != Some(&(*algorithm, value.clone())) {
                return Err(invalid_part(upload, named));
            }
        }
        (None, Some((algorithm, ChecksumType::Composite))) => {
            return Err(S3Error::invalid_request(format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {} in the request.",
                algorithm.name().to_lowercase(),
                named.number,
            )));
        }
        (None, _) => {}
    }
    Ok(())
}

fn check_size(request: &Request<'_>, parts: &[Part]) -> Result<(), S3Error> {
    let Some(claimed) = request.head.header("x-amz-mp-object-size") else {
        return Ok(());
    };
    let size: u64 = parts.iter().map(|part| part.sums.len).sum();
    if request.personality.mp_object_size == ObjectSize::Ignored || claimed == size.to_string() {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "The provided 'x-amz-mp-object-size' header value {claimed} does not match what was computed: {size}"
    )))
}

/// Returns the object's checksum, once it is what the request says, if it says anything.
fn check_checksum(request: &Request<'_>, upload: &Upload, parts: &[Part]) -> Result<Checksum, S3Error> {
    // An upload that chose nothing gets S3's own choice.
    let default = (Algorithm::Crc64Nvme, ChecksumType::FullObject);
    let (algorithm, kind) = upload.checksum.unwrap_or(default);
    let sums: Vec<&Sums> = parts.iter().map(|part| &part.sums).collect();
    let value = match kind {
        ChecksumType::FullObject => full_object(algorithm, sums).unwrap_or_default(),
        ChecksumType::Composite => composite(algorithm, sums),
    };
    let checksum = Checksum { algorithm, kind, value };
    let sent = checks::sent_checksum(request)?;
    let sent_kind = request.head.header("x-amz-checksum-type");
    if request.personality.checksums == Checksums::Ignored {
        return Ok(checksum);
    }
    if sent_kind.is_some_and(|sent| sent != kind.name()) {
        return Err(S3Error::invalid_request(
            "The checksum type of the completion is not that of the upload.",
        ));
    }
    match sent {
        None => Ok(checksum),
        Some((sent, _)) if sent != algorithm => Err(S3Error::invalid_request(
            "The checksum algorithm of the completion is not that of the upload.",
        )),
        Some((_, value)) if value != checksum.value => Err(checks::bad_checksum(algorithm)),
        Some(_) => Ok(checksum),
    }
}

fn assemble(
    request: &Request<'_>,
    upload: &Upload,
    parts: Vec<Part>,
    checksum: Checksum,
    serial: u64,
) -> Object {
    let pieces: Option<Vec<&[u8]>> = parts.iter().map(|part| part.bytes.as_deref()).collect();
    let bytes = pieces.map(|pieces| Bytes::from(pieces.concat()));
    let opaque = checks::is_opaque(&upload.headers);
    let etag = match request.personality.etag {
        EtagKind::Md5 if !opaque => {
            format!("\"{}\"", multipart_etag(parts.iter().map(|part| &part.sums)))
        }
        _ => format!("\"opaque.{serial}-{}\"", parts.len()),
    };
    Object {
        key: upload.key.clone(),
        len: parts.iter().map(|part| part.sums.len).sum(),
        sha256: bytes.as_deref().map(|bytes| Sha256::digest(bytes).into()),
        bytes,
        etag,
        checksum: Some(checksum),
        headers: upload.headers.clone(),
        parts,
        modified: request.now,
    }
}

fn answer(request: &Request<'_>, object: &Object) -> Answer {
    let (bucket, key) = (request.bucket(), request.key());
    let host = request.head.header("host").unwrap_or_default();
    let mut inner = element("Location", format!("http://{host}{}", request.head.path()));
    inner += &element("Bucket", bucket);
    inner += &element("Key", key);
    if request.personality.complete_names_etag {
        inner += &element("ETag", &object.etag);
    }
    if request.personality.checksums == Checksums::Known
        && let Some(checksum) = &object.checksum
    {
        inner += &element(&checksum.algorithm.element(), &checksum.value);
        inner += &element("ChecksumType", checksum.kind.name());
    }
    let mut answer = Answer::xml(200, document("CompleteMultipartUploadResult", &inner));
    checks::echo_encryption(&mut answer, &object.headers);
    answer
}
