//! It finishes: what is tried again and what is not, and how an unclear answer is cleared up.

use crate::support::command::{Ran, put, s3chunk_at, start};
use crate::support::fault::{
    Checksums, CompleteAgain, EtagKind, FaultServer, Listing, Op, PartOrder, Personality,
};
use crate::support::{MIB5, bytes, file};

/// Uploads a file in chunks of 5 MiB. Whatever comes of it: the object is whole or not there, and no upload is left.
fn upload(server: &FaultServer, size: u64, options: &[&str]) -> Ran {
    let file = file(size);
    let ran = put(server, &file.path, "bucket/key", &[&["--json", "--chunk-size", "5MiB"], options].concat());
    if let Some(object) = server.object("key") {
        assert!(object.bytes.is_some_and(|bytes| bytes == file.bytes), "another object: {ran}");
    }
    assert!(server.uploads().is_empty(), "an upload is left: {ran}");
    if ran.exit == 0 {
        let object = server.object("key").unwrap_or_else(|| panic!("no object: {ran}"));
        assert_eq!(ran.record()["etag"], object.etag.trim_matches('"'), "{ran}");
    }
    ran
}

const WRITES: [Op; 4] = [Op::PutObject, Op::Create, Op::UploadPart, Op::Complete];
const PASSING: [(u16, &str); 10] = [
    (500, "InternalError"),
    (502, "BadGateway"),
    (503, "SlowDown"),
    (503, "ServiceUnavailable"),
    (504, "GatewayTimeout"),
    (408, "RequestTimeout"),
    (400, "RequestTimeout"),
    (429, "TooManyRequests"),
    (409, "OperationAborted"),
    (400, "IncompleteBody"),
];

#[test]
fn what_may_pass_is_tried_again() {
    for (status, code) in PASSING {
        let server = FaultServer::start();
        for op in WRITES {
            server.on(op).nth(1).answer(status, code);
        }
        assert_eq!(upload(&server, 2 * MIB5, &[]).exits(0).record()["retries"], 3, "{status} {code}");
        assert_eq!(upload(&server, 10, &[]).exits(0).record()["retries"], 1, "{status} {code}");
    }
}

#[test]
fn a_proxys_failure_without_xml_is_tried_again() {
    let server = FaultServer::start();
    for op in WRITES {
        server.on(op).nth(1).raw(502, "<html>Bad Gateway</html>");
    }
    upload(&server, 2 * MIB5, &[]).exits(0);
    upload(&server, 10, &[]).exits(0);
}

#[test]
fn a_connection_that_breaks_before_amid_or_after_is_no_failure() {
    let breaks: [fn(&FaultServer, Op); 6] = [
        |server, op| server.on(op).nth(1).reset(),
        |server, op| server.on(op).nth(1).reset_after_bytes(10),
        |server, op| server.on(op).nth(1).after().reset(),
        |server, op| server.on(op).nth(1).close_without_answer(),
        |server, op| server.on(op).nth(1).reset_in_answer(),
        |server, op| server.on(op).nth(1).close_in_answer(),
    ];
    for (at, broken) in breaks.into_iter().enumerate() {
        for op in WRITES {
            let server = FaultServer::start();
            broken(&server, op);
            let size = if op == Op::PutObject { 10 } else { 2 * MIB5 };
            let ran = upload(&server, size, &[]);
            assert_eq!(ran.exit, 0, "{op:?}, break {at}: {ran}");
        }
    }
}

#[test]
fn what_the_store_will_repeat_fails_at_once() {
    for (status, code, exit) in [
        (403, "AccessDenied", 4),
        (403, "InvalidAccessKeyId", 4),
        (404, "NoSuchBucket", 5),
        (400, "EntityTooLarge", 1),
        (400, "KeyTooLongError", 1),
        (405, "MethodNotAllowed", 1),
    ] {
        for op in WRITES {
            let server = FaultServer::start();
            server.on(op).answer(status, code);
            let size = if op == Op::PutObject { 10 } else { 2 * MIB5 };
            let ran = upload(&server, size, &["--concurrency", "1"]).exits(exit).says(code);
            assert_eq!(server.count(op), 1, "{op:?} {code}: {ran}");
        }
    }
}

#[test]
fn the_attempts_are_as_many_as_asked() {
    for (most, count) in [("1", 1), ("3", 3)] {
        for op in WRITES {
            let server = FaultServer::start();
            server.on(op).answer(503, "ServiceUnavailable");
            let size = if op == Op::PutObject { 10 } else { 2 * MIB5 };
            upload(&server, size, &["--max-attempts", most, "--concurrency", "1"]).exits(75);
            assert_eq!(server.count(op), count, "{op:?}");
        }
    }
}

#[test]
fn a_time_that_the_store_asks_to_wait_is_honoured_and_said() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).nth(1).with_header("Retry-After", "1").answer(503, "SlowDown");
    upload(&server, 2 * MIB5, &[]).exits(0).says("part 2 again in 1.0 s: SlowDown");
}

#[test]
fn a_clock_that_is_too_far_off_is_corrected() {
    for clock_ahead in [-4000, 4000] {
        let personality = || Personality { clock_ahead, ..Personality::default() };
        let server = FaultServer::start_with(personality());
        upload(&server, 2 * MIB5, &[]).exits(0);
        assert_eq!(server.count(Op::Create), 2, "the clock is learnt once");
        assert_eq!(server.count(Op::UploadPart), 2);
        upload(&FaultServer::start_with(personality()), 10, &[]).exits(0);
    }
}

#[test]
fn damaged_bytes_are_sent_once_more() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(1).nth(1).corrupt();
    server.on(Op::UploadPart).part(2).nth(1).corrupt();
    server.on(Op::PutObject).nth(1).corrupt();
    upload(&server, 3 * MIB5, &[]).exits(0);
    assert_eq!(server.count(Op::UploadPart), 5);
    upload(&server, 10, &[]).exits(0);
}

#[test]
fn bytes_damaged_twice_are_a_mismatch() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).corrupt();
    server.on(Op::PutObject).corrupt();
    upload(&server, 3 * MIB5, &["--concurrency", "1"]).exits(6).says("BadDigest");
    assert_eq!(server.count(Op::UploadPart), 3);
    upload(&server, 10, &[]).exits(6);
    assert_eq!(server.count(Op::PutObject), 2);
}

#[test]
fn expired_credentials_are_fetched_anew_once() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(1).nth(1).answer(400, "ExpiredToken");
    upload(&server, 2 * MIB5, &[]).exits(0);
    let server = FaultServer::start();
    server.on(Op::PutObject).answer(400, "ExpiredToken");
    upload(&server, 10, &[]).exits(4).says("ExpiredToken");
    assert_eq!(server.count(Op::PutObject), 2);
}

#[test]
fn a_token_renewed_on_disk_is_used() {
    let token = |token: &str| {
        let Personality { access_key, secret_key, .. } = Personality::default();
        let keys = format!("aws_access_key_id={access_key}\naws_secret_access_key={secret_key}");
        format!("[default]\n{keys}\naws_session_token={token}\n")
    };
    let server = FaultServer::start_with(Personality {
        session_token: Some("renewed".into()),
        ..Personality::default()
    });
    server.on(Op::PutObject).nth(1).hold();
    server.on(Op::PutObject).nth(1).answer(400, "ExpiredToken");
    let file = file(10);
    let keys = file.path.with_extension("credentials");
    std::fs::write(&keys, token("old")).unwrap();
    let mut command = s3chunk_at(&server);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_SHARED_CREDENTIALS_FILE", &keys);
    let child = start(command.arg("put").arg(&file.path).arg("bucket/key"));
    server.wait_for_held(1);
    std::fs::write(&keys, token("renewed")).unwrap();
    server.release();
    Ran::from(child.wait_with_output().unwrap()).exits(0);
}

#[test]
fn a_stale_connection_costs_no_attempt() {
    let server = FaultServer::start();
    server.on(Op::Create).close_after_answer();
    server.on(Op::UploadPart).close_after_answer();
    let ran = upload(&server, 4 * MIB5, &["--max-attempts", "1", "--concurrency", "2"]).exits(0);
    assert_eq!(ran.record()["retries"], 0);
}

#[test]
fn a_finished_upload_is_found_whatever_the_answer() {
    let silent: [fn(&FaultServer); 13] = [
        |server| server.on(Op::Complete).begin_answer_with("\r\n   \r\n"),
        |server| server.on(Op::Complete).drop_element("ETag"),
        |server| server.on(Op::Complete).nth(1).answer_in_200("InternalError"),
        |server| server.on(Op::Complete).nth(1).answer_in_200("SlowDown"),
        |server| server.on(Op::Complete).nth(1).after().answer_in_200("InternalError"),
        |server| server.on(Op::Complete).nth(1).raw(200, ""),
        |server| server.on(Op::Complete).nth(1).after().raw(200, ""),
        |server| server.on(Op::Complete).nth(1).after().raw(200, " \n"),
        |server| server.on(Op::Complete).nth(1).after().raw(200, "<html>Welcome</html>"),
        |server| server.on(Op::Complete).nth(1).after().raw(200, "<a><b>"),
        |server| server.on(Op::Complete).nth(1).cut_answer(100),
        |server| server.on(Op::Complete).nth(1).after().reset(),
        |server| server.on(Op::Complete).nth(1).after().answer(504, "GatewayTimeout"),
    ];
    for complete_again in [CompleteAgain::NoSuchUpload, CompleteAgain::Idempotent] {
        for (at, hide) in silent.into_iter().enumerate() {
            let server = FaultServer::start_with(Personality { complete_again, ..Personality::default() });
            hide(&server);
            let ran = upload(&server, 2 * MIB5, &[]);
            assert_eq!(ran.exit, 0, "answer {at}, {complete_again:?}: {ran}");
        }
    }
}

#[test]
fn a_repeat_that_is_refused_since_the_first_was_done_is_success() {
    for (status, code) in [
        (404, "NoSuchUpload"),
        (403, "AccessDenied"),
        (404, "NoSuchKey"),
        (500, "InternalError"),
        (400, "InvalidPart"),
        (412, "PreconditionFailed"),
    ] {
        let lost: [fn(&FaultServer); 3] = [
            |server| server.on(Op::Complete).nth(1).after().reset(),
            |server| server.on(Op::Complete).nth(1).after().answer(500, "InternalError"),
            |server| server.on(Op::Complete).nth(1).after().answer(503, "SlowDown"),
        ];
        for lose in lost {
            let server = FaultServer::start();
            lose(&server);
            for n in 2..=3 {
                server.on(Op::Complete).nth(n).answer(status, code);
            }
            let ran = upload(&server, 2 * MIB5, &["--max-attempts", "3"]);
            assert_eq!(ran.exit, 0, "{status} {code}: {ran}");
        }
    }
}

#[test]
fn an_upload_that_is_not_finished_is_no_success() {
    let failing: [fn(&FaultServer); 6] = [
        |server| server.on(Op::Complete).answer_in_200("InternalError"),
        |server| server.on(Op::Complete).raw(200, ""),
        |server| server.on(Op::Complete).raw(200, "<html></html>"),
        |server| server.on(Op::Complete).raw(200, "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></Com"),
        |server| server.on(Op::Complete).raw(200, "<CompleteMultipartUploadResult/>"),
        |server| server.on(Op::Complete).reset(),
    ];
    for (at, fail) in failing.into_iter().enumerate() {
        for old in [false, true] {
            let (server, file) = (FaultServer::start(), file(2 * MIB5));
            fail(&server);
            // As large as ours, and not ours.
            let before = bytes(2 * MIB5 + 1).split_off(1);
            if old {
                server.has_object("key", before.clone());
            }
            let options = ["--chunk-size", "5MiB", "--max-attempts", "2"];
            let ran = put(&server, &file.path, "bucket/key", &options);
            assert_eq!(ran.exit, 75, "answer {at}, old {old}: {ran}");
            assert_eq!(server.object("key").map(|object| object.bytes.unwrap()), old.then(|| before.into()));
            assert!(server.uploads().is_empty());
        }
    }
}

#[test]
fn a_part_that_the_store_turns_out_not_to_have_is_sent_again_once() {
    for list_parts in [Listing::Works, Listing::NotImplemented] {
        let store = || FaultServer::start_with(Personality { list_parts, ..Personality::default() });
        let server = store();
        server.on(Op::Complete).nth(1).with_element("PartNumber", "2").answer(400, "InvalidPart");
        let ran = upload(&server, 3 * MIB5, &[]);
        assert_eq!(ran.exit, 0, "{list_parts:?}: {ran}");
        let sent: Vec<_> = server.requests_of(Op::UploadPart).iter().map(|part| part.part).collect();
        assert_eq!(sent.iter().filter(|part| **part == Some(2)).count(), 2);
        assert_eq!(sent.len(), 4);
        let server = store();
        server.on(Op::Complete).with_element("PartNumber", "2").answer(400, "InvalidPart");
        upload(&server, 3 * MIB5, &[]).exits(1).says("InvalidPart");
        assert_eq!(server.count(Op::UploadPart), 4);
    }
}

#[test]
fn progress_never_counts_a_part_twice() {
    let server = FaultServer::start();
    server.on(Op::Complete).with_element("PartNumber", "2").nth(1).answer(400, "InvalidPart");
    let ran = upload(&server, 2 * MIB5, &["--progress", "plain"]).exits(0);
    assert!(!ran.stderr.contains("150 %") && !ran.stderr.contains("part 3 of 2"), "{ran}");
}

#[test]
fn the_lost_answer_of_a_start_leaves_no_second_upload() {
    let lost: [fn(&FaultServer, usize); 6] = [
        |server, n| server.on(Op::Create).first(n).after().reset(),
        |server, n| server.on(Op::Create).first(n).close_without_answer(),
        |server, n| server.on(Op::Create).first(n).after().raw(200, ""),
        |server, n| server.on(Op::Create).first(n).cut_answer(100),
        |server, n| server.on(Op::Create).first(n).after().answer(500, "InternalError"),
        |server, n| server.on(Op::Create).first(n).after().answer(503, "SlowDown"),
    ];
    for (at, lose) in lost.into_iter().enumerate() {
        for (n, exit) in [(1, 0), (2, 0), (3, 75)] {
            let server = FaultServer::start();
            lose(&server, n);
            let ran = upload(&server, 2 * MIB5, &["--max-attempts", "3"]);
            assert_eq!(ran.exit, exit, "answer {at}, {n} lost: {ran}");
        }
    }
}

#[test]
fn a_start_lost_on_a_connection_that_had_served_leaves_no_second_upload() {
    let server = FaultServer::start();
    // The look at the object makes the connection that the start then goes over.
    server.on(Op::Create).nth(1).after().reset();
    upload(&server, 2 * MIB5, &["--no-overwrite"]).exits(0);
    assert_eq!(server.count(Op::Create), 2);
}

#[test]
fn a_lost_start_is_found_though_the_clocks_differ() {
    for clock_ahead in [600, 5, -5, -600] {
        let server = FaultServer::start_with(Personality { clock_ahead, ..Personality::default() });
        server.on(Op::Create).nth(1).after().reset();
        upload(&server, 2 * MIB5, &[]).exits(0);
    }
}

#[test]
fn uploads_of_others_outlive_a_lost_start() {
    for clock_ahead in [0, 600] {
        others_outlive_a_lost_start(clock_ahead);
    }
}

fn others_outlive_a_lost_start(clock_ahead: i64) {
    let server = FaultServer::start_with(Personality { clock_ahead, ..Personality::default() });
    let held = server.has_upload("key");
    server.has_part(&held, 1, bytes(10));
    let others = [
        held,
        server.has_old_upload("key", std::time::Duration::from_secs(60)),
        server.has_upload("key2"),
        server.has_upload("ke"),
    ];
    server.on(Op::Create).nth(1).after().reset();
    put(&server, &file(2 * MIB5).path, "bucket/key", &["--chunk-size", "5MiB"]).exits(0);
    let left: Vec<_> = server.uploads().into_iter().map(|upload| upload.id).collect();
    assert_eq!(left, others);
}

#[test]
fn stores_differ_and_the_upload_ends_well_all_the_same() {
    let etag = [EtagKind::Md5, EtagKind::Opaque];
    let checksums = [Checksums::Known, Checksums::Ignored, Checksums::NotEchoed];
    for (etag, checksums) in etag.into_iter().flat_map(|etag| checksums.clone().map(|sums| (etag, sums))) {
        let server = FaultServer::start_with(Personality {
            etag,
            checksums: checksums.clone(),
            complete_names_etag: false,
            list_parts: Listing::TruncatedWithoutMarker,
            list_uploads: Listing::TruncatedWithoutMarker,
            page_size: 1,
            part_order: PartOrder::Unordered,
            ..Personality::default()
        });
        server.on(Op::Create).nth(1).after().reset();
        server.on(Op::Complete).nth(1).after().reset();
        let ran = upload(&server, 3 * MIB5, &[]);
        assert_eq!(ran.exit, 0, "{etag:?} {checksums:?}: {ran}");
    }
}
