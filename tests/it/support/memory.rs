//! A store in memory, as strict as S3 about what the engine must get right.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use futures::TryStreamExt;
use s3chunk::Target;
use s3chunk::checksum::{Algorithm, Checksum, hex, md5};
use s3chunk::plan::MIN_PART_SIZE;
use s3chunk::source::Part;
use s3chunk::store::{
    BucketHead, CompleteMultipartUpload, CompletedPart, Condition, CreateMultipartUpload, Created, Kind,
    ListedUpload, ObjectHead, Operation, PartsPage, PutObject, Store, StoreError, Upload, UploadPart,
    UploadsMarker, UploadsPage, Written,
};

/// Entries of a page of a listing.
const PAGE: usize = 2;

/// A store in memory, with one bucket called `bucket`.
#[derive(Default)]
pub(crate) struct MemoryStore(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Unfinished>,
    next: u32,
}

#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: String,
    pub(crate) checksum: Option<Checksum>,
}

struct Unfinished {
    key: String,
    algorithm: Option<Algorithm>,
    parts: BTreeMap<u32, Vec<u8>>,
}

impl MemoryStore {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    pub(crate) fn object(&self, key: &str) -> Option<Object> {
        self.contents().objects.get(key).cloned()
    }

    /// The number of unfinished uploads.
    pub(crate) fn unfinished(&self) -> usize {
        self.contents().uploads.len()
    }
}

fn refused(operation: Operation, kind: Kind, code: &str) -> StoreError {
    StoreError { code: Some(code.to_owned()), ..StoreError::new(operation, kind, "refused") }
}

fn bucket_of(operation: Operation, target: &Target) -> Result<(), StoreError> {
    match target.bucket() {
        "bucket" => Ok(()),
        _ => Err(refused(operation, Kind::NotFound, "NoSuchBucket")),
    }
}

async fn read(operation: Operation, body: &Part) -> Result<Vec<u8>, StoreError> {
    let read = body.reader().try_fold(Vec::new(), |mut all, block| async move {
        all.extend_from_slice(&block);
        Ok(all)
    });
    read.await.map_err(|e| StoreError::new(operation, Kind::Body, e.to_string()))
}

fn check(
    operation: Operation,
    bytes: &[u8],
    checksum: Option<&Checksum>,
    sum: Option<[u8; 16]>,
) -> Result<(), StoreError> {
    let whole = checksum.is_none_or(|sum| Checksum::of(sum.algorithm(), bytes) == *sum);
    match whole && sum.is_none_or(|sum| md5(bytes) == sum) {
        true => Ok(()),
        false => Err(refused(operation, Kind::Checksum, "BadDigest")),
    }
}

fn condition_holds(contents: &Contents, key: &str, condition: Option<&Condition>) -> bool {
    let there = contents.objects.get(key);
    match condition {
        None => true,
        Some(Condition::Absent) => there.is_none(),
        Some(Condition::Matches(etag)) => there.is_some_and(|object| object.etag == *etag),
    }
}

fn quoted(etag: String) -> String {
    format!("\"{etag}\"")
}

impl Store for MemoryStore {
    fn signs_payload(&self) -> bool {
        false
    }

    async fn put_object(&self, request: &PutObject) -> Result<Written, StoreError> {
        let operation = Operation::PutObject;
        bucket_of(operation, &request.target)?;
        let bytes = read(operation, &request.body).await?;
        check(operation, &bytes, request.sums.checksum.as_ref(), request.sums.md5)?;
        let mut contents = self.contents();
        if !condition_holds(&contents, request.target.key(), request.condition.as_ref()) {
            return Err(refused(operation, Kind::Precondition, "PreconditionFailed"));
        }
        let (etag, checksum) = (quoted(hex(&md5(&bytes))), request.sums.checksum.clone());
        let object = Object { bytes, etag: etag.clone(), checksum: checksum.clone() };
        contents.objects.insert(request.target.key().to_owned(), object);
        Ok(Written { etag: Some(etag), checksum, ..Written::default() })
    }

    async fn create_multipart_upload(&self, request: &CreateMultipartUpload) -> Result<Created, StoreError> {
        bucket_of(Operation::CreateMultipartUpload, &request.target)?;
        let mut contents = self.contents();
        contents.next += 1;
        let upload_id = format!("upload-{}", contents.next);
        let key = request.target.key().to_owned();
        let unfinished = Unfinished { key, algorithm: request.checksum, parts: BTreeMap::new() };
        contents.uploads.insert(upload_id.clone(), unfinished);
        let date = Some(SystemTime::now());
        Ok(Created { upload_id, checksum: request.checksum, date, lost_since: None, bare: false })
    }

    async fn upload_part(&self, request: &UploadPart) -> Result<Written, StoreError> {
        let operation = Operation::UploadPart;
        let bytes = read(operation, &request.body).await?;
        check(operation, &bytes, request.sums.checksum.as_ref(), request.sums.md5)?;
        let etag = quoted(hex(&md5(&bytes)));
        let mut contents = self.contents();
        let upload = contents.uploads.get_mut(&request.upload.upload_id);
        let upload = upload.ok_or_else(|| refused(operation, Kind::NotFound, "NoSuchUpload"))?;
        upload.parts.insert(request.number, bytes);
        Ok(Written { etag: Some(etag), checksum: request.sums.checksum.clone(), ..Written::default() })
    }

    async fn complete_multipart_upload(
        &self,
        request: &CompleteMultipartUpload,
    ) -> Result<Written, StoreError> {
        let operation = Operation::CompleteMultipartUpload;
        let mut contents = self.contents();
        let key = request.upload.target.key();
        if !condition_holds(&contents, key, request.condition.as_ref()) {
            return Err(refused(operation, Kind::Precondition, "PreconditionFailed"));
        }
        let upload = contents.uploads.get(&request.upload.upload_id);
        let upload = upload.ok_or_else(|| refused(operation, Kind::NotFound, "NoSuchUpload"))?;
        let named = request.parts.iter().map(|part| (part.number, part.etag.clone()));
        let held = upload.parts.iter().map(|(number, bytes)| (*number, quoted(hex(&md5(bytes)))));
        if !named.eq(held) {
            return Err(refused(operation, Kind::Refused, "InvalidPart"));
        }
        if upload.parts.values().rev().skip(1).any(|bytes| (bytes.len() as u64) < MIN_PART_SIZE) {
            return Err(refused(operation, Kind::Refused, "EntityTooSmall"));
        }
        let bytes: Vec<u8> = upload.parts.values().flatten().copied().collect();
        check(operation, &bytes, request.checksum.as_ref(), None)?;
        let md5s: Vec<u8> = upload.parts.values().flat_map(|bytes| md5(bytes)).collect();
        let etag = quoted(format!("{}-{}", hex(&md5(&md5s)), upload.parts.len()));
        let checksum = upload.algorithm.map(|algorithm| Checksum::of(algorithm, &bytes));
        contents.uploads.remove(&request.upload.upload_id);
        let object = Object { bytes, etag: etag.clone(), checksum: checksum.clone() };
        contents.objects.insert(key.to_owned(), object);
        Ok(Written { etag: Some(etag), checksum, ..Written::default() })
    }

    async fn abort_multipart_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        match self.contents().uploads.remove(&upload.upload_id) {
            Some(_) => Ok(()),
            None => Err(refused(Operation::AbortMultipartUpload, Kind::NotFound, "NoSuchUpload")),
        }
    }

    async fn list_parts(&self, upload: &Upload, after: Option<u32>) -> Result<PartsPage, StoreError> {
        let contents = self.contents();
        let held = contents.uploads.get(&upload.upload_id);
        let held = held.ok_or_else(|| refused(Operation::ListParts, Kind::NotFound, "NoSuchUpload"))?;
        let later = held.parts.iter().filter(|(number, _)| Some(**number) > after);
        let mut parts: Vec<_> = later
            .map(|(number, bytes)| CompletedPart {
                number: *number,
                etag: quoted(hex(&md5(bytes))),
                size: bytes.len() as u64,
                checksum: held.algorithm.map(|algorithm| Checksum::of(algorithm, bytes)),
            })
            .collect();
        let more = parts.len() > PAGE;
        parts.truncate(PAGE);
        let next = parts.last().map(|part| part.number).filter(|_| more);
        Ok(PartsPage {
            parts,
            next,
            checksum: held.algorithm.map(|it| (it, it.multipart_type())),
            abort_date: None,
        })
    }

    async fn list_multipart_uploads(
        &self,
        _: &str,
        prefix: &str,
        after: Option<&UploadsMarker>,
    ) -> Result<UploadsPage, StoreError> {
        let contents = self.contents();
        let mut all: Vec<_> =
            contents.uploads.iter().filter(|(_, upload)| upload.key.starts_with(prefix)).collect();
        all.sort_by_key(|(id, upload)| (upload.key.clone(), (*id).clone()));
        let marker = after.map(|after| {
            (after.key.clone().unwrap_or_default(), after.upload_id.clone().unwrap_or_default())
        });
        let later = all.into_iter().filter(|(id, upload)| {
            marker.as_ref().is_none_or(|marker| (upload.key.clone(), (*id).clone()) > *marker)
        });
        let mut uploads: Vec<_> = later
            .map(|(id, upload)| ListedUpload {
                key: upload.key.clone(),
                upload_id: id.clone(),
                initiated: Some(SystemTime::now()),
            })
            .collect();
        let more = uploads.len() > PAGE;
        uploads.truncate(PAGE);
        let last = uploads.last().filter(|_| more);
        let next = last.map(|last| UploadsMarker {
            key: Some(last.key.clone()),
            upload_id: Some(last.upload_id.clone()),
        });
        Ok(UploadsPage { uploads, next })
    }

    async fn head_object(&self, target: &Target, _: Option<u32>) -> Result<ObjectHead, StoreError> {
        match self.object(target.key()) {
            Some(object) => Ok(ObjectHead {
                size: object.bytes.len() as u64,
                etag: Some(object.etag),
                checksums: object.checksum.into_iter().collect(),
                modified: Some(SystemTime::now()),
                ..ObjectHead::default()
            }),
            None => Err(refused(Operation::HeadObject, Kind::NotFound, "NoSuchKey")),
        }
    }

    async fn head_bucket(&self, bucket: &str) -> Result<BucketHead, StoreError> {
        match bucket {
            "bucket" => Ok(BucketHead::default()),
            _ => Err(refused(Operation::HeadBucket, Kind::NotFound, "NoSuchBucket")),
        }
    }

    async fn delete_object(&self, target: &Target, _: Option<&str>) -> Result<(), StoreError> {
        self.contents().objects.remove(target.key());
        Ok(())
    }
}
