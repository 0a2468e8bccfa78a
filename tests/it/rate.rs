//! `--limit-rate`: what is sent, and how fast at the most.

use crate::support::MIB5;
use crate::support::command::{put, run, s3chunk_at, upload};
use crate::support::fault::{FaultServer, Op};
use crate::support::file;

#[test]
fn a_limited_upload_arrives_whole_and_no_sooner_than_its_bytes_may() {
    // A limit is the one time that a test can rely on: nothing that is slow makes an upload faster.
    for (size, rate, least) in
        [(1 << 20, "4MiB/s", 0.24), (MIB5 + 1, "20MiB", 0.24), (2 * MIB5, "40MiB/s", 0.24)]
    {
        let record = upload(&FaultServer::start(), size, &["--limit-rate", rate]).exits(0).record();
        let seconds = record["seconds"].as_f64().unwrap();
        assert!(seconds >= least, "{size} bytes at {rate} in {seconds} s");
    }
}

#[test]
fn an_empty_file_has_nothing_to_wait_for() {
    let (server, file) = (FaultServer::start(), file(0));
    let mut command = s3chunk_at(&server);
    run(command.env("S3CHUNK_LIMIT_RATE", "1KiB/s").arg("put").arg(&file.path).arg("bucket/key")).exits(0);
    assert!(server.object("key").is_some());
}

#[test]
fn a_limit_does_not_hide_a_stall() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).stall_after_bytes(100_000);
    let options = ["--limit-rate", "1GiB/s", "--stall-timeout", "1s", "--max-attempts", "2"];
    upload(&server, 2 * MIB5, &options).exits(75).says("nothing moved for 1s");
}

#[test]
fn a_body_that_waits_for_its_turn_for_longer_than_the_stall_timeout_is_not_stalled() {
    let (server, file) = (FaultServer::start(), file(0));
    let parts = 32;
    let sparse = std::fs::OpenOptions::new().write(true).open(&file.path).unwrap();
    sparse.set_len(parts * MIB5).unwrap();
    // A slice goes out each 50 ms: with as many in the queue a turn comes every 1.6 s.
    let options =
        "--chunk-size 5MiB --concurrency 32 --limit-rate 1KiB/s --stall-timeout 1s --deadline 4s -v";
    let options: Vec<&str> = options.split(' ').collect();
    let ran = put(&server, &file.path, "bucket/key", &options).exits(75).says("the deadline passed");
    assert!(!ran.stderr.contains("nothing moved"), "{ran}");
}
