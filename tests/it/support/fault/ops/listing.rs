//! The listings, a page at a time: parts, uploads, objects.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Request, multipart};
use crate::support::fault::clock::iso8601;
use crate::support::fault::error::S3Error;
use crate::support::fault::http::Answer;
use crate::support::fault::personality::{Checksums, Listing, PartOrder};
use crate::support::fault::state::{Part, State, Upload};
use crate::support::fault::xml::{document, element};

const IN_LISTING: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

impl Request<'_> {
    fn parameter(&self, name: &str) -> &str {
        self.route.parameter(name).unwrap_or_default()
    }

    /// Returns how many entries a page has.
    fn page(&self, parameter: &str) -> Result<usize, S3Error> {
        let asked = match self.route.parameter(parameter) {
            None => 1000,
            Some(asked) => asked
                .parse()
                .map_err(|_| S3Error::invalid_argument(format!("Provided {parameter} not an integer")))?,
        };
        Ok(self.personality.page_size.min(asked))
    }

    /// Returns a key as the listing writes it.
    fn listed(&self, key: &str) -> String {
        match self.parameter("encoding-type") {
            "url" => utf8_percent_encode(key, IN_LISTING).to_string(),
            _ => key.to_owned(),
        }
    }
}

pub fn parts(request: &Request<'_>, state: &mut State) -> Result<Answer, S3Error> {
    works(request.personality.list_parts, "ListParts")?;
    let upload = multipart::find(request, state)?;
    if let Some(left) = &mut upload.fading {
        if *left == 0 {
            state.forget(request.upload_id());
            multipart::find(request, state)?;
            unreachable!("forgotten just now");
        }
        *left -= 1;
    }
    let upload = multipart::find(request, state)?;
    let marker = match request.parameter("part-number-marker") {
        "" => 0,
        marker => marker
            .parse()
            .map_err(|_| S3Error::invalid_argument("Provided part-number-marker not an integer"))?,
    };
    let size = request.page("max-parts")?;
    let later: Vec<&Part> = upload.parts.range(marker + 1..).map(|(_, part)| part).collect();
    let mut page: Vec<&Part> = later.iter().take(size).copied().collect();
    let truncated = later.len() > page.len();
    let next = page.last().map_or(0, |part| part.number);
    if request.personality.part_order == PartOrder::Unordered {
        page.reverse();
    }
    let mut inner = element("Bucket", request.bucket());
    inner += &element("Key", request.key());
    inner += &element("UploadId", &upload.id);
    inner += &element("PartNumberMarker", marker);
    if request.personality.list_parts != Listing::TruncatedWithoutMarker {
        inner += &element("NextPartNumberMarker", next);
    }
    inner += &element("MaxParts", size);
    inner += &element("IsTruncated", truncated);
    inner += &owner();
    if let Some((algorithm, kind)) = upload.checksum
        && request.personality.checksums == Checksums::Known
    {
        inner += &element("ChecksumAlgorithm", algorithm.name());
        inner += &element("ChecksumType", kind.name());
    }
    for part in page {
        inner += &format!("<Part>{}</Part>", part_xml(request, part));
    }
    Ok(Answer::xml(200, document("ListPartsResult", &inner)))
}

fn part_xml(request: &Request<'_>, part: &Part) -> String {
    let mut xml = element("PartNumber", part.number);
    xml += &element("LastModified", iso8601(part.modified));
    xml += &element("ETag", &part.etag);
    xml += &element("Size", part.sums.len);
    if let Some((algorithm, value)) = &part.checksum
        && request.personality.checksums == Checksums::Known
    {
        xml += &element(&algorithm.element(), value);
    }
    xml
}

fn owner() -> String {
    let who = element("ID", "fault") + &element("DisplayName", "fault");
    format!("<Initiator>{who}</Initiator><Owner>{who}</Owner><StorageClass>STANDARD</StorageClass>")
}

fn works(listing: Listing, name: &str) -> Result<(), S3Error> {
    match listing {
        Listing::NotImplemented => Err(S3Error::not_implemented(name)),
        _ => Ok(()),
    }
}

pub fn uploads(request: &Request<'_>, state: &State) -> Result<Answer, S3Error> {
    works(request.personality.list_uploads, "ListMultipartUploads")?;
    let prefix = request.parameter("prefix");
    let (key_marker, id_marker) = (request.parameter("key-marker"), request.parameter("upload-id-marker"));
    // An id without a key is ignored; a key without an id skips every upload of that key.
    let is_later = |upload: &Upload| {
        let same_key = upload.key == key_marker && !id_marker.is_empty();
        upload.key.as_str() > key_marker || (same_key && upload.id.as_str() > id_marker)
    };
    let mut later: Vec<&Upload> = state
        .uploads
        .iter()
        .filter(|upload| upload.bucket == request.bucket() && upload.key.starts_with(prefix))
        .filter(|upload| is_later(upload))
        .collect();
    // Ids grow with time.
    later.sort_by_key(|upload| (upload.key.as_str(), upload.id.as_str()));
    let size = request.page("max-uploads")?;
    let page: Vec<&Upload> = later.iter().take(size).copied().collect();
    let truncated = later.len() > page.len();
    let mut inner = element("Bucket", request.bucket());
    inner += &element("KeyMarker", request.listed(key_marker));
    inner += &element("UploadIdMarker", id_marker);
    if truncated
        && request.personality.list_uploads == Listing::Works
        && let Some(last) = page.last()
    {
        inner += &element("NextKeyMarker", request.listed(&last.key));
        inner += &element("NextUploadIdMarker", &last.id);
    }
    inner += &encoding(request);
    inner += &element("Prefix", request.listed(prefix));
    inner += &element("MaxUploads", size);
    inner += &element("IsTruncated", truncated);
    for upload in page {
        let mut xml = element("Key", request.listed(&upload.key));
        xml += &element("UploadId", &upload.id);
        xml += &owner();
        xml += &element("Initiated", iso8601(upload.initiated));
        inner += &format!("<Upload>{xml}</Upload>");
    }
    Ok(Answer::xml(200, document("ListMultipartUploadsResult", &inner)))
}

fn encoding(request: &Request<'_>) -> String {
    match request.parameter("encoding-type") {
        "" => String::new(),
        encoding => element("EncodingType", encoding),
    }
}

pub fn objects(request: &Request<'_>, state: &State) -> Result<Answer, S3Error> {
    if request.parameter("list-type") != "2" {
        return Err(S3Error::not_implemented("ListObjects"));
    }
    let prefix = request.parameter("prefix");
    let after = match request.parameter("continuation-token") {
        "" => request.parameter("start-after"),
        token => token,
    };
    let size = request.page("max-keys")?;
    let objects = state.buckets[request.bucket()].values();
    let later: Vec<_> =
        objects.filter(|object| object.key.starts_with(prefix) && object.key.as_str() > after).collect();
    let truncated = later.len() > size;
    let mut inner = element("Name", request.bucket());
    inner += &element("Prefix", request.listed(prefix));
    inner += &encoding(request);
    inner += &element("KeyCount", later.len().min(size));
    inner += &element("MaxKeys", size);
    inner += &element("IsTruncated", truncated);
    for object in later.iter().take(size) {
        let mut xml = element("Key", request.listed(&object.key));
        xml += &element("LastModified", iso8601(object.modified));
        xml += &element("ETag", &object.etag);
        xml += &element("Size", object.len);
        xml += &element("StorageClass", "STANDARD");
        inner += &format!("<Contents>{xml}</Contents>");
    }
    if truncated && let Some(last) = later[..size].last() {
        inner += &element("NextContinuationToken", &last.key);
    }
    Ok(Answer::xml(200, document("ListBucketResult", &inner)))
}
