//! What kind of S3 the server is: AWS by default, or one of its kin with its gaps.

/// The server's behaviour. The default is as strict as AWS and knows everything.
#[derive(Clone, Debug)]
pub struct Personality {
    pub access_key: String,
    pub secret_key: String,
    /// If set, every request must carry this `x-amz-security-token`.
    pub session_token: Option<String>,
    pub region: String,
    pub wrong_region: WrongRegion,
    /// How far the server's clock is ahead of the machine's, in seconds; negative is behind.
    pub clock_ahead: i64,
    pub content_sha256: ContentSha256,
    pub buckets: Vec<String>,
    /// Keep the bytes of objects and parts; otherwise only length and sums, for bodies larger than memory.
    pub keep_bytes: bool,
    /// The least size of every part but the last, in bytes.
    pub min_part_size: u64,
    /// The most entries on a page of any listing.
    pub page_size: usize,
    pub checksums: Checksums,
    pub trailers: Trailers,
    pub conditional_writes: ConditionalWrites,
    pub list_uploads: Listing,
    pub list_parts: Listing,
    pub part_order: PartOrder,
    pub etag: EtagKind,
    /// Whether the answer to CompleteMultipartUpload has an `ETag` element.
    pub complete_names_etag: bool,
    pub complete_again: CompleteAgain,
    /// An abort answers 204 at once but takes effect only after this many ListParts.
    pub abort_after_list_parts: u32,
    pub mp_object_size: ObjectSize,
    /// The sockets' receive buffer in bytes, small so that a stalled reader is soon felt; `None` is the system's.
    pub receive_buffer: Option<u32>,
}

impl Default for Personality {
    fn default() -> Self {
        Self {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
            region: "us-east-1".to_owned(),
            wrong_region: WrongRegion::Malformed,
            clock_ahead: 0,
            content_sha256: ContentSha256::Required,
            buckets: vec!["bucket".to_owned()],
            keep_bytes: true,
            min_part_size: 5 * 1024 * 1024,
            page_size: 1000,
            checksums: Checksums::Known,
            trailers: Trailers::Known,
            conditional_writes: ConditionalWrites::Honoured,
            list_uploads: Listing::Works,
            list_parts: Listing::Works,
            part_order: PartOrder::Ascending,
            etag: EtagKind::Md5,
            complete_names_etag: true,
            complete_again: CompleteAgain::NoSuchUpload,
            abort_after_list_parts: 0,
            mp_object_size: ObjectSize::Known,
            receive_buffer: Some(128 * 1024),
        }
    }
}

/// What a request signed for another region is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongRegion {
    /// 400 `AuthorizationHeaderMalformed` with the region.
    Malformed,
    /// 301 `PermanentRedirect` with the region in a header.
    Redirect,
}

/// Whether `x-amz-content-sha256` may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSha256 {
    Required,
    Optional,
}

/// What becomes of `x-amz-checksum-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// Verified, stored and echoed.
    Known,
    /// As if they had not been sent.
    Ignored,
    /// Verified, but no answer mentions them.
    NotEchoed,
    /// Any request that has one is refused with this status and code.
    Refused(u16, String),
}

/// What becomes of an aws-chunked body with its checksum in a trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// Taken out of its frames, and verified.
    Known,
    /// Refused with this status and code.
    Refused(u16, String),
    /// Stored as it came, frames and all.
    KeptAsBytes,
}

/// What becomes of `If-None-Match` and `If-Match` on writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionalWrites {
    Honoured,
    Ignored,
    /// 501 `NotImplemented`.
    Refused,
}

/// How a listing behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    Works,
    /// 501 `NotImplemented`.
    NotImplemented,
    /// Says that there is more but not where it begins.
    TruncatedWithoutMarker,
}

/// The order of parts on a page of ListParts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartOrder {
    Ascending,
    /// Each page is backwards.
    Unordered,
}

/// What an ETag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtagKind {
    Md5,
    /// Not a sum of anything.
    Opaque,
}

/// What a second CompleteMultipartUpload of the same upload is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompleteAgain {
    NoSuchUpload,
    /// The first answer again.
    Idempotent,
}

/// What becomes of `x-amz-mp-object-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectSize {
    Known,
    Ignored,
}
