//! What a script does to connections and to time, seen from the client's end of the wire.

use std::io::{ErrorKind, Read as _};
use std::sync::Arc;
use std::thread;

use super::super::{FaultServer, Op};
use super::{Client, put};

#[test]
fn connections_are_reset_and_closed() {
    let fails = |script: fn(&FaultServer)| {
        let server = FaultServer::start();
        script(&server);
        let error = put(&server).expect_err("no answer");
        server.wait_for_end_of(Op::PutObject, 1);
        let seen = &server.requests()[0];
        assert_eq!(seen.status_answered, None);
        (error, seen.body_len, server.object("key").is_some())
    };
    let reset = ErrorKind::ConnectionReset;
    assert_eq!(fails(|s| s.on_any().reset()), (reset, 0, false));
    assert_eq!(fails(|s| s.on_any().reset_after_bytes(3)), (reset, 3, false));
    assert_eq!(fails(|s| s.on_any().reset_after_bytes(100)), (reset, 4, false));
    assert_eq!(fails(|s| s.on_any().after().reset()), (reset, 4, true));
    let closed = ErrorKind::UnexpectedEof;
    assert_eq!(fails(|s| s.on_any().close_without_answer()), (closed, 4, true));
}

#[test]
fn half_an_answer_is_followed_by_an_end() {
    let get = |script: fn(&FaultServer)| {
        let server = FaultServer::start();
        server.has_object("key", "12345678");
        script(&server);
        let mut client = Client::of(&server);
        client.call("GET", "/bucket/key").signed().write().expect("to write");
        let mut all = Vec::new();
        let end = client.stream.read_to_end(&mut all).err().map(|error| error.kind());
        (String::from_utf8_lossy(&all).ends_with("\r\n\r\n1234"), end)
    };
    assert_eq!(get(|s| s.on_any().close_in_answer()), (true, None));
    assert_eq!(get(|s| s.on_any().reset_in_answer()).1, Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_kept_connection_may_be_stale() {
    let server = FaultServer::start();
    server.on_any().nth(1).close_after_answer();
    let mut client = Client::of(&server);
    let reply = client.call("HEAD", "/bucket").send();
    assert_eq!((reply.status, reply.header("connection")), (200, None));
    assert_eq!(client.stream.read(&mut [0]).expect("the end"), 0);
    assert_eq!(put(&server).expect("an answer").status, 200);
}

#[test]
fn an_early_answer_leaves_the_body_unread() {
    let server = FaultServer::start();
    server.on_any().answer_early(403, "AccessDenied");
    let mut client = Client::of(&server);
    let mut call = client.call("PUT", "/bucket/key").header("Content-Length", "1000000").signed();
    call.body = vec![0; 10];
    call.write().expect("to write");
    call.read().expect("an answer").is(403, "AccessDenied");
    assert_eq!(client.stream.read(&mut [0]).expect("the end"), 0);
    assert_eq!(server.requests()[0].body_len, 0);
}

#[test]
fn a_stalled_body_goes_on_when_released() {
    let server = FaultServer::start();
    server.on(Op::PutObject).stall_after_bytes(2);
    thread::scope(|scope| {
        let upload = scope.spawn(|| put(&server));
        server.wait_for_held(1);
        assert_eq!(server.requests()[0].body_len, 2);
        server.release();
        assert_eq!(upload.join().expect("no panic").expect("an answer").status, 200);
    });
    assert!(server.object("key").is_some());
}

#[test]
fn held_requests_overlap_and_are_counted() {
    let server = FaultServer::start();
    server.on(Op::PutObject).hold();
    thread::scope(|scope| {
        let uploads = [(); 3].map(|()| scope.spawn(|| put(&server)));
        server.wait_for(Op::PutObject, 3);
        server.release();
        for upload in uploads {
            assert_eq!(upload.join().expect("no panic").expect("an answer").status, 200);
        }
    });
    assert_eq!((server.in_flight_peak(Op::PutObject), server.connections()), (3, 3));
    assert_eq!(server.in_flight_peak(Op::UploadPart), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_can_wait_for_the_server() {
    let server = Arc::new(FaultServer::start());
    server.on(Op::PutObject).never_answer();
    let theirs = Arc::clone(&server);
    let upload = thread::spawn(move || put(&theirs));
    server.arrived(Op::PutObject, 1).await;
    server.held(1).await;
    assert!(server.object("key").is_some());
    server.release();
    server.ended(Op::PutObject, 1).await;
    assert_eq!(upload.join().expect("no panic").expect("an answer").status, 200);
}

#[test]
fn the_rest_of_an_answer_comes_when_released() {
    let server = FaultServer::start();
    server.on_any().nth(1).stall_in_answer();
    thread::scope(|scope| {
        let upload = scope.spawn(|| put(&server));
        server.wait_for_held(1);
        server.release();
        assert_eq!(upload.join().expect("no panic").expect("an answer").status, 200);
    });
}

#[test]
fn stopping_ends_what_is_held() {
    let server = FaultServer::start();
    server.on_any().hold();
    let mut client = Client::of(&server);
    client.call("HEAD", "/bucket").signed().write().expect("to write");
    server.wait_for_held(1);
    drop(server);
    assert!(matches!(client.stream.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn slow_ways_still_arrive() {
    let server = FaultServer::start();
    server.on(Op::PutObject).read_slowly(1_000_000);
    server.on(Op::PutObject).answer_byte_by_byte();
    assert_eq!(put(&server).expect("an answer").status, 200);
}
