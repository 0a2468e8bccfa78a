//! Trying again and sending stragglers a second time, under a clock that does not have to be waited for.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use s3chunk::error::Cause;
use s3chunk::event::{Event, Observer, Silent};
use s3chunk::store::{
    HedgePolicy, Hedging, Kind, Operation, RetryPolicy, Retrying, Store, StoreError, Upload,
};
use s3chunk::upload::{Request, Window, put};
use tokio::sync::Barrier;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::faulty::{Faulty, Lot};
use crate::support::memory::MemoryStore;
use crate::support::{MIB5, file, target};

/// Remembers the waits before retries.
#[derive(Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Observer for Waits {
    fn event(&self, event: &Event<'_>) {
        if let Event::Retrying { wait, .. } = event {
            self.0.lock().unwrap().push(*wait);
        }
    }
}

fn temporary(operation: Operation) -> StoreError {
    StoreError::new(operation, Kind::Temporary, "by the script")
}

/// A store that always fails in this way.
fn broken(error: impl Fn(Operation) -> StoreError + Send + Sync + 'static) -> Faulty<MemoryStore> {
    Faulty::new(MemoryStore::default(), move |operation, _, _| Lot::Fail(error(operation)))
}

fn policy() -> RetryPolicy {
    RetryPolicy { seed: Some(7), ..RetryPolicy::default() }
}

/// Asks for an object's head, and returns the waits before its retries.
async fn waits(store: Faulty<MemoryStore>) -> Vec<Duration> {
    let waits = Arc::new(Waits::default());
    let store = Retrying::new(store, policy(), waits.clone(), CancellationToken::new());
    assert!(store.head_object(&target("bucket/key"), None).await.is_err());
    let waits = waits.0.lock().unwrap().clone();
    assert_eq!(waits.len() as u64, store.retries());
    waits
}

#[tokio::test(start_paused = true)]
async fn waits_are_random_below_a_limit_that_doubles_up_to_a_cap() {
    let waits = waits(broken(temporary)).await;
    let policy = policy();
    assert_eq!(waits.len() as u32, policy.max_attempts - 1);
    for (at, wait) in waits.iter().enumerate() {
        assert!(*wait <= (policy.base * 2u32.pow(at as u32)).min(policy.cap), "{waits:?}");
    }
    let distinct = waits.iter().collect::<std::collections::HashSet<_>>().len();
    assert_eq!(distinct, waits.len(), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_names_a_time_is_given_it_within_reason() {
    let after = |seconds| {
        let named = Some(Duration::from_secs(seconds));
        broken(move |operation| StoreError { retry_after: named, ..temporary(operation) })
    };
    assert!(waits(after(7)).await.iter().all(|wait| *wait >= Duration::from_secs(7)));
    let reason = policy().retry_after_cap;
    assert!(waits(after(1_000_000)).await.iter().all(|wait| *wait == reason));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_will_repeat_is_not_asked_again() {
    for kind in
        [Kind::Denied, Kind::NotFound, Kind::Precondition, Kind::Refused, Kind::NoCredentials, Kind::Body]
    {
        let waits = waits(broken(move |operation| StoreError::new(operation, kind, ""))).await;
        assert!(waits.is_empty(), "{kind:?}");
    }
    for kind in [Kind::ClockSkew, Kind::ExpiredCredentials, Kind::Checksum] {
        let waits = waits(broken(move |operation| StoreError::new(operation, kind, ""))).await;
        assert_eq!(waits, [Duration::ZERO], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_multiply_the_load() {
    let store = Retrying::new(broken(temporary), policy(), Arc::new(Silent), CancellationToken::new());
    for _ in 0..1_000 {
        assert!(store.head_object(&target("bucket/key"), None).await.is_err());
    }
    assert!(store.retries() <= 100, "{} retries", store.retries());
}

#[tokio::test(start_paused = true)]
async fn once_it_is_time_to_stop_nothing_takes_long() {
    let stop = CancellationToken::new();
    stop.cancel();
    let began = Instant::now();
    let hangs = Faulty::new(MemoryStore::default(), |_, _, _| Lot::Hang);
    for store in [hangs, broken(temporary)] {
        let store = Retrying::new(store, policy(), Arc::new(Silent), stop.clone());
        let upload = Upload { target: target("bucket/key"), upload_id: "u".into() };
        assert!(store.abort_multipart_upload(&upload).await.is_err());
    }
    assert!(began.elapsed() <= Duration::from_secs(10), "by the test's own clock");
}

#[tokio::test(start_paused = true)]
async fn an_upload_survives_failures_that_pass() {
    let flaky = Faulty::new(MemoryStore::default(), |operation, _, before| match before {
        0 | 1 => Lot::Fail(temporary(operation)),
        _ => Lot::Pass,
    });
    let store = Retrying::new(flaky, policy(), Arc::new(Silent), CancellationToken::new());
    let (file, mut request) = (file(3 * MIB5), Request::new(target("bucket/key")));
    request.wishes.part_size = MIB5;
    let uploaded = put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await.unwrap();
    assert_eq!((uploaded.parts, store.retries()), (3, 2 * 5));
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_is_lost_leaves_no_second_upload() {
    let lossy = Faulty::new(MemoryStore::default(), |operation, _, before| match (operation, before) {
        (Operation::CreateMultipartUpload, 0) => {
            // Some stores keep time to the second.
            let since = SystemTime::now() - Duration::from_secs(1);
            Lot::Lose(StoreError { unknown_since: Some(since), ..temporary(operation) })
        }
        _ => Lot::Pass,
    });
    let store = Retrying::new(lossy, policy(), Arc::new(Silent), CancellationToken::new());
    let (file, mut request) = (file(2 * MIB5), Request::new(target("bucket/key")));
    request.wishes.part_size = MIB5;
    put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await.unwrap();
    let lossy = store.inner();
    assert_eq!((lossy.count(Operation::CreateMultipartUpload), lossy.store.unfinished()), (2, 0));
}

/// Part 4 is never answered, the first `times`.
fn straggling(times: usize) -> Faulty<MemoryStore> {
    Faulty::new(MemoryStore::default(), move |_, part, before| match part {
        Some(4) if before < times => Lot::Hang,
        _ => Lot::Pass,
    })
}

async fn upload_hedged(store: Faulty<MemoryStore>, places: usize) -> Option<usize> {
    let window = Window::new(places);
    let store = Hedging::new(store, HedgePolicy::default(), window.clone());
    let (file, mut request) = (file(6 * MIB5), Request::new(target("bucket/key")));
    (request.wishes.part_size, request.window) = (MIB5, window);
    let (source, stop) = (file.source(), CancellationToken::new());
    let uploaded =
        tokio::time::timeout(Duration::from_secs(3600), put(&store, &source, &request, &Silent, &stop));
    uploaded.await.ok()?.unwrap();
    assert!(store.inner().peak() <= places, "{} in flight", store.inner().peak());
    store.inner().part_counts().into_iter().find(|(number, _)| *number == 4).map(|(_, count)| count)
}

#[tokio::test(start_paused = true)]
async fn a_straggler_is_sent_a_second_time_beside_the_first() {
    assert_eq!(upload_hedged(straggling(1), 3).await, Some(2));
    assert_eq!(upload_hedged(straggling(0), 3).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_straggler_takes_no_place_that_is_not_free() {
    assert_eq!(upload_hedged(straggling(1), 1).await, None, "with one place there is no second try");
}

#[tokio::test(start_paused = true)]
async fn a_second_try_takes_a_place_that_other_uploads_then_wait_for() {
    let let_go = Arc::new(Barrier::new(2));
    let meet = Arc::clone(&let_go);
    let store = Faulty::new(MemoryStore::default(), move |_, part, before| match (part, before) {
        (Some(4), 0) => Lot::Hang,
        (Some(4), _) => Lot::Meet(Arc::clone(&meet)),
        _ => Lot::Pass,
    });
    let window = Window::new(2);
    let store = Hedging::new(store, HedgePolicy::default(), window.clone());
    let upload = async |key, parts, after| {
        tokio::time::sleep(after).await;
        let (file, mut request) = (file(parts * MIB5), Request::new(target(key)));
        (request.wishes.part_size, request.window) = (MIB5, window.clone());
        put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await.unwrap();
    };
    tokio::join!(
        upload("bucket/first", 4, Duration::ZERO),
        upload("bucket/second", 3, Duration::from_secs(30)),
        async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let_go.wait().await;
        },
    );
    assert_eq!((store.inner().peak(), store.inner().count(Operation::UploadPart)), (2, 8));
}

#[tokio::test(start_paused = true)]
async fn a_second_try_that_fails_leaves_it_to_the_first() {
    let store = Faulty::new(MemoryStore::default(), |operation, part, before| match (part, before) {
        (Some(4), 0) => Lot::Hang,
        (Some(4), _) => Lot::Fail(temporary(operation)),
        _ => Lot::Pass,
    });
    assert_eq!(upload_hedged(store, 3).await, None, "the first is waited for");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_for_good_is_tried_as_often_as_allowed_and_no_more() {
    let flaky = Faulty::new(MemoryStore::default(), |operation, part, _| match part {
        Some(2) => Lot::Fail(temporary(operation)),
        _ => Lot::Pass,
    });
    let policy = RetryPolicy { max_attempts: 3, ..policy() };
    let store = Retrying::new(flaky, policy, Arc::new(Silent), CancellationToken::new());
    let (file, mut request) = (file(3 * MIB5), Request::new(target("bucket/key")));
    request.wishes.part_size = MIB5;
    let failed = put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await;
    assert!(matches!(failed.unwrap_err().cause, Cause::Store(error) if error.is_temporary()));
    let counts = store.inner().part_counts();
    assert!(counts.contains(&(2, 3)), "{counts:?}");
    assert_eq!(store.inner().store.unfinished(), 0);
}
