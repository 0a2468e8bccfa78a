//! Trying again: a store around a store. The only file that waits.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::{
    BucketHead, CompleteMultipartUpload, CreateMultipartUpload, Created, Kind, ObjectHead, Operation,
    PartsPage, PutObject, Store, StoreError, Upload, UploadPart, UploadsMarker, UploadsPage, Written,
};
use crate::Target;
use crate::event::{Event, Observer};

/// How often and how long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries of one request, the first included; at least 1.
    pub max_attempts: u32,
    /// The most to wait before the second try.
    pub base: Duration,
    /// The most to wait before any try that the store names no time for.
    pub cap: Duration,
    /// The most to wait where the store names a time (`Retry-After`).
    pub retry_after_cap: Duration,
    /// Seed of the jitter; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            max_attempts: 8,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(20),
            retry_after_cap: Duration::from_secs(60),
            seed: None,
        }
    }
}

/// What a retry may cost of the [budget](Retrying), and what a success pays back.
const RETRY_COST: u64 = 5;

/// Retries that all requests together may spend before successes must pay for more: in an outage,
/// many parts that each try eight times would multiply the load.
const BUDGET: u64 = 100 * RETRY_COST;

/// How long a try may take once it is time to stop.
const HURRY: Duration = Duration::from_secs(2);

/// Tries of a request once it is time to stop.
const HURRIED_TRIES: u32 = 2;

/// A store that tries again what may succeed later: exponential backoff with full jitter.
pub struct Retrying<S> {
    store: S,
    policy: RetryPolicy,
    chance: Mutex<fastrand::Rng>,
    budget: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    stop: CancellationToken,
    observer: Arc<dyn Observer>,
}

impl<S: Store> Retrying<S> {
    /// Wraps `store`; each retry is told to `observer`. Once `stop` is cancelled there is little patience
    /// left: what then still has to be done must not take long.
    pub fn new(store: S, policy: RetryPolicy, observer: Arc<dyn Observer>, stop: CancellationToken) -> Self {
        let chance = policy.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Retrying {
            store,
            policy,
            chance: Mutex::new(chance),
            budget: AtomicU64::new(BUDGET),
            retries: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            stop,
            observer,
        }
    }

    /// The store within.
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// The number of retries so far.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    async fn persist<T, F>(
        &self,
        operation: Operation,
        key: &str,
        part: Option<u32>,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.persist_since(operation, key, part, attempt).await.map(|(answer, _)| answer)
    }

    /// Tries until there is an answer to keep. Returns it with the time of the first try whose outcome is
    /// not known, by our clock.
    async fn persist_since<T, F>(
        &self,
        operation: Operation,
        key: &str,
        part: Option<u32>,
        attempt: impl Fn() -> F,
    ) -> Result<(T, Option<SystemTime>), StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = Tries::default();
        loop {
            let mut error = match self.limit(operation, attempt()).await {
                Ok(answer) => {
                    self.earn();
                    return Ok((answer, tries.unknown_since));
                }
                Err(error) => error,
            };
            if error.kind == Kind::Throttled {
                self.throttled.fetch_add(1, Relaxed);
            }
            // What an earlier, lost answer did stays unknown however the later ones read.
            tries.unknown_since = tries.unknown_since.or(error.unknown_since);
            error.unknown_since = tries.unknown_since;
            let Some(wait) = self.wait(&mut tries, &error) else { return Err(error) };
            self.retries.fetch_add(1, Relaxed);
            self.observer.event(&Event::Retrying { key, part, error: &error, wait });
            if !wait.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.stop.cancelled() => {}
                }
            }
        }
    }

    /// Lets a try take as long as it takes, until it is time to stop.
    async fn limit<T>(
        &self,
        operation: Operation,
        attempt: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = SystemTime::now();
        let late = async {
            self.stop.cancelled().await;
            tokio::time::sleep(HURRY).await;
        };
        tokio::select! {
            biased;
            answer = attempt => answer,
            () = late => {
                let error = StoreError::new(operation, Kind::Temporary, "no answer in the time that was left");
                Err(StoreError { unknown_since: Some(began), ..error })
            }
        }
    }

    /// How long to wait before another try; `None` for no other.
    fn wait(&self, tries: &mut Tries, error: &StoreError) -> Option<Duration> {
        match error.kind {
            Kind::Temporary | Kind::Throttled => {}
            // Once: the gateway has learnt the store's clock, or will fetch credentials anew.
            Kind::ClockSkew if !tries.clock => {
                tries.clock = true;
                return Some(Duration::ZERO);
            }
            Kind::ExpiredCredentials if !tries.credentials => {
                tries.credentials = true;
                return Some(Duration::ZERO);
            }
            // Once: bytes damaged on the way may arrive whole the next time.
            Kind::Checksum if !tries.checksum => {
                tries.checksum = true;
                return Some(Duration::ZERO);
            }
            _ => return None,
        }
        tries.failed += 1;
        tries.hurried += u32::from(self.stop.is_cancelled());
        if self.stop.is_cancelled() && !tidies_up(error.operation) {
            return None;
        }
        let enough = tries.failed >= self.policy.max_attempts || tries.hurried >= HURRIED_TRIES;
        if enough || !self.spend() {
            return None;
        }
        let most = self.policy.base.saturating_mul(1 << (tries.failed - 1).min(20)).min(self.policy.cap);
        let jitter = match self.chance.lock() {
            Ok(mut chance) => most.mul_f64(chance.f64()),
            Err(_) => most,
        };
        Some(match error.retry_after {
            Some(asked) => asked.min(self.policy.retry_after_cap).max(jitter),
            None => jitter,
        })
    }

    fn spend(&self) -> bool {
        self.budget.fetch_update(Relaxed, Relaxed, |budget| budget.checked_sub(RETRY_COST)).is_ok()
    }

    fn earn(&self) {
        let _ = self.budget.fetch_update(Relaxed, Relaxed, |budget| Some((budget + 1).min(BUDGET)));
    }
}

/// Whether an operation is one by which an upload ends, in order or not: after all others, nobody waits
/// any more.
fn tidies_up(operation: Operation) -> bool {
    !matches!(operation, Operation::PutObject | Operation::CreateMultipartUpload | Operation::UploadPart)
}

/// What one request has been through.
#[derive(Default)]
struct Tries {
    failed: u32,
    hurried: u32,
    clock: bool,
    credentials: bool,
    checksum: bool,
    unknown_since: Option<SystemTime>,
}

impl<S: Store> Store for Retrying<S> {
    fn signs_payload(&self) -> bool {
        self.store.signs_payload()
    }

    fn takes_trailers(&self) -> bool {
        self.store.takes_trailers()
    }

    fn their_time(&self, ours: SystemTime) -> SystemTime {
        self.store.their_time(ours)
    }

    fn throttled(&self) -> u64 {
        self.throttled.load(Relaxed)
    }

    async fn put_object(&self, request: &PutObject) -> Result<Written, StoreError> {
        let key = request.target.key();
        self.persist(Operation::PutObject, key, None, || self.store.put_object(request)).await
    }

    async fn create_multipart_upload(&self, request: &CreateMultipartUpload) -> Result<Created, StoreError> {
        let create = || self.store.create_multipart_upload(request);
        let (operation, key) = (Operation::CreateMultipartUpload, request.target.key());
        let (created, lost) = self.persist_since(operation, key, None, create).await?;
        Ok(Created { lost_since: lost.or(created.lost_since), ..created })
    }

    async fn upload_part(&self, request: &UploadPart) -> Result<Written, StoreError> {
        if request.once {
            return self.store.upload_part(request).await;
        }
        let (key, part) = (request.upload.target.key(), Some(request.number));
        self.persist(Operation::UploadPart, key, part, || self.store.upload_part(request)).await
    }

    async fn complete_multipart_upload(
        &self,
        request: &CompleteMultipartUpload,
    ) -> Result<Written, StoreError> {
        let (operation, key) = (Operation::CompleteMultipartUpload, request.upload.target.key());
        self.persist(operation, key, None, || self.store.complete_multipart_upload(request)).await
    }

    async fn abort_multipart_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let (operation, key) = (Operation::AbortMultipartUpload, upload.target.key());
        self.persist(operation, key, None, || self.store.abort_multipart_upload(upload)).await
    }

    async fn list_parts(&self, upload: &Upload, after: Option<u32>) -> Result<PartsPage, StoreError> {
        let key = upload.target.key();
        self.persist(Operation::ListParts, key, None, || self.store.list_parts(upload, after)).await
    }

    async fn list_multipart_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&UploadsMarker>,
    ) -> Result<UploadsPage, StoreError> {
        self.persist(Operation::ListMultipartUploads, prefix, None, || {
            self.store.list_multipart_uploads(bucket, prefix, after)
        })
        .await
    }

    async fn head_object(&self, target: &Target, part: Option<u32>) -> Result<ObjectHead, StoreError> {
        let key = target.key();
        self.persist(Operation::HeadObject, key, None, || self.store.head_object(target, part)).await
    }

    async fn head_bucket(&self, bucket: &str) -> Result<BucketHead, StoreError> {
        self.persist(Operation::HeadBucket, "", None, || self.store.head_bucket(bucket)).await
    }

    async fn delete_object(&self, target: &Target, version_id: Option<&str>) -> Result<(), StoreError> {
        self.persist(Operation::DeleteObject, target.key(), None, || {
            self.store.delete_object(target, version_id)
        })
        .await
    }
}
