//! The engine: a whole upload, in S3's three steps or in one.
//!
//! Knows order, the bounded window, and cleaning up; knows no S3 library, no terminal and no clock.
//! [`put`] is the story, and each step has a file named after it.

mod abort;
mod complete;
mod initiate;
mod integrity;
mod put_object;
mod resume;
mod unfinished;
mod upload_part;
mod verify;
mod window;

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

pub use abort::abort;
pub use integrity::ChecksumWish;
pub use unfinished::{Held, Unfinished, unfinished, uploads_of};
pub use verify::{Proof, Verdict, verify};

use crate::Target;
use crate::checksum::Checksum;
use crate::error::{Cause, Error, Step};
use crate::event::{Event, Observer};
use crate::plan::{Parts, Plan, Wishes};
use crate::source::{FileSource, SourceError};
use crate::store::{
    Attributes, CompletedPart, Condition, Kind, ObjectHead, Operation, Store, StoreError, Upload, Written,
};
use initiate::Started;
use integrity::bare;

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
    /// Whether to go on with an upload that is there, and to leave one there on a failure.
    pub resume: bool,
    /// Whether to look at the finished object, whatever the store's answers have proved.
    pub verify: bool,
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
            resume: false,
            verify: false,
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
    /// Whether an upload that was there was gone on with.
    pub resumed: bool,
    /// Parts that were there and were not sent again.
    pub reused_parts: u32,
    /// Their size in bytes.
    pub reused_bytes: u64,
}

impl Uploaded {
    /// Returns an upload that began here, as the store answered to it.
    fn new(plan: Plan, answer: Written) -> Self {
        let Written { etag, version_id, checksum, .. } = answer;
        let (upload_id, resumed, reused_parts, reused_bytes) = (None, false, 0, 0);
        Uploaded { plan, etag, version_id, checksum, upload_id, resumed, reused_parts, reused_bytes }
    }
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
/// When `stop` is cancelled, the parts in flight are stopped and the upload dropped, or kept where it is to
/// be resumed. What has been asked of the store and can't be taken back, its start and its completion, is
/// waited for as long as the store's patience lasts ([`Retrying`](crate::store::Retrying) has little then).
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
    if !request.target.is_object() {
        return Err(Error::new(Step::Plan, Cause::NoKey));
    }
    let plan = Plan::new(source.size(), request.wishes).map_err(|e| Error::new(Step::Plan, e))?;
    observer.event(&Event::Planned(&plan));
    let job = Job { store, source, request, observer };
    let run = async {
        job.check_condition().await?;
        match plan {
            Plan::Single { .. } => job.put_object(plan).await,
            Plan::Multipart(parts) => job.three_steps(parts, stop).await,
        }
    };
    let uploaded = tokio::select! {
        biased;
        uploaded = run => uploaded?,
        () = interrupted(plan, stop) => return Err(Error::new(Step::Stop, Cause::Interrupted)),
    };
    if request.verify {
        tokio::select! {
            proved = job.prove() => proved?,
            () = stop.cancelled() => return Err(Error::new(Step::Verify, Cause::Interrupted)),
        }
    }
    Ok(uploaded)
}

/// Returns when an upload in a single request is to end. One in three steps ends by itself, and in good
/// order.
async fn interrupted(plan: Plan, stop: &CancellationToken) {
    match plan {
        Plan::Single { .. } => stop.cancelled().await,
        Plan::Multipart(_) => std::future::pending().await,
    }
}

/// Returns what ended an upload: whoever stopped it, where what then failed had too little time.
fn stopped(error: Error, stop: &CancellationToken) -> Error {
    match stop.is_cancelled() && error.store_error().is_some_and(StoreError::is_temporary) {
        true => Error::new(Step::Stop, Cause::Interrupted),
        false => error,
    }
}

impl<S: Store> Job<'_, S> {
    async fn three_steps(&self, parts: Parts, stop: &CancellationToken) -> Result<Uploaded, Error> {
        let (started, reused) = self.begin(parts, stop).await?;
        let reused_parts = u32::try_from(reused.len()).unwrap_or(u32::MAX);
        let reused_bytes = reused.iter().map(|part| part.size).sum();
        let steps = async {
            let stored = tokio::select! {
                stored = self.upload_parts(&started, reused) => stored?,
                () = stop.cancelled() => return Err(Error::new(Step::Stop, Cause::Interrupted)),
            };
            // What has been asked for can't be taken back: the answer is waited for, if not for long.
            self.complete(&started, stored).await
        };
        let outcome = AssertUnwindSafe(steps).catch_unwind().await;
        let outcome = outcome.map(|done| done.map_err(|error| stopped(error, stop)));
        let ended = match outcome {
            Ok(Ok(uploaded)) => {
                Ok(Uploaded { resumed: started.resumed, reused_parts, reused_bytes, ..uploaded })
            }
            Ok(Err(error)) => Err(self.end(error, &started.upload).await),
            Err(panic) => {
                // Nobody is left to hear of one that can't be dropped.
                let _ = abort(self.store, &started.upload, false).await;
                resume_unwind(panic)
            }
        };
        if let Some(since) = started.lost_since {
            self.drop_lost_uploads(Some(&started.upload), since).await;
        }
        ended
    }

    /// Goes on with an upload that is there, where that is wanted and there is one, or starts one.
    async fn begin(
        &self,
        parts: Parts,
        stop: &CancellationToken,
    ) -> Result<(Started, Vec<CompletedPart>), Error> {
        if self.request.resume {
            let found = tokio::select! {
                found = self.resume(parts) => found?,
                () = stop.cancelled() => return Err(Error::new(Step::Stop, Cause::Interrupted)),
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let started = self.initiate(parts, stop).await.map_err(|error| stopped(error, stop))?;
        Ok((started, Vec::new()))
    }

    /// Looks whether the object's condition holds before a byte is sent: a store may check it at the very
    /// end, or not at all.
    async fn check_condition(&self) -> Result<(), Error> {
        let Some(condition) = &self.request.condition else { return Ok(()) };
        let head = self.store.head_object(&self.request.target, None).await;
        let why = match (condition, head) {
            (Condition::Absent, Ok(_)) => "the object is there already".to_owned(),
            (Condition::Matches(_), Err(error)) if error.kind == Kind::NotFound => {
                "there is no object to match".to_owned()
            }
            (Condition::Matches(wanted), Ok(ObjectHead { etag: Some(etag), .. }))
                if bare(&etag) != bare(wanted) =>
            {
                format!("the object's ETag is {}", bare(&etag))
            }
            // To write is allowed where to read need not be; the store will check it.
            _ => return Ok(()),
        };
        let error = StoreError::new(Operation::HeadObject, Kind::Precondition, why);
        Err(Error::new(Step::Put, error))
    }

    /// Asks the store once more what it has, and compares that with the source read anew.
    async fn prove(&self) -> Result<(), Error> {
        let part_size = self.request.wishes.part_size;
        match verify(self.store, self.source, &self.request.target, part_size).await? {
            Verdict::Same(_) => {}
            Verdict::Different(mismatch) => return Err(Error::new(Step::Verify, mismatch)),
            Verdict::Unknown => {
                let notice = "the store tells the object's size and nothing else to verify it by";
                self.observer.event(&Event::Notice(notice));
            }
        }
        Ok(())
    }

    /// Checks that the source is still what was planned for.
    fn check_source(&self, step: Step) -> Result<(), Error> {
        self.source.check_unchanged().map_err(|e| Error::new(step, e))
    }

    /// Returns the error of a failed request: the source's own, where that is what went wrong.
    fn blame(&self, step: Step, error: StoreError) -> Error {
        if let Err(changed) = self.source.check_unchanged() {
            return Error::new(step, changed);
        }
        let no_object = error.has_code("NoSuchKey");
        if no_object && matches!(self.request.condition, Some(Condition::Matches(_))) {
            return Error::new(step, StoreError { kind: Kind::Precondition, ..error });
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
