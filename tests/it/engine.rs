//! The engine over stores that fail.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use s3chunk::Error;
use s3chunk::checksum::{Algorithm, Checksum};
use s3chunk::error::{Cause, Fate, Step};
use s3chunk::event::{Event, Observer, Silent};
use s3chunk::source::{Change, SourceError};
use s3chunk::store::{Kind, Operation, RetryPolicy, Retrying, Store, StoreError};
use s3chunk::upload::{Request, Uploaded, Window, put};
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::support::faulty::{Faulty, Lot};
use crate::support::memory::MemoryStore;
use crate::support::{MIB5, TestFile, file, target};

fn request() -> Request {
    let mut request = Request::new(target("bucket/key"));
    request.wishes.part_size = MIB5;
    request.window = Window::new(3);
    request
}

async fn upload<S: Store>(store: &S, file: &TestFile, request: &Request) -> Result<Uploaded, Error> {
    put(store, &file.source(), request, &Silent, &CancellationToken::new()).await
}

fn error(operation: Operation, kind: Kind) -> StoreError {
    StoreError::new(operation, kind, "by the script")
}

/// Fails one operation, always.
fn failing(failing: Operation, kind: Kind) -> Faulty<MemoryStore> {
    Faulty::new(MemoryStore::default(), move |operation, _, _| match operation == failing {
        true => Lot::Fail(error(operation, kind)),
        false => Lot::Pass,
    })
}

fn passing() -> Faulty<MemoryStore> {
    Faulty::new(MemoryStore::default(), |_, _, _| Lot::Pass)
}

#[tokio::test]
async fn up_to_a_chunk_is_one_request_and_more_is_three_steps() {
    for (size, calls) in [(0, 1), (1, 1), (MIB5 - 1, 1), (MIB5, 1), (MIB5 + 1, 4), (3 * MIB5, 5)] {
        let (store, file) = (passing(), file(size));
        let uploaded = upload(&store, &file, &request()).await.unwrap();
        let object = store.store.object("key").unwrap();
        assert!(object.bytes == file.bytes, "{size} bytes");
        assert_eq!(uploaded.etag, Some(object.etag));
        assert_eq!(uploaded.checksum, Some(Checksum::of(Algorithm::Crc64Nvme, &file.bytes)));
        assert_eq!(store.total(), calls, "{size} bytes");
    }
}

#[tokio::test]
async fn the_first_failed_part_stops_the_rest_and_drops_the_upload() {
    let store = Faulty::new(MemoryStore::default(), |operation, part, _| match (operation, part) {
        (_, Some(2)) => Lot::Fail(error(operation, Kind::Denied)),
        // Those that began with it must not be waited for.
        (_, Some(1 | 3)) => Lot::Hang,
        _ => Lot::Pass,
    });
    let error = upload(&store, &file(10 * MIB5), &request()).await.unwrap_err();
    assert_eq!(error.step, Step::UploadPart { number: 2, count: Some(10) });
    assert!(error.left.is_none());
    assert_eq!(store.store.unfinished(), 0);
    assert!(store.count(Operation::UploadPart) <= 4);
}

#[tokio::test]
async fn nothing_is_left_whichever_step_fails() {
    for operation in
        [Operation::CreateMultipartUpload, Operation::UploadPart, Operation::CompleteMultipartUpload]
    {
        for kind in [Kind::Denied, Kind::Refused, Kind::Temporary, Kind::NotFound, Kind::Precondition] {
            let store = failing(operation, kind);
            let error = upload(&store, &file(2 * MIB5), &request()).await.unwrap_err();
            assert_eq!(error.store_error().map(|e| e.kind), Some(kind));
            assert!(error.left.is_none(), "{operation} {kind:?}");
            assert_eq!(store.store.unfinished(), 0, "{operation} {kind:?}");
            assert!(store.store.object("key").is_none());
        }
    }
}

#[tokio::test]
async fn an_abort_that_fails_is_said_with_the_upload() {
    let store = Faulty::new(MemoryStore::default(), |operation, _, _| match operation {
        Operation::UploadPart | Operation::AbortMultipartUpload => Lot::Fail(error(operation, Kind::Denied)),
        _ => Lot::Pass,
    });
    let error = upload(&store, &file(2 * MIB5), &request()).await.unwrap_err();
    let left = error.left.unwrap();
    assert_eq!(left.upload.upload_id, "upload-1");
    let Fate::Stuck(Some(cause)) = left.fate else { panic!("{:?}", left.fate) };
    assert_eq!(cause.operation, Operation::AbortMultipartUpload);
}

#[tokio::test]
async fn a_panic_drops_the_upload_too() {
    let store = Arc::new(Faulty::new(MemoryStore::default(), |_, part, _| match part {
        Some(2) => Lot::Panic,
        _ => Lot::Pass,
    }));
    let running = Arc::clone(&store);
    let run = tokio::spawn(async move { upload(&*running, &file(2 * MIB5), &request()).await.is_ok() });
    assert!(run.await.unwrap_err().is_panic());
    assert!(store.count(Operation::UploadPart) > 0);
    assert_eq!(store.store.unfinished(), 0);
}

/// Cancels a token at an event.
struct StopAt(CancellationToken, fn(&Event<'_>) -> bool);

impl Observer for StopAt {
    fn event(&self, event: &Event<'_>) {
        if (self.1)(event) {
            self.0.cancel();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_it_at_any_step_finds_nothing_left() {
    type Moment = fn(&Event<'_>) -> bool;
    let moments: [(Moment, Operation); 4] = [
        (|event| matches!(event, Event::Planned { .. }), Operation::UploadPart),
        (|event| matches!(event, Event::Initiated(_)), Operation::UploadPart),
        (|event| matches!(event, Event::Stored { .. }), Operation::UploadPart),
        (|event| matches!(event, Event::Completing), Operation::CompleteMultipartUpload),
    ];
    for (moment, hangs) in moments {
        let store = Faulty::new(MemoryStore::default(), move |operation, part, _| {
            match operation == hangs && part != Some(1) {
                true => Lot::Hang,
                false => Lot::Pass,
            }
        });
        let (file, stop) = (file(2 * MIB5), CancellationToken::new());
        let observer = StopAt(stop.clone(), moment);
        // Its patience ends the wait for what can't be taken back.
        let store = Retrying::new(store, RetryPolicy::default(), Arc::new(Silent), stop.clone());
        let ended = put(&store, &file.source(), &request(), &observer, &stop).await;
        assert!(matches!(ended.unwrap_err().cause, Cause::Interrupted));
        let store = &store.inner().store;
        assert_eq!(store.unfinished(), 0);
        assert!(store.object("key").is_none());
    }
}

#[tokio::test]
async fn a_file_that_changes_makes_no_object() {
    struct Truncate(Mutex<Option<std::path::PathBuf>>);
    impl Observer for Truncate {
        fn event(&self, event: &Event<'_>) {
            if matches!(event, Event::Stored { .. })
                && let Some(path) = self.0.lock().unwrap().take()
            {
                std::fs::OpenOptions::new().append(true).open(path).unwrap().set_len(0).unwrap();
            }
        }
    }
    let (store, file) = (passing(), file(4 * MIB5));
    let truncate = Truncate(Mutex::new(Some(file.path.clone())));
    let mut request = request();
    request.window = Window::new(1);
    let ended = put(&store, &file.source(), &request, &truncate, &CancellationToken::new()).await;
    let cause = ended.unwrap_err().cause;
    let expected = Change::Size { before: 4 * MIB5, now: 0 };
    assert!(matches!(cause, Cause::Source(SourceError::Changed { change, .. }) if change == expected));
    assert!(store.store.object("key").is_none());
    assert_eq!(store.store.unfinished(), 0);
}

#[tokio::test]
async fn a_lost_answer_to_complete_is_cleared_up_by_a_look_at_the_object() {
    let lost = |operation| StoreError {
        unknown_since: Some(SystemTime::now()),
        ..error(operation, Kind::Temporary)
    };
    let done = Faulty::new(MemoryStore::default(), move |operation, _, _| match operation {
        Operation::CompleteMultipartUpload => Lot::Lose(lost(operation)),
        _ => Lot::Pass,
    });
    let file = file(2 * MIB5);
    let uploaded = upload(&done, &file, &request()).await.unwrap();
    assert_eq!(uploaded.etag, done.store.object("key").map(|object| object.etag));

    let undone = Faulty::new(MemoryStore::default(), move |operation, _, _| match operation {
        Operation::CompleteMultipartUpload => Lot::Fail(lost(operation)),
        _ => Lot::Pass,
    });
    let error = upload(&undone, &file, &request()).await.unwrap_err();
    assert_eq!(error.store_error().map(|e| e.operation), Some(Operation::CompleteMultipartUpload));
    assert_eq!(undone.store.unfinished(), 0);
}

#[tokio::test]
async fn another_object_of_that_key_is_not_taken_for_ours() {
    let lost = |operation| StoreError {
        unknown_since: Some(SystemTime::now()),
        ..error(operation, Kind::Temporary)
    };
    let store = Faulty::new(MemoryStore::default(), move |operation, _, before| match operation {
        Operation::CompleteMultipartUpload if before > 0 => Lot::Fail(lost(operation)),
        _ => Lot::Pass,
    });
    upload(&store, &file(2 * MIB5), &request()).await.unwrap();
    let mut other = file(2 * MIB5);
    other.bytes[0] ^= 1;
    std::fs::write(&other.path, &other.bytes).unwrap();
    assert!(upload(&store, &other, &request()).await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn never_more_than_so_many_in_flight_and_every_byte_once(
        extra in 1..MIB5, parts in 1u64..6, concurrency in 1usize..5,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (store, file) = (passing(), file(parts * MIB5 + extra));
        let request = Request { window: Window::new(concurrency), ..request() };
        runtime.block_on(upload(&store, &file, &request)).unwrap();
        prop_assert!(store.store.object("key").unwrap().bytes == file.bytes);
        prop_assert!(store.peak() <= concurrency, "{} in flight", store.peak());
        let once: Vec<_> = (1..=u32::try_from(parts).unwrap() + 1).map(|number| (number, 1)).collect();
        prop_assert_eq!(store.part_counts(), once);
    }
}

#[tokio::test]
async fn as_many_are_in_flight_as_are_asked_for() {
    let three = Arc::new(Barrier::new(3));
    let store = Faulty::new(MemoryStore::default(), move |_, part, _| match part {
        // No part goes on before three have come.
        Some(_) => Lot::Meet(Arc::clone(&three)),
        None => Lot::Pass,
    });
    let file = file(9 * MIB5);
    let request = request();
    let uploaded = tokio::time::timeout(Duration::from_secs(60), upload(&store, &file, &request)).await;
    assert!(uploaded.expect("three parts never met").is_ok());
    assert_eq!(store.peak(), 3);
}

#[test]
fn an_upload_can_run_on_any_thread() {
    fn is_send<T: Send>(_: T) {}
    let (store, file) = (passing(), file(0));
    let (source, request, stop) = (file.source(), request(), CancellationToken::new());
    is_send(put(&store, &source, &request, &Silent, &stop));
}
