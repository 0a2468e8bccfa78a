//! Why an upload failed: at which step, for what cause, and what is left of it.

use std::fmt;

use crate::checksum::Checksum;
use crate::plan::PlanError;
use crate::source::SourceError;
use crate::store::{StoreError, Upload};
use crate::upload::Held;

/// A failed upload.
///
/// Displayed as the step alone, in one line; the [source](std::error::Error::source) is the cause.
#[derive(Debug)]
pub struct Error {
    /// What was being done.
    pub step: Step,
    /// Why it failed.
    pub cause: Cause,
    /// The upload that is still in the store.
    pub left: Option<Box<Left>>,
}

/// A step of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Cutting the source into parts.
    Plan,
    /// The single request of a small object.
    Put,
    /// Step 1.
    Initiate,
    /// Step 2.
    UploadPart {
        /// The part, from 1.
        number: u32,
        /// The number of parts, where it is known.
        count: Option<u32>,
    },
    /// Step 3.
    Complete,
    /// Looking for an upload to go on with.
    Resume,
    /// Listing unfinished uploads.
    List,
    /// Dropping an unfinished upload.
    Abort,
    /// Comparing the finished object with the source.
    Verify,
    /// Finding out whether an upload would do.
    Diagnose,
    /// None that failed: somebody asked to stop.
    Stop,
}

/// The cause of a failure.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// S3's limits leave no way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The source can't be read, or changed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The store holds something else than was sent.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// The target names a bucket, or a folder in it, and no object.
    #[error("the target names no object")]
    NoKey,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// How what the store holds, an object or a part of it, differs from the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The checksums differ.
    #[error("the object's {} is {theirs}, and the source's is {ours}", ours.algorithm().name())]
    Checksum {
        /// The source's.
        ours: Checksum,
        /// The store's.
        theirs: Checksum,
    },
    /// The ETags differ.
    #[error("the object's ETag is {theirs}, and the source's is {ours}")]
    ETag {
        /// The source's.
        ours: String,
        /// The store's.
        theirs: String,
    },
    /// The sizes differ.
    #[error("the object has {theirs} bytes, and the source {ours}")]
    Size {
        /// Bytes in the source.
        ours: u64,
        /// Bytes in the store.
        theirs: u64,
    },
    /// The source is not what the caller expects.
    #[error("the source's SHA-256 is {found}, and {expected} was expected")]
    Unexpected {
        /// What was expected, in hexadecimal.
        expected: String,
        /// The source's, in hexadecimal.
        found: String,
    },
    /// The store said that it made the object, and has none.
    #[error("the store said that it made the object, and now has none")]
    Absent,
}

/// An upload that is still in the store.
#[derive(Debug)]
pub struct Left {
    /// The upload.
    pub upload: Upload,
    /// Why it is there.
    pub fate: Fate,
    /// What it holds; `None` where the store does not tell.
    pub held: Option<Held>,
}

/// Why an upload is still in the store.
#[derive(Debug)]
pub enum Fate {
    /// To be resumed.
    Kept,
    /// It could not be dropped, for this cause; `None` where the store takes the abort and keeps the
    /// parts.
    Stuck(Option<StoreError>),
}

impl Error {
    /// Returns an error that leaves nothing behind.
    pub(crate) fn new(step: Step, cause: impl Into<Cause>) -> Self {
        Error { step, cause: cause.into(), left: None }
    }

    /// The store's error, where that is the cause.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.cause {
            Cause::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Cause::Store(Box::new(error))
    }
}

impl From<Mismatch> for Cause {
    fn from(mismatch: Mismatch) -> Self {
        Cause::Mismatch(Box::new(mismatch))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Plan => f.write_str("cannot plan the upload"),
            Step::Put => f.write_str("cannot put the object"),
            Step::Initiate => f.write_str("cannot start the upload"),
            Step::UploadPart { number, count: Some(count) } => {
                write!(f, "cannot upload part {number} of {count}")
            }
            Step::UploadPart { number, count: None } => write!(f, "cannot upload part {number}"),
            Step::Complete => f.write_str("cannot complete the upload"),
            Step::Resume => f.write_str("cannot look for an upload to resume"),
            Step::List => f.write_str("cannot list unfinished uploads"),
            Step::Abort => f.write_str("cannot abort the upload"),
            Step::Stop => f.write_str("the upload was stopped"),
            Step::Verify => f.write_str("cannot verify the object"),
            Step::Diagnose => f.write_str("an upload would fail here"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.step.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
