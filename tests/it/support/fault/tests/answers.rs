//! What a script makes of answers and of stored bytes, and what the server remembers.

use std::io::{ErrorKind, Read as _};

use super::super::{FaultServer, Op};
use super::{Client, Reply, completion, lenient_size, put};

/// Returns a server with an upload that has part 1, and the target of a part.
fn with_upload() -> (FaultServer, String) {
    let server = lenient_size();
    let id = server.has_upload("key");
    (server, format!("/bucket/key?uploadId={id}&partNumber="))
}

#[test]
fn a_rule_is_for_its_part_and_turn() {
    let (server, target) = with_upload();
    server.on(Op::UploadPart).part(3).nth(2).answer(503, "SlowDown");
    server.on(Op::UploadPart).part(2).first(1).answer(500, "InternalError");
    server.on(Op::UploadPart).key("other").answer(500, "InternalError");
    let mut client = Client::of(&server);
    let statuses = [3, 2, 3, 2, 3].map(|n| client.put(&format!("{target}{n}"), b"body").status);
    assert_eq!(statuses, [200, 500, 503, 200, 200]);
    assert_eq!(server.uploads()[0].parts.len(), 2);
    let answered: Vec<_> = server.requests().iter().map(|seen| seen.status_answered).collect();
    assert_eq!(answered, [200, 500, 503, 200, 200].map(Some));
    server.forget_rules();
    assert_eq!(client.put(&format!("{target}2"), b"body").status, 200);
}

#[test]
fn an_error_says_what_the_script_says() {
    let server = FaultServer::start();
    let rule = server.on_any().with_header("Retry-After", "7").with_element("Region", "x");
    rule.with_message("Please <wait>").answer(503, "SlowDown");
    let reply = put(&server).expect("an answer");
    reply.is(503, "SlowDown");
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!((reply.element("Message"), reply.element("Region")), ("Please &lt;wait&gt;", "x"));
    assert!(server.object("key").is_none());
}

#[test]
fn a_completion_may_be_done_and_the_answer_be_anything() {
    let done = |script: fn(&FaultServer)| {
        let server = lenient_size();
        script(&server);
        let id = server.has_upload("key");
        let xml = completion(&[(1, &server.has_part(&id, 1, "body"))]);
        let reply = Client::of(&server).complete("key", &id, &xml);
        (reply, server.object("key").is_some())
    };
    let (reply, stored) = done(|server| server.on(Op::Complete).after().raw(200, ""));
    assert_eq!((reply.status, reply.body.as_str(), stored), (200, "", true));
    let (reply, stored) = done(|server| server.on(Op::Complete).answer_in_200("InternalError"));
    reply.is(200, "InternalError");
    assert!(!stored);
    let (reply, stored) = done(|server| server.on(Op::Complete).after().answer(500, "InternalError"));
    reply.is(500, "InternalError");
    assert!(stored);
    let (reply, _) = done(|server| server.on(Op::Complete).drop_element("ETag"));
    assert!(reply.body.contains("<Key>key</Key>") && !reply.body.contains("ETag"));
    let (reply, _) = done(|server| server.on(Op::Complete).begin_answer_with("\n \n"));
    assert!(reply.body.starts_with("\n \n<?xml") && reply.body.ends_with("Result>"));
    let (reply, _) = done(|server| server.on(Op::Complete).cut_answer(50));
    assert_eq!(reply.body.len(), 50);
    let (reply, _) = done(|server| server.on(Op::Complete).wrong_etag());
    assert_eq!(reply.element("ETag"), format!("\"{}\"", "0".repeat(32)));
}

#[test]
fn an_answer_may_be_verbatim() {
    let server = FaultServer::start();
    server.on_any().verbatim("HTTP/1.0 banana\r\n");
    let mut client = Client::of(&server);
    client.call("HEAD", "/bucket").signed().write().expect("to write");
    let mut all = String::new();
    client.stream.read_to_string(&mut all).expect("to read to the end");
    assert_eq!(all, "HTTP/1.0 banana\r\n");
}

#[test]
fn a_corrupt_body_is_caught_by_a_checksum_only() {
    let server = FaultServer::start();
    server.on_any().corrupt();
    let mut client = Client::of(&server);
    let call = client.call("PUT", "/bucket/key").body(b"body");
    call.header("Content-MD5", "hBotaJrIa9FhFEdFPChg+A==").send().is(400, "BadDigest");
    assert_eq!(client.put("/bucket/key", b"body").status, 200);
    let object = server.object("key").expect("the object");
    assert_eq!(object.bytes.as_deref(), Some(b"cody".as_slice()));
}

#[test]
fn headers_of_the_answer_change() {
    let server = FaultServer::start();
    server.on_any().drop_header("x-amz-request-id");
    server.on_any().nth(1).drop_header("etag");
    server.on_any().nth(2).wrong_etag();
    server.on_any().nth(3).set_header("x-amz-checksum-crc64nvme", "wrong");
    let replies = [(); 3].map(|()| put(&server).expect("an answer"));
    assert_eq!(replies[0].header("etag"), None);
    assert_eq!(replies[1].header("etag").map(str::len), Some(34));
    assert_eq!(replies[2].header("x-amz-checksum-crc64nvme"), Some("wrong"));
    assert!(replies.iter().all(|reply| reply.header("x-amz-request-id").is_none()));
}

#[test]
fn what_was_seen_is_told() {
    let (server, target) = with_upload();
    let mut client = Client::of(&server);
    client.put(&format!("{target}7"), b"body");
    let seen = server.requests_of(Op::UploadPart).remove(0);
    assert_eq!((seen.part, seen.body_len, seen.body.len()), (Some(7), 4, 0));
    assert_eq!((seen.bucket.as_deref(), seen.key.as_deref()), (Some("bucket"), Some("key")));
    assert_eq!(seen.upload_id, Some(server.uploads()[0].id.clone()));
    assert_eq!((seen.parameter("partNumber"), seen.method.as_str()), (Some("7"), "PUT"));
    assert_eq!((seen.order, seen.connection, seen.ended), (0, 0, true));
    assert!(seen.header("Authorization").is_some() && server.endpoint().starts_with("http://127."));
}
