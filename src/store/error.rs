//! What went wrong at a store, in terms that decide what to do next.

use std::fmt;
use std::time::{Duration, SystemTime};

/// An operation of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is S3's own name
pub enum Operation {
    PutObject,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    ListMultipartUploads,
    HeadObject,
    HeadBucket,
    DeleteObject,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What sort of failure it is: what the retry decorator and the exit code go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No credentials could be had.
    NoCredentials,
    /// The credentials are not allowed this, or are wrong.
    Denied,
    /// The temporary credentials are past their time; new ones would do.
    ExpiredCredentials,
    /// This machine's clock is too far from the store's.
    ClockSkew,
    /// The bucket, the object or the upload is not there.
    NotFound,
    /// A condition on the request (`If-None-Match`, `If-Match`) does not hold.
    Precondition,
    /// The store saw other bytes than the checksum tells.
    Checksum,
    /// The store asks for fewer requests.
    Throttled,
    /// The store failed, or could not be reached, or answered nonsense; a later try may succeed.
    Temporary,
    /// The store does not know or does not allow what was asked.
    Refused,
    /// The bytes to send could not be read.
    Body,
}

/// A failed operation.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// The operation.
    pub operation: Operation,
    /// What sort of failure.
    pub kind: Kind,
    /// S3's code, say `NoSuchBucket`.
    pub code: Option<String>,
    /// One line for a person, with no secret in it.
    pub message: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The store's id of the request.
    pub request_id: Option<String>,
    /// The part that the store complains of.
    pub part: Option<u32>,
    /// How long the store asks to wait.
    pub retry_after: Option<Duration>,
    /// Where the store may have done what was asked all the same, as when the answer is lost: the time
    /// of the first such try, by our clock.
    pub unknown_since: Option<SystemTime>,
}

impl StoreError {
    /// Returns an error of this kind with nothing else known of it.
    pub fn new(operation: Operation, kind: Kind, message: impl Into<String>) -> Self {
        StoreError {
            operation,
            kind,
            code: None,
            message: message.into(),
            status: None,
            request_id: None,
            part: None,
            retry_after: None,
            unknown_since: None,
        }
    }

    /// Whether the store may answer otherwise to the same request later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Temporary)
    }

    /// Whether the store may have done what was asked all the same.
    pub fn outcome_unknown(&self) -> bool {
        self.unknown_since.is_some()
    }

    /// Whether S3's code is this.
    pub fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// One line: the code and the message, then status and request id in parentheses.
impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) if self.message.is_empty() => f.write_str(code)?,
            Some(code) => write!(f, "{code}: {}", self.message)?,
            None => f.write_str(&self.message)?,
        }
        match (self.status, &self.request_id) {
            (Some(status), Some(id)) => write!(f, " (HTTP {status}, request id {id})"),
            (Some(status), None) => write!(f, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {}
