//! The engine: a whole upload, in S3's three steps or in one.
//!
//! Knows order, the bounded window, and cleaning up; knows no S3 library, no terminal and no clock.
//! [`put`] is the story, and each step has a file named after it.

mod abort;
mod complete;
mod expect;
mod initiate;
mod integrity;
mod probe;
mod put_object;
mod resume;
mod trailer;
mod unfinished;
mod upload_part;
mod verify;
mod window;

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

pub use abort::abort;
pub use expect::Expect;
pub use integrity::ChecksumWish;
pub(crate) use integrity::refuses_checksum;
pub use trailer::Trailers;
pub use unfinished::{Held, Unfinished, unfinished, uploads_of};
pub use verify::{Proof, Verdict, verify};
pub use window::{Place, Window};

use crate::Target;
use crate::checksum::{Checksum, Wanted};
use crate::error::{Cause, Error, Step};
use crate::event::{Event, Observer};
use crate::plan::{Parts, Plan, Wishes};
use crate::source::{FileSource, Part, Source, SourceError, StreamSource};
use crate::store::{
    Attributes, CompletedPart, Condition, Kind, ObjectHead, Operation, Store, StoreError, Upload, Written,
};
use complete::{Expected, compare_head, is_same};
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
    /// How much may be in flight at once; uploads at the same time may share it.
    pub window: Window,
    /// How the store is to check the bytes.
    pub checksum: ChecksumWish,
    /// Whether the checksum goes before the bytes or behind them.
    pub trailers: Trailers,
    /// What is said of the object.
    pub attributes: Attributes,
    /// What must hold for the object to be made.
    pub condition: Option<Condition>,
    /// Whether to go on with an upload that is there, and to leave one there on a failure.
    pub resume: bool,
    /// What the source must be for the object to be made.
    pub expect: Expect,
    /// Whether to look at the finished object, whatever the store's answers have proved.
    pub verify: bool,
}

impl Request {
    /// Returns a request with the defaults.
    pub fn new(target: Target) -> Self {
        Request {
            target,
            wishes: Wishes::default(),
            window: Window::new(DEFAULT_CONCURRENCY),
            checksum: ChecksumWish::Auto,
            trailers: Trailers::Auto,
            attributes: Attributes::new(),
            condition: None,
            resume: false,
            expect: Expect::default(),
            verify: false,
        }
    }
}

/// A finished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Size of the object in bytes.
    pub size: u64,
    /// The number of its parts; 1 where it went in a single request.
    pub parts: u32,
    /// Size of its first parts in bytes; those of a stream may be larger later.
    pub part_size: u64,
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
    fn new(size: u64, parts: u32, part_size: u64, answer: Written) -> Self {
        let Written { etag, version_id, checksum, .. } = answer;
        Uploaded {
            size,
            parts,
            part_size,
            etag,
            version_id,
            checksum,
            upload_id: None,
            resumed: false,
            reused_parts: 0,
            reused_bytes: 0,
        }
    }
}

/// What every step of one upload works with.
struct Job<'a, S> {
    store: &'a S,
    source: Source<'a>,
    request: &'a Request,
    observer: &'a dyn Observer,
    stop: &'a CancellationToken,
}

/// The first part, as far as it is there, and a place for it.
struct Next {
    place: Place,
    /// `None` for the first that the source gives.
    part: Option<Part>,
}

/// Uploads `source`. When it returns an error, nothing is left in the store but what the error names.
///
/// When `stop` is cancelled, the parts in flight are stopped and the upload dropped, or kept where it is to
/// be resumed. What has been asked of the store and can't be taken back, its start and its completion, is
/// waited for as long as the store's patience lasts ([`Retrying`](crate::store::Retrying) has little then).
///
/// # Errors
/// At the first step, and for the first part, that fails for good; or when the source changed.
pub async fn put<'a, S: Store>(
    store: &'a S,
    source: impl Into<Source<'a>>,
    request: &'a Request,
    observer: &'a dyn Observer,
    stop: &'a CancellationToken,
) -> Result<Uploaded, Error> {
    if !request.target.is_object() {
        return Err(Error::new(Step::Plan, Cause::NoKey));
    }
    let job = Job { store, source: source.into(), request, observer, stop };
    match job.source {
        Source::File(file) => job.put_file(file).await,
        Source::Stream(stream) => job.put_stream(stream).await,
    }
}

/// Looks whether the condition of a request holds, before a byte is sent: a store may check it at the very
/// end, or not at all.
///
/// # Errors
/// When it does not.
pub async fn check_condition<S: Store>(store: &S, request: &Request) -> Result<(), Error> {
    let Some(condition) = &request.condition else { return Ok(()) };
    let head = store.head_object(&request.target, None).await;
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

/// Returns what ended an upload: whoever stopped it, where what then failed had too little time.
fn stopped(error: Error, stop: &CancellationToken) -> Error {
    match stop.is_cancelled() && error.store_error().is_some_and(StoreError::is_temporary) {
        true => Error::new(Step::Stop, Cause::Interrupted),
        false => error,
    }
}

impl<S: Store> Job<'_, S> {
    async fn put_file(&self, file: &FileSource) -> Result<Uploaded, Error> {
        let plan = Plan::new(file.size(), self.request.wishes).map_err(|e| Error::new(Step::Plan, e))?;
        self.planned(Some(&plan));
        // One place for all that comes before the first part, so that many uploads do not begin at once.
        let place = self.unless_stopped(self.request.window.enter()).await?;
        self.unless_stopped(self.check_expected(file)).await??;
        self.unless_stopped(check_condition(self.store, self.request)).await??;
        let (uploaded, expected) = match plan {
            Plan::Single { size } => self.unless_stopped(self.put_object(file.part(0..size))).await??,
            Plan::Multipart(parts) => {
                let (started, reused) = self.begin(parts).await?;
                self.three_steps(started, reused, Next { place, part: None }).await?
            }
        };
        self.finally(uploaded, &expected).await
    }

    async fn put_stream(&self, stream: &StreamSource) -> Result<Uploaded, Error> {
        let wishes = self.request.wishes;
        let size = self.request.expect.size;
        // A plan for nothing tells at least whether the wishes are S3's to take.
        let plan = Plan::new(size.unwrap_or(0), wishes).map_err(|e| Error::new(Step::Plan, e))?;
        let plan = size.map(|_| plan);
        self.planned(plan.as_ref());
        let parts = match plan {
            Some(Plan::Multipart(parts)) => Some(parts),
            _ => None,
        };
        let place = self.unless_stopped(self.request.window.enter()).await?;
        self.unless_stopped(check_condition(self.store, self.request)).await??;
        let wanted = Wanted {
            checksum: self.request.checksum.algorithm(),
            md5: false,
            sha256: self.store.signs_payload(),
        };
        let first = async {
            let size = parts.map_or(wishes.part_size, |parts| parts.part_size());
            let part = stream.next(size, wanted).await?;
            Ok::<_, SourceError>((stream.is_at_end().await?, part))
        };
        let first = self.unless_stopped(first).await?;
        let (whole, part) = first.map_err(|e| Error::new(Step::Put, e))?;
        let (uploaded, expected) = if whole {
            self.unless_stopped(self.finish_source(Step::Put)).await??;
            self.unless_stopped(self.put_object(part)).await??
        } else {
            if parts.is_none() {
                self.check_going_on(stream)?;
            }
            let started = self.initiate(parts).await.map_err(|error| stopped(error, self.stop))?;
            self.three_steps(started, Vec::new(), Next { place, part: Some(part) }).await?
        };
        self.finally(uploaded, &expected).await
    }

    fn planned(&self, plan: Option<&Plan>) {
        let (size, parts) = (plan.map(Plan::size), plan.map(Plan::count));
        self.observer.event(&Event::Planned { size, parts });
    }

    /// Looks at the finished object, where that is wanted.
    async fn finally(&self, uploaded: Uploaded, expected: &Expected) -> Result<Uploaded, Error> {
        if self.request.verify {
            let proved = self.unless_stopped(self.prove(expected)).await;
            proved.map_err(|error| Error { step: Step::Verify, ..error })??;
        }
        Ok(uploaded)
    }

    async fn three_steps(
        &self,
        started: Started,
        reused: Vec<CompletedPart>,
        next: Next,
    ) -> Result<(Uploaded, Expected), Error> {
        let reused_parts = u32::try_from(reused.len()).unwrap_or(u32::MAX);
        let reused_bytes = reused.iter().map(|part| part.size).sum();
        let steps = async {
            let stored = self.unless_stopped(self.upload_parts(&started, reused, Some(next))).await??;
            self.unless_stopped(self.finish_source(Step::Complete)).await??;
            // What has been asked for can't be taken back: the answer is waited for, if not for long.
            self.complete(&started, stored).await
        };
        let outcome = AssertUnwindSafe(steps).catch_unwind().await;
        let outcome = outcome.map(|done| done.map_err(|error| stopped(error, self.stop)));
        let ended = match outcome {
            Ok(Ok((uploaded, expected))) => {
                let resumed = started.resumed;
                Ok((Uploaded { resumed, reused_parts, reused_bytes, ..uploaded }, expected))
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
    async fn begin(&self, parts: Parts) -> Result<(Started, Vec<CompletedPart>), Error> {
        if self.request.resume
            && let Some(found) = self.unless_stopped(self.resume(parts)).await??
        {
            return Ok(found);
        }
        let started = self.initiate(Some(parts)).await.map_err(|error| stopped(error, self.stop))?;
        Ok((started, Vec::new()))
    }

    /// Does what can be left off at any time, unless somebody asks to stop.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.stop.cancelled() => Err(Error::new(Step::Stop, Cause::Interrupted)),
        }
    }

    /// Asks the store once more what it has, and compares that with the source read anew, or with what was
    /// computed of a stream while it was read.
    async fn prove(&self, expected: &Expected) -> Result<(), Error> {
        let target = &self.request.target;
        let known = match self.source {
            Source::File(file) => {
                match verify(self.store, file, target, self.request.wishes.part_size).await? {
                    Verdict::Same(_) => true,
                    Verdict::Different(mismatch) => return Err(Error::new(Step::Verify, mismatch)),
                    Verdict::Unknown => false,
                }
            }
            Source::Stream(_) => {
                let head = self.store.head_object(target, None).await;
                let head = head.map_err(|e| Error::new(Step::Verify, e))?;
                compare_head(&head, expected).map_err(|e| Error::new(Step::Verify, e))?;
                is_same(&head, expected)
            }
        };
        if !known {
            let notice = "the store tells the object's size and nothing else to verify it by";
            self.observer.event(&Event::Notice(notice));
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
            return Error::new(step, self.source.unreadable(std::io::Error::other(error.message)));
        }
        Error::new(step, error)
    }

    fn upload(&self, upload_id: String) -> Upload {
        Upload { target: self.request.target.clone(), upload_id }
    }
}
