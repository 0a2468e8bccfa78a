//! A store around a store, which fails where a test says so and counts what passes through.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use s3chunk::Target;
use s3chunk::store::{
    BucketHead, CompleteMultipartUpload, CreateMultipartUpload, Created, ObjectHead, Operation, PartsPage,
    PutObject, Store, StoreError, Upload, UploadPart, UploadsMarker, UploadsPage, Written,
};

use tokio::sync::Barrier;

/// Decides of a call: its operation, its part's number, how many like it went before.
type Script = dyn Fn(Operation, Option<u32>, usize) -> Lot + Send + Sync;

/// What becomes of a call.
pub(crate) enum Lot {
    /// It is done, and answered.
    Pass,
    /// It is not done, and this is the answer.
    Fail(StoreError),
    /// It is done, and this is the answer all the same.
    Lose(StoreError),
    /// It is never answered.
    Hang,
    /// It waits for as many others as the barrier has room for, and is then done.
    Meet(Arc<Barrier>),
    /// The code that asks for it ends in a panic.
    Panic,
}

/// A store that fails by a script.
pub(crate) struct Faulty<S> {
    pub(crate) store: S,
    script: Box<Script>,
    counts: Mutex<BTreeMap<(String, Option<u32>), usize>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
}

impl<S> Faulty<S> {
    pub(crate) fn new(
        store: S,
        script: impl Fn(Operation, Option<u32>, usize) -> Lot + Send + Sync + 'static,
    ) -> Self {
        Faulty {
            store,
            script: Box::new(script),
            counts: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    /// The number of calls of an operation.
    pub(crate) fn count(&self, operation: Operation) -> usize {
        let counts = self.counts.lock().unwrap();
        counts.iter().filter(|((name, _), _)| *name == operation.to_string()).map(|(_, n)| n).sum()
    }

    /// The number of calls.
    pub(crate) fn total(&self) -> usize {
        self.counts.lock().unwrap().values().sum()
    }

    /// How often each part was sent.
    pub(crate) fn part_counts(&self) -> Vec<(u32, usize)> {
        let counts = self.counts.lock().unwrap();
        counts.iter().filter_map(|((_, part), n)| Some(((*part)?, *n))).collect()
    }

    /// The most parts that were in flight at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    async fn call<T>(
        &self,
        operation: Operation,
        part: Option<u32>,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let before = {
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry((operation.to_string(), part)).or_default();
            *count += 1;
            *count - 1
        };
        match (self.script)(operation, part, before) {
            Lot::Pass => call.await,
            Lot::Fail(error) => Err(error),
            Lot::Lose(error) => call.await.and(Err(error)),
            Lot::Meet(others) => {
                others.wait().await;
                call.await
            }
            Lot::Hang => std::future::pending().await,
            Lot::Panic => panic!("as the script says"),
        }
    }
}

/// Counts a part as in flight for as long as it lives.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl<S: Store> Store for Faulty<S> {
    fn signs_payload(&self) -> bool {
        self.store.signs_payload()
    }

    fn takes_trailers(&self) -> bool {
        self.store.takes_trailers()
    }

    async fn put_object(&self, request: &PutObject) -> Result<Written, StoreError> {
        self.call(Operation::PutObject, None, self.store.put_object(request)).await
    }

    async fn create_multipart_upload(&self, request: &CreateMultipartUpload) -> Result<Created, StoreError> {
        let operation = Operation::CreateMultipartUpload;
        self.call(operation, None, self.store.create_multipart_upload(request)).await
    }

    async fn upload_part(&self, request: &UploadPart) -> Result<Written, StoreError> {
        self.peak.fetch_max(self.in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        let _in_flight = InFlight(&self.in_flight);
        // Others get their turn, so that as many are in flight as the engine allows.
        tokio::task::yield_now().await;
        self.call(Operation::UploadPart, Some(request.number), self.store.upload_part(request)).await
    }

    async fn complete_multipart_upload(
        &self,
        request: &CompleteMultipartUpload,
    ) -> Result<Written, StoreError> {
        let operation = Operation::CompleteMultipartUpload;
        self.call(operation, None, self.store.complete_multipart_upload(request)).await
    }

    async fn abort_multipart_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        assert_eq!(self.in_flight.load(SeqCst), 0, "parts are in flight while the upload is aborted");
        self.call(Operation::AbortMultipartUpload, None, self.store.abort_multipart_upload(upload)).await
    }

    async fn list_parts(&self, upload: &Upload, after: Option<u32>) -> Result<PartsPage, StoreError> {
        self.call(Operation::ListParts, None, self.store.list_parts(upload, after)).await
    }

    async fn list_multipart_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&UploadsMarker>,
    ) -> Result<UploadsPage, StoreError> {
        let operation = Operation::ListMultipartUploads;
        self.call(operation, None, self.store.list_multipart_uploads(bucket, prefix, after)).await
    }

    async fn head_object(&self, target: &Target, part: Option<u32>) -> Result<ObjectHead, StoreError> {
        self.call(Operation::HeadObject, None, self.store.head_object(target, part)).await
    }

    async fn head_bucket(&self, bucket: &str) -> Result<BucketHead, StoreError> {
        self.call(Operation::HeadBucket, None, self.store.head_bucket(bucket)).await
    }

    async fn delete_object(&self, target: &Target, version_id: Option<&str>) -> Result<(), StoreError> {
        self.call(Operation::DeleteObject, None, self.store.delete_object(target, version_id)).await
    }
}
