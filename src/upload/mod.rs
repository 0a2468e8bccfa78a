//! The engine: a whole upload, in S3's three steps or in one.
//!
//! Knows order, the bounded window, and cleaning up; knows no S3 library, no terminal and no clock.
//! [`put`] is the story, and each step has a file named after it.

mod abort;
mod complete;
mod initiate;
mod integrity;
mod put_object;
mod upload_part;

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

pub use integrity::ChecksumWish;

use crate::Target;
use crate::checksum::Checksum;
use crate::error::{Cause, Error, Step};
use crate::event::{Event, Observer};
use crate::plan::{Parts, Plan, Wishes};
use crate::source::FileSource;
use crate::store::{Attributes, Condition, Store, Upload};

/// Parts in flight at once where the user has no wish.
pub const DEFAULT_CONCURRENCY: usize = 8;

/// What is wanted of an upload.
#[derive(Clone, Debug)]
pub struct Request {
    /// The object; its key must be whole.
    pub target: Target,
    /// How to cut the source.
    pub wishes: Wishes,
    /// The most parts in flight at once; 0 counts as 1.
    pub concurrency: usize,
    /// How the store is to check the bytes.
    pub checksum: ChecksumWish,
    /// What is said of the object.
    pub attributes: Attributes,
    /// What must hold for the object to be made.
    pub condition: Option<Condition>,
}

impl Request {
    /// Returns a request with the defaults.
    pub fn new(target: Target) -> Self {
        Request {
            target,
            wishes: Wishes::default(),
            concurrency: DEFAULT_CONCURRENCY,
            checksum: ChecksumWish::Auto,
            attributes: Attributes::new(),
            condition: None,
        }
    }
}

/// A finished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// How it was cut.
    pub plan: Plan,
    /// The object's ETag, quotes included, where the store said it.
    pub etag: Option<String>,
    /// The object's version, where the bucket keeps them.
    pub version_id: Option<String>,
    /// The object's checksum, where the store confirmed it.
    pub checksum: Option<Checksum>,
    /// The upload's id, where there were three steps.
    pub upload_id: Option<String>,
}

/// What every step of one upload works with.
struct Job<'a, S> {
    store: &'a S,
    source: &'a FileSource,
    request: &'a Request,
    observer: &'a dyn Observer,
}

/// Uploads `source`. When it returns an error, nothing is left in the store but what the error names.
///
/// When `stop` is cancelled, what is in flight is stopped and the upload dropped.
///
/// # Errors
/// At the first step, and for the first part, that fails for good; or when the source changed.
pub async fn put<S: Store>(
    store: &S,
    source: &FileSource,
    request: &Request,
    observer: &dyn Observer,
    stop: &CancellationToken,
) -> Result<Uploaded, Error> {
    let plan = Plan::new(source.size(), request.wishes).map_err(|e| Error::new(Step::Plan, e))?;
    observer.event(&Event::Planned(&plan));
    let job = Job { store, source, request, observer };
    match plan {
        Plan::Single { .. } => tokio::select! {
            outcome = job.put_object(plan) => outcome,
            () = stop.cancelled() => Err(Error::new(Step::Put, Cause::Interrupted)),
        },
        Plan::Multipart(parts) => job.three_steps(parts, stop).await,
    }
}

impl<S: Store> Job<'_, S> {
    async fn three_steps(&self, parts: Parts, stop: &CancellationToken) -> Result<Uploaded, Error> {
        let started = self.initiate(stop).await?;
        let steps = async {
            let stored = self.upload_parts(&started, parts).await?;
            self.complete(&started, parts, stored).await
        };
        let outcome = tokio::select! {
            outcome = AssertUnwindSafe(steps).catch_unwind() => outcome,
            () = stop.cancelled() => Ok(Err(Error::new(Step::Complete, Cause::Interrupted))),
        };
        match outcome {
            Ok(Ok(uploaded)) => Ok(uploaded),
            Ok(Err(error)) => Err(self.abort_after(error, &started.upload).await),
            Err(panic) => {
                self.abort(&started.upload).await;
                resume_unwind(panic)
            }
        }
    }

    /// Checks that the source is still what was planned for.
    fn check_source(&self, step: Step) -> Result<(), Error> {
        self.source.check_unchanged().map_err(|e| Error::new(step, e))
    }

    /// Returns the error of a failed request: the source's own, where that is what went wrong.
    fn blame(&self, step: Step, error: crate::store::StoreError) -> Error {
        use crate::source::SourceError;
        use crate::store::Kind;
        if let Err(changed) = self.source.check_unchanged() {
            return Error::new(step, changed);
        }
        if error.kind == Kind::Body {
            let source = std::io::Error::other(error.message);
            return Error::new(step, SourceError::Read { path: self.source.path().to_owned(), source });
        }
        Error::new(step, error)
    }

    fn upload(&self, upload_id: String) -> Upload {
        Upload { target: self.request.target.clone(), upload_id }
    }
}
