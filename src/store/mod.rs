//! What the engine asks of a store: S3's operations in plain types.
//!
//! [`Store`] is all that `upload/` knows. `rusoto/` makes these operations real; [`Retrying`] tries
//! them again; tests put a store in memory, or a faulty one, in their place.

mod attributes;
mod error;
mod hedge;
mod retry;
#[cfg(feature = "rusoto")]
pub mod rusoto;

use std::future::Future;
use std::time::SystemTime;

pub use attributes::{AttributeError, Attributes, MAX_METADATA_BYTES};
pub use error::{Kind, Operation, StoreError};
pub use hedge::{HedgePolicy, Hedging};
pub use retry::{RetryPolicy, Retrying};

use crate::Target;
use crate::checksum::{Algorithm, Checksum, ChecksumType, Sums};
use crate::source::Part;

/// A place for objects that speaks S3.
///
/// Every operation may be called again with the same request: bodies are read anew.
pub trait Store: Send + Sync {
    /// Whether requests are signed with their body's SHA-256, which [`Sums::sha256`] must then hold.
    fn signs_payload(&self) -> bool;

    /// Whether the store is known to take a checksum behind the bytes, as a trailer ([`UploadPart::trailer`]),
    /// so that they need be read but once.
    fn takes_trailers(&self) -> bool {
        false
    }

    /// Returns what the store's clock showed at a time of ours, as far as is known, or a little before.
    fn their_time(&self, ours: SystemTime) -> SystemTime {
        ours
    }

    /// How often the store has asked for fewer requests so far.
    fn throttled(&self) -> u64 {
        0
    }

    /// PutObject: the whole object in a single request.
    fn put_object(&self, request: &PutObject) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// CreateMultipartUpload: step 1 of three.
    fn create_multipart_upload(
        &self,
        request: &CreateMultipartUpload,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// UploadPart: step 2, once a part.
    fn upload_part(&self, request: &UploadPart) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// CompleteMultipartUpload: step 3.
    fn complete_multipart_upload(
        &self,
        request: &CompleteMultipartUpload,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// AbortMultipartUpload: the other ending. An upload that is not there is an error of
    /// [`Kind::NotFound`].
    fn abort_multipart_upload(&self, upload: &Upload) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// ListParts: a page of the parts that the store holds, those after part number `after`.
    fn list_parts(
        &self,
        upload: &Upload,
        after: Option<u32>,
    ) -> impl Future<Output = Result<PartsPage, StoreError>> + Send;

    /// ListMultipartUploads: a page of the unfinished uploads whose key starts with `prefix`.
    fn list_multipart_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&UploadsMarker>,
    ) -> impl Future<Output = Result<UploadsPage, StoreError>> + Send;

    /// HeadObject: what the store says of an object, its checksum included; or of one of its parts, by
    /// the part's number.
    fn head_object(
        &self,
        target: &Target,
        part: Option<u32>,
    ) -> impl Future<Output = Result<ObjectHead, StoreError>> + Send;

    /// HeadBucket: whether the bucket is there, and where.
    fn head_bucket(&self, bucket: &str) -> impl Future<Output = Result<BucketHead, StoreError>> + Send;

    /// DeleteObject: an object, or that version of it. What is not there is no error.
    fn delete_object(
        &self,
        target: &Target,
        version_id: Option<&str>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An unfinished upload's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The object that it would become.
    pub target: Target,
    /// The store's name of it.
    pub upload_id: String,
}

/// A request that makes an object at once.
#[derive(Clone)]
pub struct PutObject {
    /// The object.
    pub target: Target,
    /// Its bytes.
    pub body: Part,
    /// What is known of the bytes; each sum that is there is sent for the store to check.
    pub sums: Sums,
    /// The checksum to compute while the bytes are sent, and to send behind them.
    pub trailer: Option<Algorithm>,
    /// What is said of the object.
    pub attributes: Attributes,
    /// What must hold for it to be made.
    pub condition: Option<Condition>,
}

/// A request that starts an upload.
#[derive(Clone, Debug)]
pub struct CreateMultipartUpload {
    /// The object that it is to become.
    pub target: Target,
    /// What is said of the object.
    pub attributes: Attributes,
    /// The checksum that every part and the object are to have.
    pub checksum: Option<Algorithm>,
}

/// A request that stores a part.
#[derive(Clone)]
pub struct UploadPart {
    /// The upload.
    pub upload: Upload,
    /// The part's number, from 1.
    pub number: u32,
    /// Its bytes.
    pub body: Part,
    /// What is known of the bytes; each sum that is there is sent for the store to check.
    pub sums: Sums,
    /// The checksum to compute while the bytes are sent, and to send behind them. [`Sums::checksum`] is
    /// then `None`, and the payload can't be signed.
    pub trailer: Option<Algorithm>,
    /// Whether to send it over a connection of its own, since another one does not get on.
    pub fresh: bool,
    /// Whether to send it just once, whatever comes of it.
    pub once: bool,
}

/// A request that makes an object of an upload's parts.
#[derive(Clone, Debug)]
pub struct CompleteMultipartUpload {
    /// The upload.
    pub upload: Upload,
    /// The parts, by their numbers upwards.
    pub parts: Vec<CompletedPart>,
    /// Size of the object in bytes.
    pub size: u64,
    /// The object's checksum, where the store knows the algorithm.
    pub checksum: Option<Checksum>,
    /// What must hold for the object to be made.
    pub condition: Option<Condition>,
}

/// A part that the store has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// The part's number, from 1.
    pub number: u32,
    /// The store's name of its bytes, to be handed back at the end; quotes included.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// Its checksum, where the store was told or said it.
    pub checksum: Option<Checksum>,
}

/// What must hold for an object to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is there yet (`If-None-Match: *`).
    Absent,
    /// What is there has this ETag (`If-Match`).
    Matches(String),
}

/// What a store answers to an object or a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The ETag, quotes included; `None` where the store said none.
    pub etag: Option<String>,
    /// The version, where the bucket keeps them.
    pub version_id: Option<String>,
    /// The checksum that the store computed, or repeats.
    pub checksum: Option<Checksum>,
    /// Whether the store said that it encrypts, so that the ETag need be no MD5.
    pub encrypted: bool,
    /// The checksum that was sent behind the bytes, where that was asked for.
    pub sent: Option<Checksum>,
    /// Whether an encryption was asked for of which the answer does not tell.
    pub bare: bool,
}

/// What a store answers to the start of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The store's name of the upload.
    pub upload_id: String,
    /// The checksum algorithm that the store confirmed; `None` where it said nothing of it.
    pub checksum: Option<Algorithm>,
    /// The store's clock at the answer.
    pub date: Option<SystemTime>,
    /// Where an earlier try's answer was lost, so that it may have started an upload as well: the time
    /// of that try, by our clock.
    pub lost_since: Option<SystemTime>,
    /// Whether an encryption was asked for of which the answer does not tell.
    pub bare: bool,
}

/// A page of an upload's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartsPage {
    /// The parts, in whatever order the store lists them.
    pub parts: Vec<CompletedPart>,
    /// The part number after which the next page starts; `None` on the last.
    pub next: Option<u32>,
    /// The checksum that the upload was started with, where the store says it.
    pub checksum: Option<(Algorithm, ChecksumType)>,
    /// When the bucket's rules will drop the upload.
    pub abort_date: Option<SystemTime>,
}

/// Where the next page of uploads starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadsMarker {
    /// The last key of the page before, where the store names one.
    pub key: Option<String>,
    /// The last upload of the page before, where the store names one.
    pub upload_id: Option<String>,
}

/// An unfinished upload, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    /// The key.
    pub key: String,
    /// The store's name of it.
    pub upload_id: String,
    /// When it was started, by the store's clock.
    pub initiated: Option<SystemTime>,
}

/// A page of unfinished uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadsPage {
    /// The uploads.
    pub uploads: Vec<ListedUpload>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<UploadsMarker>,
}

/// What a store says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// Size in bytes.
    pub size: u64,
    /// The ETag, quotes included.
    pub etag: Option<String>,
    /// The version, where the bucket keeps them.
    pub version_id: Option<String>,
    /// The number of parts that it was made of, where the store says it.
    pub parts: Option<u32>,
    /// The checksums that the store knows of it.
    pub checksums: Vec<Checksum>,
    /// When it was made, by the store's clock.
    pub modified: Option<SystemTime>,
    /// Whether the store said that it is encrypted, so that the ETag need be no MD5.
    pub encrypted: bool,
}

/// What a store says of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketHead {
    /// Its region, where the store says it.
    pub region: Option<String>,
}
