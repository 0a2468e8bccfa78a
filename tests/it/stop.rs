//! It never hangs, and what is stopped leaves nothing behind: stalls, stragglers, the deadline, signals.

use std::process::{Child, Command};

use crate::support::command::{Ran, put, s3chunk_at, signal, start, upload};
use crate::support::fault::{FaultServer, Listing, Op, Personality};
use crate::support::{MIB5, TestFile, file};

fn command(server: &FaultServer, file: &TestFile) -> Command {
    let mut command = s3chunk_at(server);
    command.arg("put").arg(&file.path).args(["bucket/key", "--chunk-size", "5MiB"]);
    command
}

fn end(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

const SHORT: [&str; 4] = ["--stall-timeout", "1s", "--max-attempts", "2"];

#[test]
fn a_store_that_never_answers_is_a_passing_failure() {
    for op in [Op::Create, Op::UploadPart, Op::PutObject] {
        let server = FaultServer::start();
        server.on(op).never_answer();
        let size = if op == Op::PutObject { 10 } else { 2 * MIB5 };
        upload(&server, size, &SHORT).exits(75);
    }
}

#[test]
fn a_store_that_takes_no_more_bytes_is_a_passing_failure() {
    for stall in [0, 100_000] {
        let server = FaultServer::start();
        server.on(Op::UploadPart).part(2).stall_after_bytes(stall);
        server.on(Op::PutObject).stall_after_bytes(stall);
        upload(&server, 3 * MIB5, &SHORT).exits(75);
        upload(&server, MIB5, &SHORT).exits(75);
    }
}

#[test]
fn an_answer_that_stops_half_way_is_a_passing_failure() {
    let server = FaultServer::start();
    server.on(Op::Create).stall_in_answer();
    upload(&server, 2 * MIB5, &SHORT).exits(75);
}

#[test]
fn a_stall_that_passes_is_no_failure() {
    let server = FaultServer::start();
    for op in [Op::Create, Op::UploadPart, Op::PutObject] {
        server.on(op).nth(1).never_answer();
    }
    upload(&server, 2 * MIB5, &["--stall-timeout", "1s"]).exits(0);
    upload(&server, 10, &["--stall-timeout", "1s"]).exits(0);
}

#[test]
fn a_slow_upload_that_moves_is_not_called_stalled() {
    // What the kernels hold at the end must be read in less than the timeout.
    for (size, rate, receive_buffer) in [(3 << 20, 1 << 20, 128 << 10), (700_000, 350_000, 16 << 10)] {
        let server = FaultServer::start_with(Personality {
            receive_buffer: Some(receive_buffer),
            ..Personality::default()
        });
        server.on(Op::PutObject).read_slowly(rate);
        let ran = upload(&server, size, &["--stall-timeout", "1s", "--max-attempts", "1"]);
        assert_eq!(ran.exit, 0, "{size} bytes at {rate} B/s: {ran}");
    }
}

#[test]
fn a_completion_may_take_longer_than_the_stall_timeout() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::Complete).hold();
    // A part that never answers takes longer than the time after which the completion would be stalled.
    server.on(Op::UploadPart).key("slow").never_answer();
    let child = start(command(&server, &file).args(["--stall-timeout", "1s"]));
    server.wait_for(Op::Complete, 1);
    let mut other = s3chunk_at(&server);
    other.arg("put").arg(&file.path).args(["bucket/slow", "--chunk-size", "5MiB"]).args(SHORT);
    let other = start(&mut other);
    end(other).exits(75);
    server.release();
    end(child).exits(0);
    assert_eq!(server.count(Op::Complete), 1);
}

#[test]
fn a_straggler_is_sent_again_on_a_connection_of_its_own_and_the_first_to_finish_wins() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).nth(1).hold();
    upload(&server, 6 * MIB5, &[]).exits(0);
    let sent: Vec<_> =
        server.requests_of(Op::UploadPart).into_iter().filter(|part| part.part == Some(2)).collect();
    assert_eq!(sent.len(), 2);
    assert!(
        server
            .requests()
            .iter()
            .all(|seen| seen.order == sent[1].order || seen.connection != sent[1].connection)
    );
}

#[test]
fn the_deadline_ends_an_upload_in_good_order() {
    for op in [Op::Create, Op::UploadPart, Op::Complete, Op::PutObject, Op::HeadObject] {
        let server = FaultServer::start();
        server.on(op).hold();
        let size = if op == Op::PutObject { 10 } else { 2 * MIB5 };
        let options = if op == Op::HeadObject { &["--no-overwrite"][..] } else { &[] };
        let ran = upload(&server, size, &[&["--deadline", "1s"], options].concat()).exits(75);
        let ran = ran.says("the deadline passed");
        assert!(server.object("key").is_none(), "{op:?}: {ran}");
    }
}

#[test]
fn a_signal_at_any_time_leaves_nothing() {
    for op in [Op::UploadPart, Op::Complete, Op::PutObject, Op::Create] {
        for (name, exit) in [("INT", 130), ("TERM", 143)] {
            let size = if op == Op::PutObject { 10 } else { 3 * MIB5 };
            let (server, file) = (FaultServer::start(), file(size));
            server.on(op).hold();
            let child = start(&mut command(&server, &file));
            server.wait_for_held(1);
            signal(&child, name);
            let ran = end(child).exits(exit);
            assert!(server.uploads().is_empty() && server.object("key").is_none(), "{op:?}: {ran}");
            ran.says("interrupted");
        }
    }
}

#[test]
fn a_signal_during_a_start_whose_answer_is_lost_leaves_nothing() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::Create).never_answer();
    let child = start(&mut command(&server, &file));
    server.wait_for_held(1);
    signal(&child, "TERM");
    let ran = end(child).exits(143);
    assert!(server.uploads().is_empty(), "{ran}");
}

#[test]
fn a_signal_while_waiting_for_another_try_leaves_nothing() {
    for op in [Op::Create, Op::UploadPart, Op::Complete, Op::PutObject] {
        let size = if op == Op::PutObject { 10 } else { 2 * MIB5 };
        let (server, file) = (FaultServer::start(), file(size));
        server.on(op).with_header("Retry-After", "50").answer(503, "SlowDown");
        let child = start(&mut command(&server, &file));
        server.wait_for_end_of(op, 1);
        signal(&child, "TERM");
        let ran = end(child).exits(143);
        assert!(server.uploads().is_empty() && server.object("key").is_none(), "{op:?}: {ran}");
    }
}

#[test]
fn parts_in_flight_are_stopped_before_the_abort() {
    let (server, file) = (FaultServer::start(), file(4 * MIB5));
    server.on(Op::UploadPart).never_answer();
    let child = start(&mut command(&server, &file));
    server.wait_for_held(4);
    signal(&child, "INT");
    end(child).exits(130);
    server.release();
    assert!(server.uploads().is_empty() && server.object("key").is_none());
    assert_eq!(server.count(Op::UploadPart), 4);
}

#[test]
fn a_second_signal_ends_at_once() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::UploadPart).never_answer();
    server.on(Op::Abort).hold();
    let child = start(&mut command(&server, &file));
    server.wait_for_held(2);
    signal(&child, "INT");
    server.wait_for(Op::Abort, 1);
    signal(&child, "TERM");
    let ran = end(child).exits(143);
    assert!(!ran.stderr.contains("could not be dropped"), "{ran}");
}

#[test]
fn an_abort_that_hangs_after_a_signal_is_given_up_and_said() {
    let (server, file) = (FaultServer::start(), file(2 * MIB5));
    server.on(Op::UploadPart).never_answer();
    server.on(Op::Abort).hold();
    let child = start(&mut command(&server, &file));
    server.wait_for_held(2);
    signal(&child, "TERM");
    let ran = end(child).exits(143);
    ran.says(&server.uploads()[0].id).says("could not be dropped");
}

#[test]
fn a_refusal_while_the_body_is_being_sent_is_read() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).answer_early(403, "AccessDenied");
    server.on(Op::PutObject).answer_early(403, "AccessDenied");
    upload(&server, 2 * MIB5, &[]).exits(4).says("AccessDenied");
    upload(&server, MIB5, &[]).exits(4).says("AccessDenied");
    assert_eq!(server.count(Op::PutObject), 1);
}

#[test]
fn a_refusal_whose_connection_is_reset_ends_in_good_order() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).answer_early_and_reset(403, "AccessDenied");
    let ran = upload(&server, 2 * MIB5, &["--max-attempts", "2"]);
    assert!([4, 75].contains(&ran.exit), "{ran}");
}

#[test]
fn an_abort_is_checked_and_repeated_until_the_store_agrees() {
    let server = FaultServer::start_with(Personality { abort_after_list_parts: 2, ..Personality::default() });
    server.on(Op::UploadPart).part(3).answer(403, "AccessDenied");
    upload(&server, 3 * MIB5, &["--concurrency", "1"]).exits(4);
}

#[test]
fn an_upload_that_cannot_be_dropped_is_named_with_the_command_that_drops_it() {
    for list_parts in [Listing::Works, Listing::NotImplemented] {
        let server = FaultServer::start_with(Personality { list_parts, ..Personality::default() });
        server.on(Op::UploadPart).part(2).answer(403, "AccessDenied");
        server.on(Op::Abort).answer(403, "AccessDenied");
        let options = ["--chunk-size", "5MiB", "--concurrency", "1"];
        let ran = put(&server, &file(2 * MIB5).path, "bucket/key", &options).exits(4);
        let id = server.uploads()[0].id.clone();
        let held = match list_parts {
            Listing::Works => "still holds 1 parts, 5.0 MiB",
            _ => "its parts are still stored",
        };
        ran.says(&id).says(held).says("abort s3://bucket/key --upload-id ");
    }
}
