//! Standard input as a source: what comes once, of a length that nobody knows.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use s3chunk::Error;
use s3chunk::checksum::{Wanted, hex, sha256};
use s3chunk::error::Cause;
use s3chunk::event::{Event, Observer, Silent};
use s3chunk::plan::{PlanError, Wishes};
use s3chunk::source::{DEFAULT_MEMORY, SourceError, StreamSource};
use s3chunk::upload::{Request, Uploaded, Window, put as put_source};
use tokio_util::sync::CancellationToken;

use crate::support::command::{Ran, put, run, s3chunk_at, signal, start};
use crate::support::fault::{Checksums, EtagKind, FaultServer, Op, Personality};
use crate::support::memory::MemoryStore;
use crate::support::{MIB5, bytes, file, target};

/// `s3chunk put - bucket/key` in chunks of 5 MiB.
fn command(server: &FaultServer, options: &[&str]) -> Command {
    let mut command = s3chunk_at(server);
    command.env("S3CHUNK_CHUNK_SIZE", "5MiB");
    command.args(["put", "-", "bucket/key", "--json"]).args(options);
    command.stdin(Stdio::piped());
    command
}

/// Starts it, lets somebody write to it, and returns it with what is still open.
fn begin(mut command: Command, write: impl FnOnce(&mut ChildStdin)) -> (Child, ChildStdin) {
    let mut child = start(&mut command);
    let mut input = child.stdin.take().unwrap();
    write(&mut input);
    (child, input)
}

/// Waits for its end. Whatever comes of it, no upload is left, and only success makes an object.
fn end(server: &FaultServer, child: Child) -> Ran {
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(server.uploads().is_empty(), "an upload is left: {ran}");
    assert_eq!(server.object("key").is_some(), ran.exit == 0, "{ran}");
    ran
}

/// Uploads what is piped in; success means these bytes.
fn pipe(server: &FaultServer, bytes: &[u8], options: &[&str]) -> Ran {
    // Whoever fails early does not read to the end.
    let (child, input) = begin(command(server, options), |input| drop(input.write_all(bytes)));
    drop(input);
    let ran = end(server, child);
    if ran.exit == 0 {
        assert!(server.object("key").unwrap().bytes.unwrap() == bytes, "another object: {ran}");
    }
    ran
}

fn counts(server: &FaultServer) -> [usize; 4] {
    [Op::PutObject, Op::Create, Op::UploadPart, Op::Complete].map(|op| server.count(op))
}

fn part_sizes(server: &FaultServer) -> Vec<u64> {
    let mut parts: Vec<_> =
        server.requests_of(Op::UploadPart).iter().map(|seen| (seen.part, seen.body_len)).collect();
    parts.sort_unstable();
    parts.into_iter().map(|(_, len)| len).collect()
}

#[test]
fn up_to_a_chunk_is_one_request_and_more_is_three_steps() {
    for (size, expected) in [
        (0, [1, 0, 0, 0]),
        (1, [1, 0, 0, 0]),
        (MIB5, [1, 0, 0, 0]),
        (MIB5 + 1, [0, 1, 2, 1]),
        (2 * MIB5, [0, 1, 2, 1]),
        (2 * MIB5 + 70_000, [0, 1, 3, 1]),
    ] {
        let server = FaultServer::start();
        let record = pipe(&server, &bytes(size), &[]).exits(0).record();
        assert_eq!(counts(&server), expected, "{size} bytes");
        let object = server.object("key").unwrap();
        let parts = expected[0].max(expected[2]);
        let receipt = serde_json::json!({
            "source": "-", "bucket": "bucket", "key": "key", "size": size, "parts": parts,
            "chunk_size": MIB5, "etag": object.etag.trim_matches('"'), "version_id": null,
            "checksum": {
                "algorithm": "CRC64NVME", "type": "FULL_OBJECT", "value": object.checksum.unwrap().value,
            },
            "upload_id": record["upload_id"], "reused_parts": 0, "reused_bytes": 0, "retries": 0,
            "seconds": record["seconds"], "status": "uploaded",
        });
        assert_eq!(record, receipt);
        assert_eq!(record["upload_id"].is_string(), parts > 1);
    }
}

#[test]
fn parts_are_whole_however_the_bytes_come() {
    let (server, all) = (FaultServer::start(), bytes(2 * MIB5 + 333));
    let (child, input) = begin(command(&server, &[]), |input| {
        let mut rest = &all[..];
        for piece in [1, 4095, 65_536, 1, 70_000, 1 << 20, 3].iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            input.write_all(now).unwrap();
            if later.is_empty() {
                break;
            }
            rest = later;
        }
    });
    drop(input);
    end(&server, child).exits(0);
    assert!(server.object("key").unwrap().bytes.unwrap() == all);
    assert_eq!(part_sizes(&server), [MIB5, MIB5, 333]);
}

#[test]
fn a_writer_that_made_the_input_one_that_does_not_wait_is_waited_for() {
    let server = FaultServer::start();
    let (ours, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut command = command(&server, &["--no-overwrite"]);
    let child = start(command.stdin(std::os::fd::OwnedFd::from(ours)));
    drop(command);
    // It is about to read, or has found that there is nothing yet.
    server.wait_for_end_of(Op::HeadObject, 1);
    let all = bytes(MIB5 + 1);
    writer.write_all(&all).unwrap();
    drop(writer);
    end(&server, child).exits(0);
    assert!(server.object("key").unwrap().bytes.unwrap() == all);
}

#[test]
fn an_input_that_cannot_be_read_makes_no_object() {
    let (server, folder) = (FaultServer::start(), tempfile::tempdir().unwrap());
    let mut command = command(&server, &[]);
    let child = start(command.stdin(std::fs::File::open(folder.path()).unwrap()));
    let ran = end(&server, child).exits(3).says("standard input");
    assert!(ran.error().contains("cannot read"), "{ran}");
    assert_eq!(ran.record()["error"]["exit"], 3);
    assert_eq!(counts(&server), [0; 4]);
}

#[test]
fn an_expected_size_cuts_even_parts() {
    for (options, sizes) in [
        (["--expect-size", "11MiB", "--max-parts", "10000"], vec![5, 5, 1]),
        (["--expect-size", "11MiB", "--max-parts", "2"], vec![6, 5]),
    ] {
        let server = FaultServer::start();
        pipe(&server, &bytes(11 << 20), &options).exits(0);
        let sizes: Vec<_> = sizes.into_iter().map(|mib| mib << 20).collect();
        assert_eq!(part_sizes(&server), sizes, "{options:?}");
    }
    let server = FaultServer::start();
    pipe(&server, b"abc", &["--expect-size", "3"]).exits(0);
    pipe(&server, b"", &["--expect-size", "0"]).exits(0);
}

#[test]
fn a_stream_of_another_size_than_expected_makes_no_object() {
    for (size, expected) in [
        (0, 1),
        (3, 2),
        (3, 4),
        (1, 0),
        (3, 3 * MIB5),
        (MIB5, MIB5 + 1),
        (MIB5 + 1, MIB5),
        (2 * MIB5, 2 * MIB5 + 1),
        (2 * MIB5 + 1, 2 * MIB5),
        (3 * MIB5, 2 * MIB5),
        (2 * MIB5, 3),
    ] {
        let server = FaultServer::start();
        let ran = pipe(&server, &bytes(size), &["--expect-size", &expected.to_string()]).exits(3);
        assert!(ran.error().contains(&format!("{expected} were expected")), "{ran}");
    }
}

#[test]
fn a_stream_without_end_is_left_when_it_is_longer_than_expected() {
    for expected in ["3", "6MiB"] {
        let server = FaultServer::start();
        let (child, input) = begin(command(&server, &["--expect-size", expected]), |input| {
            while input.write_all(&[7; 1 << 16]).is_ok() {}
        });
        end(&server, child).exits(3);
        drop(input);
    }
}

#[test]
fn less_than_the_least_size_makes_no_object() {
    let server = FaultServer::start();
    pipe(&server, b"ten bytes.", &["--min-size", "11"]).exits(3).says("at least 11");
    pipe(&server, b"", &["--min-size", "1"]).exits(3);
    pipe(&server, &bytes(2 * MIB5), &["--min-size", "11MiB"]).exits(3);
    let small = file(10);
    put(&server, &small.path, "bucket/key", &["--min-size", "11"]).exits(3).says("at least 11");
    put(&server, &small.path, "bucket/key", &["--expect-size", "11"]).exits(3).says("11 were expected");
    assert!(server.object("key").is_none());
    assert_eq!(counts(&server)[0], 0);
    put(&server, &small.path, "bucket/key", &["--min-size", "10", "--expect-size", "10"]).exits(0);
    let server = FaultServer::start();
    pipe(&server, b"ten bytes.", &["--min-size", "10"]).exits(0);
}

#[test]
fn other_bytes_than_expected_make_no_object() {
    for size in [0, 10, 2 * MIB5 + 1] {
        let file = file(size);
        let right = hex(&sha256(&file.bytes));
        let wrong = hex(&sha256(b"something else"));
        let server = FaultServer::start();
        let wrong = ["--expect-sha256", &wrong, "--chunk-size", "5MiB"];
        let ran = pipe(&server, &file.bytes, &wrong[..2]).exits(6).says(&right).says(wrong[1]);
        assert_eq!(ran.record()["error"]["exit"], 6);
        assert_eq!((counts(&server)[0], counts(&server)[3]), (0, 0));
        let before = server.requests().len();
        put(&server, &file.path, "bucket/key", &wrong).exits(6).says(&right);
        assert_eq!(server.requests().len(), before, "a file is looked at before anything is sent");
        let right = ["--expect-sha256", &right, "--chunk-size", "5MiB"];
        pipe(&server, &file.bytes, &right[..2]).exits(0);
        put(&server, &file.path, "bucket/file", &right).exits(0);
        assert!(server.object("file").unwrap().bytes.unwrap() == file.bytes);
    }
}

#[test]
fn a_part_that_fails_in_passing_is_sent_again_from_memory() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).nth(1).answer(503, "SlowDown");
    server.on(Op::UploadPart).part(2).nth(2).reset_after_bytes(1 << 20);
    server.on(Op::UploadPart).part(3).nth(1).close_without_answer();
    server.on(Op::UploadPart).part(1).nth(1).corrupt();
    let ran = pipe(&server, &bytes(3 * MIB5 + 1), &[]).exits(0);
    assert!(ran.record()["retries"].as_u64() >= Some(3), "{ran}");
    // The same through a file, and in one request.
    let server = FaultServer::start();
    server.on(Op::UploadPart).first(2).answer(500, "InternalError");
    pipe(&server, &bytes(2 * MIB5 + 1), &["--max-memory", "1MiB"]).exits(0);
    let server = FaultServer::start();
    server.on(Op::PutObject).nth(1).reset_after_bytes(10);
    pipe(&server, &bytes(100_000), &[]).exits(0);
    assert_eq!(server.count(Op::PutObject), 2);
}

#[test]
fn a_part_that_fails_for_good_drops_the_upload() {
    for (status, code, exit) in [(403, "AccessDenied", 4), (400, "BadDigest", 6), (503, "SlowDown", 75)] {
        let server = FaultServer::start();
        server.on(Op::UploadPart).part(2).answer(status, code);
        // Whoever writes is not waited for.
        let (child, input) = begin(command(&server, &["--max-attempts", "2"]), |input| {
            drop(input.write_all(&bytes(2 * MIB5 + 1)));
        });
        end(&server, child).exits(exit).says(code);
        drop(input);
    }
}

#[test]
fn what_the_store_does_not_check_by_a_checksum_it_checks_by_md5() {
    for checksums in [
        Checksums::Refused(400, "InvalidRequest".into()),
        Checksums::Refused(501, "NotImplemented".into()),
        Checksums::Ignored,
        Checksums::NotEchoed,
    ] {
        for etag in [EtagKind::Md5, EtagKind::Opaque] {
            for size in [10, MIB5 + 1] {
                let server = FaultServer::start_with(Personality {
                    checksums: checksums.clone(),
                    etag,
                    ..Personality::default()
                });
                pipe(&server, &bytes(size), &["--verify"]).exits(0);
                let took = server.requests().into_iter().filter(|seen| {
                    matches!(seen.op, Op::PutObject | Op::UploadPart) && seen.status_answered == Some(200)
                });
                for seen in took {
                    assert!(seen.header("content-md5").is_some(), "{checksums:?} {etag:?} {seen:?}");
                }
            }
        }
    }
}

#[test]
fn a_signal_while_the_stream_stands_still_leaves_nothing() {
    for (name, exit) in [("INT", 130), ("TERM", 143)] {
        for (written, parts) in [(0, 0), (3, 0), (2 * MIB5 + 100_000, 2)] {
            let server = FaultServer::start();
            let (child, input) = begin(command(&server, &["--no-overwrite"]), |input| {
                input.write_all(&bytes(written)).unwrap();
            });
            server.wait_for_end_of(Op::HeadObject, 1);
            server.wait_for_end_of(Op::UploadPart, parts);
            signal(&child, name);
            end(&server, child).exits(exit).says("interrupted");
            drop(input);
        }
    }
}

#[test]
fn the_deadline_ends_the_wait_for_a_stream() {
    for written in [0, MIB5 + 100_000] {
        let server = FaultServer::start();
        let (child, input) = begin(command(&server, &["--deadline", "1s"]), |input| {
            input.write_all(&bytes(written)).unwrap();
        });
        end(&server, child).exits(75).says("the deadline passed");
        drop(input);
    }
}

#[test]
fn never_more_parts_than_asked_for_are_in_flight() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).first(2).hold();
    server.on(Op::UploadPart).part(3).nth(1).answer(503, "SlowDown");
    server.on(Op::UploadPart).part(4).nth(1).reset_after_bytes(1000);
    let all = bytes(5 * MIB5);
    let (child, mut input) = begin(command(&server, &["--concurrency", "2"]), |_| {});
    std::thread::scope(|scope| {
        let all = &all;
        scope.spawn(move || input.write_all(all).unwrap());
        server.wait_for_held(2);
        assert_eq!(server.count(Op::UploadPart), 2);
        server.release();
    });
    end(&server, child).exits(0);
    assert_eq!(server.in_flight_peak(Op::UploadPart), 2);
    assert!(server.object("key").unwrap().bytes.unwrap() == all);
}

#[test]
fn a_chunk_larger_than_the_memory_goes_through_a_file_that_is_gone_at_once() {
    let (server, folder) = (FaultServer::start(), tempfile::tempdir().unwrap());
    server.on(Op::UploadPart).hold();
    let all = bytes(2 * MIB5 + 1);
    let mut small = command(&server, &["--max-memory", "1MiB"]);
    small.env("TMPDIR", folder.path());
    let (child, input) = begin(small, |input| input.write_all(&all).unwrap());
    drop(input);
    server.wait_for_held(3);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file has a name");
    server.release();
    end(&server, child).exits(0);
    assert!(server.object("key").unwrap().bytes.unwrap() == all);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let server = FaultServer::start();
    let mut nowhere = command(&server, &["--max-memory", "1MiB"]);
    nowhere.env("TMPDIR", folder.path().join("missing"));
    let (child, input) = begin(nowhere, |input| drop(input.write_all(&all)));
    drop(input);
    end(&server, child).exits(3).says("missing").says("put aside");
}

#[test]
fn an_object_that_is_there_is_kept_before_the_stream_is_read() {
    let server = FaultServer::start();
    server.has_object("key", "there before");
    let (child, input) = begin(command(&server, &["--no-overwrite"]), |_| {});
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.exits(7);
    drop(input);
    assert_eq!(server.object("key").unwrap().bytes.unwrap(), "there before");
    assert_eq!(counts(&server), [0; 4]);
}

#[test]
fn what_cannot_be_meant_of_a_stream_is_wrong_usage() {
    let server = FaultServer::start();
    for (words, why) in [
        (&["-", "bucket/key", "--resume"][..], "--resume is for files"),
        (&["-", "bucket/key", "--recursive"], "--recursive"),
        (&["-", "bucket/key", "--skip-unchanged"], "--skip-unchanged"),
        (&["-", "other", "bucket/dir/"], "goes alone"),
        (&["-", "-", "bucket/dir/"], "goes alone"),
        (&["-", "bucket/dir/"], "write the whole key"),
        (&["-", "bucket"], "write the whole key"),
        (&["-"], "a source and a target"),
        (&["-", "bucket/key", "--expect-sha256", "abc"], "64 hexadecimal digits"),
        (&["-", "bucket/key", "--max-parts", "0"], "--max-parts"),
        (&["-", "bucket/key", "--max-memory", "0"], "--max-memory"),
        (&["-", "bucket/key", "--chunk-size", "6GiB"], "--chunk-size 5GiB or less"),
        (&["-", "bucket/key", "--chunk-size", "1MiB", "--expect-size", "2MiB"], "--chunk-size 5MiB or more"),
    ] {
        run(s3chunk_at(&server).arg("put").args(words)).exits(2).says(why);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn chunks_that_are_too_small_for_several_parts_are_refused_when_there_are_several() {
    let server = FaultServer::start();
    pipe(&server, &bytes(3 << 20), &["--chunk-size", "1MiB"]).exits(2).says("--chunk-size 5MiB or more");
    assert_eq!(counts(&server), [0; 4]);
    pipe(&server, &bytes(1 << 20), &["--chunk-size", "1MiB"]).exits(0);
}

#[test]
fn a_dry_run_does_not_read_the_stream() {
    let server = FaultServer::start();
    let (child, input) = begin(command(&server, &["--dry-run"]), |_| {});
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(0);
    drop(input);
    assert_eq!((&ran.record()["status"], &ran.record()["source"]), (&"dry-run".into(), &"-".into()));
    assert!(server.requests().is_empty());
}

/// Remembers the sizes of parts by their numbers.
#[derive(Default)]
struct Sizes(Mutex<Vec<(u32, u64)>>);

impl Observer for Sizes {
    fn event(&self, event: &Event<'_>) {
        if let Event::Stored { part, size } = event {
            self.0.lock().unwrap().push((*part, *size));
        }
    }
}

fn request(max_parts: u32, concurrency: usize) -> Request {
    let mut request = Request::new(target("bucket/key"));
    request.wishes = Wishes { part_size: MIB5, max_parts };
    request.window = Window::new(concurrency);
    request
}

async fn upload(
    store: &MemoryStore,
    input: impl Read + Send + 'static,
    request: &Request,
    observer: &dyn Observer,
) -> Result<Uploaded, Error> {
    let stream = StreamSource::new("test", input, DEFAULT_MEMORY, Wanted::default());
    put_source(store, &stream, request, observer, &CancellationToken::new()).await
}

#[tokio::test]
async fn the_parts_of_a_long_stream_grow() {
    let (store, request, sizes) = (MemoryStore::default(), request(20, 3), Sizes::default());
    let all = bytes(45 << 20);
    let uploaded = upload(&store, io::Cursor::new(all.clone()), &request, &sizes).await.unwrap();
    let mut sizes = sizes.0.into_inner().unwrap();
    sizes.sort_unstable();
    let mib: Vec<_> = sizes.iter().map(|(_, size)| size >> 20).collect();
    assert_eq!(mib, [5, 5, 5, 8, 12, 10]);
    let mut sent = 0;
    for (_, size) in &sizes[..5] {
        assert_eq!(*size, request.wishes.next_part_size(sent));
        sent += size;
    }
    assert_eq!((uploaded.size, uploaded.parts, uploaded.part_size), (45 << 20, 6, MIB5));
    assert!(store.object("key").unwrap().bytes == all);
}

#[tokio::test]
async fn a_stream_that_goes_on_after_the_last_part_makes_no_object() {
    for (max_parts, fits) in [(1, MIB5), (2, 2 * MIB5), (3, 4 * MIB5)] {
        let (store, request) = (MemoryStore::default(), request(max_parts, 2));
        let ended = upload(&store, io::repeat(1).take(fits + 1), &request, &Silent).await;
        let cause = ended.unwrap_err().cause;
        let expected = PlanError::StreamTooLong { max_parts, size: fits };
        assert!(matches!(cause, Cause::Plan(found) if found == expected), "{cause:?}");
        assert!(store.object("key").is_none());
        assert_eq!(store.unfinished(), 0);
        upload(&store, io::repeat(1).take(fits), &request, &Silent).await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_breaks_makes_no_object() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the line is dead"))
        }
    }
    for before in [0, 10, MIB5, MIB5 + 1, 3 * MIB5] {
        let store = MemoryStore::default();
        let input = io::Cursor::new(bytes(before)).chain(Broken);
        let ended = upload(&store, input, &request(20, 2), &Silent).await;
        let cause = ended.unwrap_err().cause;
        assert!(matches!(&cause, Cause::Source(SourceError::Stream { .. })), "{before}: {cause:?}");
        assert!(store.object("key").is_none());
        assert_eq!(store.unfinished(), 0);
    }
}

/// Input that may be read only so far ahead of what is stored.
struct Watched {
    input: io::Take<io::Repeat>,
    read: u64,
    most_ahead: u64,
    stored: Arc<AtomicU64>,
}

impl Read for Watched {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let ahead = self.read - self.stored.load(SeqCst);
        if ahead > self.most_ahead {
            return Err(io::Error::other(format!("{ahead} bytes ahead of what is stored")));
        }
        let read = self.input.read(room)?;
        self.read += read as u64;
        Ok(read)
    }
}

struct Stored(Arc<AtomicU64>);

impl Observer for Stored {
    fn event(&self, event: &Event<'_>) {
        if let Event::Stored { size, .. } = event {
            self.0.fetch_add(*size, SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_not_read_before_there_is_a_place_for_it() {
    for concurrency in [1, 3] {
        let stored = Arc::new(AtomicU64::new(0));
        let input = Watched {
            input: io::repeat(7).take(5 * MIB5),
            read: 0,
            most_ahead: concurrency * MIB5,
            stored: Arc::clone(&stored),
        };
        let request = request(10_000, usize::try_from(concurrency).unwrap());
        upload(&MemoryStore::default(), input, &request, &Stored(stored)).await.unwrap();
    }
}

#[test]
fn a_streams_type_is_told_by_its_first_bytes_where_its_key_tells_none() {
    for (key, sent, expected) in [
        ("packed", &b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..], "application/gzip"),
        ("packed.json", b"\x1f\x8b\x08\0\0\0\0\0\0\0", "application/json"),
        ("words", b"words", "application/octet-stream"),
    ] {
        let server = FaultServer::start();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sent).unwrap();
        let input = std::fs::File::open(file.path()).unwrap();
        run(s3chunk_at(&server).args(["put", "-", &format!("bucket/{key}")]).stdin(input)).exits(0);
        assert_eq!(server.requests_of(Op::PutObject)[0].header("content-type"), Some(expected));
        assert_eq!(server.object(key).unwrap().bytes.unwrap(), sent);
    }
}

#[test]
fn a_closed_standard_input_is_no_empty_stream() {
    let server = FaultServer::start();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" put - bucket/key <&-", env!("CARGO_BIN_EXE_s3chunk")]).env_clear();
    for (name, value) in s3chunk_at(&server).get_envs() {
        value.map(|value| shell.env(name, value));
    }
    run(&mut shell).exits(3).says("it is closed");
    assert!(server.requests().is_empty());
}
