//! What must not grow with what is uploaded: memory, blocks, requests. No clock is looked at.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use procfs::process::Process;
use s3chunk::event::Silent;
use s3chunk::plan::MAX_OBJECT_SIZE;
use s3chunk::source::{FileSource, Pool};
use s3chunk::upload::{Request, put};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::command::{Ran, run, s3chunk, s3chunk_at, start};
use crate::support::fault::{FaultServer, Op, Personality};
use crate::support::{MIB5, file, store_of, target};

const MIB: u64 = 1 << 20;

/// What one run may need more than another, for no reason of ours: threads, the allocator.
const NOISE: u64 = 2 * MIB;

/// A file of `size` bytes that takes no room; `None` where the file system of `folder` has none so large.
fn sparse(folder: &Path, size: u64) -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir_in(folder).ok()?;
    let path = folder.path().join("sparse");
    OpenOptions::new().write(true).create_new(true).open(&path).ok()?.set_len(size).ok()?;
    Some((folder, path))
}

/// A server that keeps no bytes, and holds the answer to Complete.
fn server() -> FaultServer {
    let server = FaultServer::start_with(Personality { keep_bytes: false, ..Personality::default() });
    server.on(Op::Complete).hold();
    server
}

/// The most memory that the command has had by the time it asks for Complete, in bytes, without the program's
/// own pages, of which a debug build has many.
fn peak(server: &FaultServer, child: Child) -> u64 {
    server.wait_for(Op::Complete, 1);
    let status = Process::new(child.id().try_into().unwrap()).unwrap().status().unwrap();
    server.release();
    Ran::from(child.wait_with_output().unwrap()).exits(0);
    (status.vmhwm.unwrap() - status.rssfile.unwrap()) << 10
}

fn put_at(server: &FaultServer, source: &Path, options: &[&str]) -> Command {
    let mut command = s3chunk_at(server);
    // A signed payload would cost time and no memory.
    command.arg("put").arg(source).args(["bucket/key", "--payload-signing", "never"]).args(options);
    command
}

/// The peak of an upload of a file.
fn peak_of_file(size: u64, options: &[&str]) -> u64 {
    let (server, (_folder, path)) = (server(), sparse(&std::env::temp_dir(), size).unwrap());
    let child = start(&mut put_at(&server, &path, options));
    peak(&server, child)
}

/// The peak of an upload of standard input, a pipe.
fn peak_of_stream(size: u64, options: &[&str]) -> u64 {
    let server = server();
    let mut child = start(put_at(&server, "-".as_ref(), options).stdin(Stdio::piped()));
    let mut pipe = child.stdin.take().unwrap();
    std::thread::spawn(move || {
        let block = vec![0; 1 << 20];
        // The command says itself what it misses.
        (0..size / MIB).try_for_each(|_| pipe.write_all(&block))
    });
    peak(&server, child)
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let options = ["--concurrency", "8"];
    let (small, large) = (peak_of_file(64 * MIB, &options), peak_of_file(256 * MIB, &options));
    assert!(small.abs_diff(large) <= NOISE, "64 MiB took {small} bytes, 256 MiB took {large}");
    assert!(large <= 16 * MIB, "{large} bytes");
}

#[test]
fn memory_does_not_grow_with_the_chunk() {
    let of = |chunk| peak_of_file(256 * MIB, &["--concurrency", "4", "--chunk-size", chunk]);
    let (small, large) = (of("8MiB"), of("64MiB"));
    assert!(small.abs_diff(large) <= NOISE, "8 MiB took {small} bytes, 64 MiB took {large}");
}

#[test]
fn a_stream_takes_the_memory_of_its_chunks_in_flight() {
    let memory = peak_of_stream(128 * MIB, &["--concurrency", "4"]);
    assert!(memory <= (4 * 8 + 16) * MIB, "{memory} bytes");
}

#[test]
fn a_stream_takes_no_more_memory_than_it_may() {
    let memory = peak_of_stream(128 * MIB, &["--concurrency", "8", "--max-memory", "16MiB"]);
    assert!(memory <= (16 + 16) * MIB, "{memory} bytes");
}

#[tokio::test]
async fn a_file_is_read_through_a_few_blocks() {
    let (server, pool) = (
        FaultServer::start_with(Personality { keep_bytes: false, ..Personality::default() }),
        Pool::default(),
    );
    let (_folder, path) = sparse(&std::env::temp_dir(), 64 * MIB).unwrap();
    let source = FileSource::open_with(path, pool.clone()).unwrap();
    let request = Request::new(target("bucket/key"));
    let store = store_of(&server).await;
    put(&store, &source, &request, &Silent, &CancellationToken::new()).await.unwrap();
    // Of the 1,024 that the file has.
    assert!((1..=48).contains(&pool.free()), "{} blocks were made", pool.free());
}

#[test]
fn the_largest_object_is_planned_in_little_memory() {
    let folders = [std::env::temp_dir(), "/dev/shm".into()];
    let Some((_folder, path)) = folders.iter().find_map(|folder| sparse(folder, MAX_OBJECT_SIZE)) else {
        eprintln!("skipped: no file system here has files of {MAX_OBJECT_SIZE} bytes");
        return;
    };
    // All that it may allocate, stacks included, in KiB.
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -d 32768 && exec "$@""#, "sh"]).arg(s3chunk().get_program());
    command.env_clear().arg("put").arg(path).args(["bucket/key", "--dry-run", "--json"]);
    let record = run(&mut command).exits(0).record();
    assert_eq!((&record["parts"], &record["size"]), (&10_000.into(), &MAX_OBJECT_SIZE.into()));
}

#[test]
fn an_upload_is_two_requests_more_than_its_parts_and_a_small_file_is_one() {
    for (size, parts) in [(0, 0), (MIB5, 0), (MIB5 + 1, 2), (4 * MIB5, 4)] {
        let (server, file) = (FaultServer::start(), file(size));
        run(&mut put_at(&server, &file.path, &["--chunk-size", "5MiB"])).exits(0);
        let ops: Vec<_> = server.requests().iter().map(|seen| seen.op).collect();
        let expected = match parts {
            0 => vec![Op::PutObject],
            _ => [&[Op::Create][..], &vec![Op::UploadPart; parts], &[Op::Complete]].concat(),
        };
        assert_eq!(ops, expected, "{size} bytes");
    }
}

#[test]
fn who_has_keys_asks_nobody_for_keys_or_a_region() {
    let (server, file) = (FaultServer::start(), file(1));
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", elsewhere.local_addr().unwrap());
    let mut command = put_at(&server, &file.path, &[]);
    command.env_remove("AWS_EC2_METADATA_DISABLED").env_remove("AWS_REGION");
    for name in ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "HTTPS_PROXY"] {
        command.env(name, &url);
    }
    run(&mut command).exits(0);
    elsewhere.set_nonblocking(true).unwrap();
    assert_eq!(elsewhere.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.requests().len(), 1);
}
