//! Each operation: its plain request into rusoto's, and rusoto's answer into the plain one.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use rusoto_core::ByteStream;
use rusoto_s3::{
    AbortMultipartUploadRequest, CompleteMultipartUploadRequest, CompletedMultipartUpload,
    CreateMultipartUploadRequest, HeadObjectRequest, ListMultipartUploadsRequest, ListPartsRequest,
    PutObjectRequest, S3, UploadPartRequest,
};

use super::call::{Call, Seen};
use super::encryption::encrypted;
use super::xml::Element;
use super::{RusotoStore, date, error, xml};
use crate::Target;
use crate::checksum::{Algorithm, Checksum, ChecksumType, Sums, base64};
use crate::source::Part;
use crate::store::{
    BucketHead, CompleteMultipartUpload, CompletedPart, Condition, CreateMultipartUpload, Created, Kind,
    ListedUpload, ObjectHead, Operation, PartsPage, PutObject, Store, StoreError, Upload, UploadPart,
    UploadsMarker, UploadsPage, Written,
};

impl Store for RusotoStore {
    fn signs_payload(&self) -> bool {
        self.0.signs_payload
    }

    fn takes_trailers(&self) -> bool {
        let place = self.0.place();
        !self.0.signs_payload && place.endpoint.is_tls() && (place.is_aws || place.endpoint.is_aws())
    }

    fn their_time(&self, ours: SystemTime) -> SystemTime {
        self.0.by_their_clock(ours)
    }

    async fn put_object(&self, request: &PutObject) -> Result<Written, StoreError> {
        let mut call = self.new_call(Operation::PutObject, request.target.bucket());
        call.add(request.attributes.headers())?;
        call.add_condition(request.condition.as_ref())?;
        call.add_sums(&request.sums)?;
        call.trailer = request.trailer;
        let (output, seen) = self
            .call(call, |client| async move {
                let input = PutObjectRequest {
                    bucket: request.target.bucket().to_owned(),
                    key: request.target.key().to_owned(),
                    body: Some(stream(&request.body)),
                    content_length: i64::try_from(request.body.len()).ok(),
                    content_md5: request.sums.md5.map(|md5| base64(&md5)),
                    ..PutObjectRequest::default()
                };
                client.put_object(input).await
            })
            .await?;
        let bare = self.is_bare(&request.attributes, &seen);
        Ok(Written { version_id: output.version_id, bare, ..written(output.e_tag, &seen) })
    }

    async fn create_multipart_upload(&self, request: &CreateMultipartUpload) -> Result<Created, StoreError> {
        let mut call = self.new_call(Operation::CreateMultipartUpload, request.target.bucket());
        call.root = Some(("InitiateMultipartUploadResult", Some("UploadId")));
        call.add(request.attributes.headers())?;
        if let Some(algorithm) = request.checksum {
            call.add([
                ("x-amz-checksum-algorithm", algorithm.name()),
                ("x-amz-checksum-type", algorithm.multipart_type().name()),
            ])?;
        }
        let (output, seen) = self
            .call(call, |client| async move {
                let input = CreateMultipartUploadRequest {
                    bucket: request.target.bucket().to_owned(),
                    key: request.target.key().to_owned(),
                    ..CreateMultipartUploadRequest::default()
                };
                client.create_multipart_upload(input).await
            })
            .await?;
        let confirmed = error::text(&seen.headers, "x-amz-checksum-algorithm");
        Ok(Created {
            upload_id: output.upload_id.unwrap_or_default(),
            checksum: request.checksum.filter(|algorithm| confirmed.as_deref() == Some(algorithm.name())),
            date: date(&seen.headers, "date"),
            lost_since: seen.lost_since,
            bare: self.is_bare(&request.attributes, &seen),
        })
    }

    async fn upload_part(&self, request: &UploadPart) -> Result<Written, StoreError> {
        let mut call = self.new_call(Operation::UploadPart, request.upload.target.bucket());
        call.fresh = request.fresh;
        call.add_sums(&request.sums)?;
        call.trailer = request.trailer;
        let (output, seen) = self
            .call(call, |client| async move {
                let input = UploadPartRequest {
                    bucket: request.upload.target.bucket().to_owned(),
                    key: request.upload.target.key().to_owned(),
                    upload_id: request.upload.upload_id.clone(),
                    part_number: request.number.into(),
                    body: Some(stream(&request.body)),
                    content_length: i64::try_from(request.body.len()).ok(),
                    content_md5: request.sums.md5.map(|md5| base64(&md5)),
                    ..UploadPartRequest::default()
                };
                client.upload_part(input).await
            })
            .await?;
        Ok(written(output.e_tag, &seen))
    }

    async fn complete_multipart_upload(
        &self,
        request: &CompleteMultipartUpload,
    ) -> Result<Written, StoreError> {
        let mut call = self.new_call(Operation::CompleteMultipartUpload, request.upload.target.bucket());
        call.root = Some(("CompleteMultipartUploadResult", None));
        call.add_condition(request.condition.as_ref())?;
        if let Some(checksum) = &request.checksum {
            call.add([
                ("x-amz-checksum-type", checksum.checksum_type().name()),
                ("x-amz-mp-object-size", &request.size.to_string()),
            ])?;
            match checksum.checksum_type() {
                ChecksumType::FullObject => {
                    call.add([(checksum.algorithm().header(), checksum.to_string().as_str())])?;
                }
                // rusoto writes the parts without their checksums, of which this one is made.
                ChecksumType::Composite => call.body = Some(xml::completion(&request.parts).into()),
            }
        }
        let parts = request.parts.iter().map(|part| rusoto_s3::CompletedPart {
            e_tag: Some(part.etag.clone()),
            part_number: Some(part.number.into()),
        });
        let parts = &CompletedMultipartUpload { parts: Some(parts.collect()) };
        let (output, seen) = self
            .call(call, |client| async move {
                let input = CompleteMultipartUploadRequest {
                    bucket: request.upload.target.bucket().to_owned(),
                    key: request.upload.target.key().to_owned(),
                    upload_id: request.upload.upload_id.clone(),
                    multipart_upload: Some(parts.clone()),
                    ..CompleteMultipartUploadRequest::default()
                };
                client.complete_multipart_upload(input).await
            })
            .await?;
        let checksum = seen.answer.as_ref().and_then(checksum_of);
        let written = written(output.e_tag, &seen);
        Ok(Written { version_id: output.version_id, checksum: checksum.or(written.checksum), ..written })
    }

    async fn abort_multipart_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let call = self.new_call(Operation::AbortMultipartUpload, upload.target.bucket());
        self.call(call, |client| async move {
            let input = AbortMultipartUploadRequest {
                bucket: upload.target.bucket().to_owned(),
                key: upload.target.key().to_owned(),
                upload_id: upload.upload_id.clone(),
                ..AbortMultipartUploadRequest::default()
            };
            client.abort_multipart_upload(input).await
        })
        .await
        .map(|_| ())
    }

    async fn list_parts(&self, upload: &Upload, after: Option<u32>) -> Result<PartsPage, StoreError> {
        let mut call = self.new_call(Operation::ListParts, upload.target.bucket());
        call.root = Some(("ListPartsResult", None));
        let (output, seen) = self
            .call(call, |client| async move {
                let input = ListPartsRequest {
                    bucket: upload.target.bucket().to_owned(),
                    key: upload.target.key().to_owned(),
                    upload_id: upload.upload_id.clone(),
                    part_number_marker: after.map(i64::from),
                    ..ListPartsRequest::default()
                };
                client.list_parts(input).await
            })
            .await?;
        // rusoto's parts have no checksums; the tree has them at the same places.
        let elements: Vec<_> = seen.answer.iter().flat_map(|answer| answer.children("Part")).collect();
        let parts = output.parts.unwrap_or_default().into_iter().enumerate().filter_map(|(at, part)| {
            Some(CompletedPart {
                number: u32::try_from(part.part_number?).ok()?,
                etag: part.e_tag.unwrap_or_default(),
                size: u64::try_from(part.size?).ok()?,
                checksum: elements.get(at).and_then(|element| checksum_of(element)),
            })
        });
        let next = output.next_part_number_marker.and_then(|marker| u32::try_from(marker).ok());
        let more = output.is_truncated == Some(true);
        let checksum = seen.answer.as_ref().and_then(|answer| {
            let algorithm = Algorithm::named(answer.text("ChecksumAlgorithm")?)?;
            let named = answer.text("ChecksumType").and_then(ChecksumType::named);
            Some((algorithm, named.unwrap_or(algorithm.multipart_type())))
        });
        Ok(PartsPage {
            parts: parts.collect(),
            next: next.filter(|next| more && Some(*next) > after),
            checksum,
            abort_date: date(&seen.headers, "x-amz-abort-date"),
        })
    }

    async fn list_multipart_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&UploadsMarker>,
    ) -> Result<UploadsPage, StoreError> {
        let mut call = self.new_call(Operation::ListMultipartUploads, bucket);
        call.root = Some(("ListMultipartUploadsResult", None));
        let (output, _) = self
            .call(call, |client| async move {
                let input = ListMultipartUploadsRequest {
                    bucket: bucket.to_owned(),
                    prefix: Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty()),
                    key_marker: after.and_then(|after| after.key.clone()),
                    upload_id_marker: after.and_then(|after| after.upload_id.clone()),
                    // XML cannot hold every character that a key can.
                    encoding_type: Some("url".to_owned()),
                    ..ListMultipartUploadsRequest::default()
                };
                client.list_multipart_uploads(input).await
            })
            .await?;
        // Some stores say that keys are encoded, and send them as they are.
        let mut keys = output.uploads.iter().flatten().filter_map(|upload| upload.key.as_deref());
        let encoded = output.encoding_type.as_deref() == Some("url") && keys.all(is_encoded);
        let decode = |text: String| match decoded(&text) {
            key if encoded && key.starts_with(prefix) => key,
            _ => text,
        };
        let uploads = output.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
            Some(ListedUpload {
                key: decode(upload.key?),
                upload_id: upload.upload_id?,
                initiated: upload.initiated.and_then(|at| humantime::parse_rfc3339(&at).ok()),
            })
        });
        let more = output.is_truncated == Some(true);
        // A page that says "truncated" and names no marker is the last; one marker of two will do.
        let key = output.next_key_marker.filter(|key| !key.is_empty()).map(decode);
        let upload_id = output.next_upload_id_marker.filter(|id| !id.is_empty());
        let named = more && (key.is_some() || upload_id.is_some());
        let next = named.then_some(UploadsMarker { key, upload_id });
        Ok(UploadsPage { uploads: uploads.collect(), next: next.filter(|next| Some(next) != after) })
    }

    async fn head_object(&self, target: &Target, part: Option<u32>) -> Result<ObjectHead, StoreError> {
        let mut call = self.new_call(Operation::HeadObject, target.bucket());
        call.add([("x-amz-checksum-mode", "ENABLED")])?;
        let (output, seen) = self
            .call(call, |client| async move {
                let input = HeadObjectRequest {
                    bucket: target.bucket().to_owned(),
                    key: target.key().to_owned(),
                    part_number: part.map(i64::from),
                    ..HeadObjectRequest::default()
                };
                client.head_object(input).await
            })
            .await?;
        let size = output.content_length.and_then(|size| u64::try_from(size).ok());
        Ok(ObjectHead {
            size: size.ok_or_else(|| {
                StoreError::new(Operation::HeadObject, Kind::Temporary, "the answer names no size")
            })?,
            etag: output.e_tag,
            version_id: output.version_id,
            parts: output.parts_count.and_then(|count| u32::try_from(count).ok()),
            checksums: checksums(&seen.headers),
            modified: date(&seen.headers, "last-modified"),
            encrypted: encrypted(&seen.headers),
        })
    }

    async fn head_bucket(&self, bucket: &str) -> Result<BucketHead, StoreError> {
        self.look_at_bucket(bucket).await
    }

    async fn delete_object(&self, target: &Target, version_id: Option<&str>) -> Result<(), StoreError> {
        self.remove_object(target, version_id).await
    }
}

impl Call {
    /// Adds headers that rusoto does not know.
    fn add<'a>(&mut self, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), StoreError> {
        for (name, value) in headers {
            let wrong = || {
                let why = format!("the header {name} cannot be sent with this value");
                StoreError::new(self.operation, Kind::Refused, why)
            };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            self.headers.insert(header, value);
        }
        Ok(())
    }

    fn add_sums(&mut self, sums: &Sums) -> Result<(), StoreError> {
        self.sha256 = sums.sha256.filter(|_| self.shared.signs_payload);
        match &sums.checksum {
            Some(checksum) => self.add([(checksum.algorithm().header(), checksum.to_string().as_str())]),
            None => Ok(()),
        }
    }

    fn add_condition(&mut self, condition: Option<&Condition>) -> Result<(), StoreError> {
        match condition {
            Some(Condition::Absent) => self.add([("if-none-match", "*")]),
            Some(Condition::Matches(etag)) => self.add([("if-match", etag.as_str())]),
            None => Ok(()),
        }
    }
}

fn stream(body: &Part) -> ByteStream {
    ByteStream::new_with_size(body.reader(), usize::try_from(body.len()).unwrap_or(usize::MAX))
}

fn written(etag: Option<String>, seen: &Seen) -> Written {
    Written {
        etag: etag.filter(|etag| !etag.trim_matches('"').is_empty()),
        version_id: None,
        checksum: checksums(&seen.headers).into_iter().next(),
        encrypted: encrypted(&seen.headers),
        sent: seen.sent.clone(),
        bare: false,
    }
}

/// The checksums that headers carry.
fn checksums(headers: &HeaderMap) -> Vec<Checksum> {
    let value = |algorithm: Algorithm| Checksum::parse(algorithm, &error::text(headers, algorithm.header())?);
    Algorithm::ALL.into_iter().filter_map(value).collect()
}

/// The checksum that an element of an answer carries, as `<ChecksumCRC64NVME>` say.
fn checksum_of(element: &Element) -> Option<Checksum> {
    let value = |algorithm: Algorithm| {
        Checksum::parse(algorithm, element.text(&format!("Checksum{}", algorithm.name()))?)
    };
    Algorithm::ALL.into_iter().find_map(value)
}

/// Whether a text can be one that `encoding-type=url` makes.
fn is_encoded(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~*/+%".contains(c);
    text.chars().all(plain)
        && text.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

/// Undoes `encoding-type=url`, which writes a space as `+`.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_key_is_told_from_one_that_is_not() {
        for (text, key) in [("a+b%2Bc", "a b+c"), ("%C3%A9/x", "é/x"), ("plain-._~*", "plain-._~*")] {
            assert!(is_encoded(text));
            assert_eq!(decoded(text), key);
        }
        for text in ["a b", "é", "100%", "%2", "%zz", "a&b"] {
            assert!(!is_encoded(text), "{text}");
        }
    }
}
