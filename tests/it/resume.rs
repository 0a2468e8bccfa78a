//! Going on with an upload that was killed, stopped or left by somebody else.

use std::process::Command;
use std::time::Duration;

use crate::support::command::{Ran, put, run, s3chunk_at, signal, start};
use crate::support::fault::{Checksums, EtagKind, FaultServer, Listing, Op, PartOrder, Personality};
use crate::support::{MIB5, TestFile, file};

const PARTS: u32 = 5;
const OPTIONS: [&str; 3] = ["--chunk-size", "5MiB", "--resume"];

fn command(server: &FaultServer, file: &TestFile) -> Command {
    let mut command = s3chunk_at(server);
    command.arg("put").arg(&file.path).arg("bucket/key").args(OPTIONS);
    command
}

/// Resumes, and checks the object, the receipt and that no part was sent that is said to be reused.
fn resume(server: &FaultServer, file: &TestFile, reused: u32) -> Ran {
    let (before, uploads) = (server.count(Op::UploadPart), server.uploads().len());
    let ran = run(command(server, file).arg("--json")).exits(0);
    let record = ran.record();
    assert!(server.object("key").unwrap().bytes.is_some_and(|bytes| bytes == file.bytes), "{ran}");
    assert_eq!(record["reused_parts"], reused, "{ran}");
    let sent = server.count(Op::UploadPart) - before;
    let parts = record["parts"].as_u64().unwrap();
    assert_eq!(sent as u64, parts - u64::from(reused), "{ran}");
    let resumed = record["status"] == "resumed";
    assert_eq!(server.uploads().len(), uploads - usize::from(resumed), "{ran}");
    assert!(resumed || reused == 0, "{ran}");
    ran
}

/// Kills an upload once so many of its parts are stored.
fn kill_after(server: &FaultServer, file: &TestFile, parts: u32, options: &[&str]) {
    for number in parts + 1..=PARTS {
        server.on(Op::UploadPart).part(number).hold();
    }
    if parts == PARTS {
        server.on(Op::Complete).hold();
    }
    let mut child = start(command(server, file).args(options));
    server.wait_for_end_of(Op::UploadPart, parts as usize);
    server.wait_for_held((PARTS - parts).max(1) as usize);
    child.kill().unwrap();
    child.wait().unwrap();
    server.forget_rules();
}

/// Leaves an upload with these parts of the file, as another machine would.
fn leave(server: &FaultServer, file: &TestFile, chunk: u64, parts: &[u32]) -> String {
    let id = server.has_upload("key");
    for &number in parts {
        let start = (u64::from(number) - 1) * chunk;
        let end = (start + chunk).min(file.bytes.len() as u64);
        server.has_part(&id, number, file.bytes[start as usize..end as usize].to_vec());
    }
    id
}

#[test]
fn killed_at_any_part_it_goes_on_and_sends_no_part_again_that_is_stored() {
    for parts in 0..=PARTS {
        let (server, file) = (FaultServer::start(), file(u64::from(PARTS) * MIB5 - 1));
        kill_after(&server, &file, parts, &[]);
        let id = server.uploads()[0].id.clone();
        let record = resume(&server, &file, parts).record();
        assert_eq!((&record["status"], &record["upload_id"]), (&"resumed".into(), &id.into()));
        let bytes = (u64::from(parts) * MIB5).min(file.bytes.len() as u64);
        assert_eq!(record["reused_bytes"], bytes);
    }
}

#[test]
fn killed_while_it_starts_it_goes_on_with_the_empty_upload() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::Create).never_answer();
    let mut child = start(&mut command(&server, &file));
    server.wait_for_held(1);
    child.kill().unwrap();
    child.wait().unwrap();
    server.forget_rules();
    assert_eq!(resume(&server, &file, 0).record()["status"], "resumed");
    assert!(server.uploads().is_empty());
}

#[test]
fn killed_after_the_end_it_begins_anew() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::Complete).never_answer();
    let mut child = start(&mut command(&server, &file));
    server.wait_for_held(1);
    child.kill().unwrap();
    child.wait().unwrap();
    server.forget_rules();
    assert_eq!(resume(&server, &file, 0).record()["status"], "uploaded");
}

#[test]
fn parts_are_compared_by_checksum_or_by_etag() {
    for (etag, checksums, reused) in [
        (EtagKind::Opaque, Checksums::Known, 3),
        (EtagKind::Md5, Checksums::Ignored, 3),
        (EtagKind::Md5, Checksums::NotEchoed, 3),
        (EtagKind::Md5, Checksums::Refused(501, "NotImplemented".into()), 3),
        // Nothing tells what the parts hold.
        (EtagKind::Opaque, Checksums::Ignored, 0),
    ] {
        let server = FaultServer::start_with(Personality { etag, checksums, ..Personality::default() });
        let file = file(u64::from(PARTS) * MIB5);
        kill_after(&server, &file, 3, &[]);
        resume(&server, &file, reused);
    }
}

#[test]
fn every_checksum_can_be_gone_on_with() {
    for checksum in ["crc64nvme", "crc32c", "crc32", "sha256", "sha1", "md5", "none"] {
        for options in [&["--checksum", checksum][..], &[]] {
            let (server, file) = (FaultServer::start(), file(u64::from(PARTS) * MIB5));
            kill_after(&server, &file, 3, &["--checksum", checksum]);
            let ran = run(command(&server, &file).args(options).arg("--json"));
            assert_eq!(ran.exit, 0, "{checksum}, then {options:?}: {ran}");
            assert_eq!(ran.record()["reused_parts"], 3, "{checksum}, then {options:?}: {ran}");
        }
    }
}

#[test]
fn an_upload_with_another_checksum_than_asked_for_is_left_alone() {
    let (server, file) = (FaultServer::start(), file(u64::from(PARTS) * MIB5));
    kill_after(&server, &file, 3, &["--checksum", "crc32c"]);
    let ran = run(command(&server, &file).args(["--checksum", "crc32"])).exits(0);
    ran.says("1 other unfinished upload of this key left alone");
    assert_eq!(server.uploads().len(), 1);
}

#[test]
fn an_upload_of_another_machine_is_gone_on_with() {
    let (server, file) = (FaultServer::start(), file(3 * MIB5 + 1));
    leave(&server, &file, MIB5, &[1, 4]);
    resume(&server, &file, 2);
}

#[test]
fn parts_that_hold_other_bytes_are_sent_again() {
    let (server, file) = (FaultServer::start(), file(4 * MIB5));
    let id = leave(&server, &file, MIB5, &[1, 3]);
    server.has_part(&id, 2, file.bytes[1..=MIB5 as usize].to_vec());
    resume(&server, &file, 2);
}

#[test]
fn the_chunk_size_of_the_upload_is_adopted() {
    for chunk in [6 << 20, 10 << 20] {
        let (server, file) = (FaultServer::start(), file(4 * MIB5));
        leave(&server, &file, chunk, &[1, 2]);
        let record = resume(&server, &file, 2).record();
        assert_eq!((&record["chunk_size"], &record["status"]), (&chunk.into(), &"resumed".into()));
    }
}

#[test]
fn an_upload_of_another_file_is_left_alone_and_mentioned() {
    let (server, file) = (FaultServer::start(), file(4 * MIB5));
    let other = leave(&server, &file, MIB5, &[]);
    server.has_part(&other, 1, file.bytes[1..=MIB5 as usize].to_vec());
    let sizes = leave(&server, &file, MIB5, &[1]);
    server.has_part(&sizes, 2, file.bytes[..6 << 20].to_vec());
    let ran = resume(&server, &file, 0);
    ran.says("2 other unfinished uploads of this key left alone");
    assert_eq!(server.uploads().len(), 2);
}

#[test]
fn the_newest_upload_that_matches_wins() {
    let (server, file) = (FaultServer::start(), file(3 * MIB5));
    let part = |number: usize| file.bytes[(number - 1) * MIB5 as usize..number * MIB5 as usize].to_vec();
    let [oldest, old, recent] =
        [300, 200, 100].map(|age| server.has_old_upload("key", Duration::from_secs(age)));
    server.has_part(&oldest, 1, part(1));
    server.has_part(&oldest, 2, part(2));
    server.has_part(&old, 1, part(1));
    // The newest but one holds another file's bytes; the newest of all has none.
    server.has_part(&recent, 1, part(2));
    server.has_upload("key");
    let ran = resume(&server, &file, 1).says("3 other unfinished uploads of this key left alone");
    assert_eq!(ran.record()["upload_id"], old);
}

#[test]
fn uploads_of_other_keys_are_left_alone() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    for key in ["key2", "key/", "ke", "other"] {
        let id = server.has_upload(key);
        server.has_part(&id, 1, file.bytes[..MIB5 as usize].to_vec());
    }
    let ran = resume(&server, &file, 0);
    assert_eq!(ran.record()["status"], "uploaded");
    assert!(server.uploads().len() == 4 && !ran.stderr.contains("left alone"), "{ran}");
}

#[test]
fn listings_are_read_page_by_page_and_in_any_order() {
    let server = FaultServer::start_with(Personality {
        page_size: 2,
        part_order: PartOrder::Unordered,
        ..Personality::default()
    });
    let file = file(5 * MIB5);
    for age in 1..=5 {
        server.has_part(&server.has_old_upload("key", Duration::from_secs(age * 60)), 1, "other");
    }
    leave(&server, &file, MIB5, &[1, 2, 3, 4, 5]);
    resume(&server, &file, 5).says("5 other unfinished uploads");
}

#[test]
fn a_listing_that_is_truncated_without_a_marker_ends_there() {
    let server = FaultServer::start_with(Personality {
        page_size: 2,
        list_parts: Listing::TruncatedWithoutMarker,
        list_uploads: Listing::TruncatedWithoutMarker,
        ..Personality::default()
    });
    let file = file(5 * MIB5);
    leave(&server, &file, MIB5, &[1, 2, 3, 4, 5]);
    resume(&server, &file, 2);
}

#[test]
fn an_upload_that_vanishes_while_it_is_looked_at_is_passed_over() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    leave(&server, &file, MIB5, &[1]);
    server.on(Op::ListParts).nth(1).answer(404, "NoSuchUpload");
    let ran = run(command(&server, &file).arg("--json")).exits(0);
    assert_eq!(ran.record()["status"], "uploaded");
}

#[test]
fn where_no_uploads_can_be_listed_one_is_begun_and_that_is_said_in_one_line() {
    let server = FaultServer::start_with(Personality {
        list_uploads: Listing::NotImplemented,
        ..Personality::default()
    });
    let ran = resume(&server, &file(2 * MIB5), 0);
    assert_eq!(ran.record()["status"], "uploaded");
    let lines = ran.stderr.lines().filter(|line| !line.contains(" %, "));
    assert_eq!(lines.count(), 1, "{ran}");
}

/// Runs the command that a line on standard error names.
fn run_said(server: &FaultServer, ran: &Ran, label: &str) -> Ran {
    let mut lines = ran.stderr.lines();
    let said = lines.find_map(|line| line.trim_start().strip_prefix(label));
    let said = said.unwrap_or_else(|| panic!("{label} is not said: {ran}")).trim().to_owned();
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().args(["-c", &said]);
    for (name, value) in s3chunk_at(server).get_envs() {
        shell.envs(value.map(|value| (name, value)));
    }
    run(&mut shell)
}

#[test]
fn an_interruption_keeps_the_upload_and_says_the_commands_that_continue_and_drop_it() {
    for (name, exit, label) in [("INT", 130, "to continue:"), ("TERM", 143, "to drop it:")] {
        let (server, file) = (FaultServer::start(), file(3 * MIB5));
        let odd = file.path.with_file_name("it's a $file.bin");
        std::fs::rename(&file.path, &odd).unwrap();
        server.on(Op::UploadPart).part(3).hold();
        let mut command = s3chunk_at(&server);
        command.arg("put").arg(&odd).arg("bucket/a \"key\" + %20/").args(OPTIONS).arg("--json");
        let child = start(&mut command);
        server.wait_for_end_of(Op::UploadPart, 2);
        server.wait_for_held(1);
        signal(&child, name);
        let ran = Ran::from(child.wait_with_output().unwrap()).exits(exit);
        assert_eq!(server.uploads().len(), 1, "{ran}");
        server.forget_rules();
        let again = run_said(&server, &ran, label).exits(0);
        assert!(server.uploads().is_empty(), "{again}");
        if label == "to continue:" {
            assert_eq!(again.record()["reused_parts"], 2);
            assert!(server.object("a \"key\" + %20/it's a $file.bin").is_some());
        }
    }
}

#[test]
fn a_failure_keeps_the_upload_too() {
    for (op, exit) in [(Op::UploadPart, 4), (Op::Complete, 4)] {
        let (server, file) = (FaultServer::start(), file(3 * MIB5));
        let refuse = server.on(op);
        if op == Op::UploadPart { refuse.part(3) } else { refuse }.answer(403, "AccessDenied");
        let ran = run(command(&server, &file).args(["--concurrency", "1"])).exits(exit);
        assert_eq!((server.uploads().len(), server.count(Op::Abort)), (1, 0), "{ran}");
        server.forget_rules();
        run_said(&server, &ran, "to continue:").exits(0);
        assert!(server.uploads().is_empty() && server.object("key").is_some());
    }
}

#[test]
fn a_source_that_changed_between_the_runs_is_uploaded_as_it_is_now() {
    let (server, mut file) = (FaultServer::start(), file(u64::from(PARTS) * MIB5));
    kill_after(&server, &file, 3, &[]);
    // A byte of part 2 is another.
    file.bytes[MIB5 as usize] ^= 1;
    std::fs::write(&file.path, &file.bytes).unwrap();
    resume(&server, &file, 2);
}

#[test]
fn a_source_that_changed_its_size_is_uploaded_whole() {
    let (server, mut file) = (FaultServer::start(), file(u64::from(PARTS) * MIB5));
    kill_after(&server, &file, PARTS, &[]);
    file.bytes.truncate(2 * MIB5 as usize + 1);
    std::fs::write(&file.path, &file.bytes).unwrap();
    resume(&server, &file, 0).says("1 other unfinished upload of this key left alone");
}

#[test]
fn without_resume_no_upload_is_looked_for() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    leave(&server, &file, MIB5, &[1]);
    put(&server, &file.path, "bucket/key", &["--chunk-size", "5MiB"]).exits(0);
    assert_eq!((server.count(Op::ListUploads), server.uploads().len()), (0, 1));
}
