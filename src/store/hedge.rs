//! A second try beside a slow one: a store around a store.
//!
//! One bad connection can hold an upload up long after all other parts are there. When a part takes far
//! longer than the others did, and its window has a place to spare, it is sent again over a connection
//! of its own; the first to finish wins. To store a part twice is harmless: it replaces itself.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};

use super::{
    BucketHead, CompleteMultipartUpload, CreateMultipartUpload, Created, ObjectHead, PartsPage, PutObject,
    Store, StoreError, Upload, UploadPart, UploadsMarker, UploadsPage, Written,
};
use crate::Target;
use crate::upload::Window;

/// When a part counts as a straggler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgePolicy {
    /// How many times longer than the median it must take.
    pub factor: u32,
    /// How long it must take at the least.
    pub floor: Duration,
}

impl Default for HedgePolicy {
    fn default() -> Self {
        HedgePolicy { factor: 4, floor: Duration::from_secs(3) }
    }
}

/// Parts whose times are remembered.
const REMEMBERED: usize = 32;

/// Parts that must be done before others can be called slow.
const ENOUGH: usize = 3;

/// A store that sends stragglers a second time.
pub struct Hedging<S> {
    store: S,
    policy: HedgePolicy,
    window: Window,
    /// How long the last parts took, per byte in nanoseconds.
    times: Mutex<Vec<f64>>,
}

impl<S: Store> Hedging<S> {
    /// Wraps `store`. A second try takes a place of `window`, as the first has one: it is to be that of the uploads.
    pub fn new(store: S, policy: HedgePolicy, window: Window) -> Self {
        Hedging { store, policy, window, times: Mutex::default() }
    }

    /// The store within.
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// How long a part of `size` bytes may take before it is a straggler; `None` while nothing is known.
    fn patience(&self, size: u64) -> Option<Duration> {
        let mut times = self.times.lock().ok()?.clone();
        if times.len() < ENOUGH {
            return None;
        }
        times.sort_by(f64::total_cmp);
        let median = Duration::from_nanos((times[times.len() / 2] * size.max(1) as f64) as u64);
        Some((median * self.policy.factor).max(self.policy.floor))
    }

    fn remember(&self, took: Duration, size: u64) {
        if let Ok(mut times) = self.times.lock() {
            if times.len() == REMEMBERED {
                times.remove(0);
            }
            times.push(took.as_nanos() as f64 / size.max(1) as f64);
        }
    }

    async fn send(&self, request: &UploadPart) -> Result<Written, StoreError> {
        let began = Instant::now();
        let answer = self.store.upload_part(request).await?;
        self.remember(began.elapsed(), request.body.len());
        Ok(answer)
    }
}

impl<S: Store> Store for Hedging<S> {
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
        self.store.throttled()
    }

    async fn put_object(&self, request: &PutObject) -> Result<Written, StoreError> {
        self.store.put_object(request).await
    }

    async fn create_multipart_upload(&self, request: &CreateMultipartUpload) -> Result<Created, StoreError> {
        self.store.create_multipart_upload(request).await
    }

    async fn upload_part(&self, request: &UploadPart) -> Result<Written, StoreError> {
        if request.once {
            return self.store.upload_part(request).await;
        }
        let first = self.send(request);
        tokio::pin!(first);
        let _place = loop {
            let size = request.body.len();
            let patience = self.patience(size).unwrap_or(self.policy.floor);
            match timeout(patience, &mut first).await {
                Ok(answer) => return answer,
                Err(_) if self.patience(size).is_some() => {
                    if let Some(place) = self.window.enter_if_idle() {
                        break place;
                    }
                }
                Err(_) => {}
            }
        };
        let again = UploadPart { fresh: true, ..request.clone() };
        let second = self.send(&again);
        tokio::pin!(second);
        // The one that fails leaves it to the other.
        tokio::select! {
            answer = &mut first => match answer {
                Ok(answer) => Ok(answer),
                Err(_) => second.await,
            },
            answer = &mut second => match answer {
                Ok(answer) => Ok(answer),
                Err(_) => first.await,
            },
        }
    }

    async fn complete_multipart_upload(
        &self,
        request: &CompleteMultipartUpload,
    ) -> Result<Written, StoreError> {
        self.store.complete_multipart_upload(request).await
    }

    async fn abort_multipart_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.store.abort_multipart_upload(upload).await
    }

    async fn list_parts(&self, upload: &Upload, after: Option<u32>) -> Result<PartsPage, StoreError> {
        self.store.list_parts(upload, after).await
    }

    async fn list_multipart_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&UploadsMarker>,
    ) -> Result<UploadsPage, StoreError> {
        self.store.list_multipart_uploads(bucket, prefix, after).await
    }

    async fn head_object(&self, target: &Target, part: Option<u32>) -> Result<ObjectHead, StoreError> {
        self.store.head_object(target, part).await
    }

    async fn head_bucket(&self, bucket: &str) -> Result<BucketHead, StoreError> {
        self.store.head_bucket(bucket).await
    }

    async fn delete_object(&self, target: &Target, version_id: Option<&str>) -> Result<(), StoreError> {
        self.store.delete_object(target, version_id).await
    }
}
