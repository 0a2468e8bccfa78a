//! Bytes checked by the store, objects looked at, conditions kept.

use s3chunk::checksum::{hex, md5};

use crate::support::command::{put, run, s3chunk_at, upload};
use crate::support::fault::{
    Algorithm, ChecksumType, Checksums, ConditionalWrites, EtagKind, FaultServer, Op, Personality,
};
use crate::support::{MIB5, bytes, file};

fn store(conditional_writes: ConditionalWrites) -> FaultServer {
    FaultServer::start_with(Personality { conditional_writes, ..Personality::default() })
}

fn bytes_sent(server: &FaultServer) -> u64 {
    server.requests().iter().map(|seen| seen.body_len).sum()
}

const SIZES: [u64; 2] = [10, 2 * MIB5];

#[test]
fn an_object_that_is_there_is_not_overwritten_and_no_byte_is_sent_for_it() {
    for store in [ConditionalWrites::Honoured, ConditionalWrites::Ignored].map(store) {
        store.has_object("key", "before");
        for size in SIZES {
            upload(&store, size, &["--no-overwrite"]).exits(7);
        }
        assert_eq!(store.object("key").unwrap().bytes.unwrap(), "before");
        assert_eq!(bytes_sent(&store), 0);
        assert_eq!(store.requests().len(), store.count(Op::HeadObject));
    }
}

#[test]
fn where_nothing_is_there_no_overwrite_is_no_hindrance() {
    for store in [ConditionalWrites::Honoured, ConditionalWrites::Ignored] {
        for size in SIZES {
            upload(&self::store(store), size, &["--no-overwrite"]).exits(0);
        }
    }
}

#[test]
fn an_object_that_appears_meanwhile_is_not_overwritten() {
    for size in SIZES {
        let server = FaultServer::start();
        server.has_object("key", "before");
        server.on(Op::HeadObject).nth(1).answer(404, "NoSuchKey");
        upload(&server, size, &["--no-overwrite"]).exits(7);
        assert_eq!(server.object("key").unwrap().bytes.unwrap(), "before");
    }
}

#[test]
fn a_repeat_that_finds_our_own_object_in_the_way_is_success() {
    for size in SIZES {
        for op in [Op::PutObject, Op::Complete] {
            let server = FaultServer::start();
            server.on(op).nth(1).after().reset();
            server.on(Op::Complete).nth(2).answer(412, "PreconditionFailed");
            upload(&server, size, &["--no-overwrite"]).exits(0);
        }
    }
}

#[test]
fn a_repeat_that_finds_anothers_object_in_the_way_is_a_failed_precondition() {
    for size in SIZES {
        let server = FaultServer::start();
        // As large as ours, and not ours.
        let before = bytes(size + 1).split_off(1);
        server.has_object("key", before.clone());
        server.on(Op::HeadObject).nth(1).answer(404, "NoSuchKey");
        for op in [Op::PutObject, Op::Complete] {
            server.on(op).nth(1).reset();
        }
        upload(&server, size, &["--no-overwrite"]).exits(7);
        assert_eq!(server.object("key").unwrap().bytes.unwrap(), before);
    }
}

#[test]
fn a_conflict_of_conditional_requests_is_tried_again() {
    for size in SIZES {
        let server = FaultServer::start();
        for op in [Op::PutObject, Op::Complete] {
            server.on(op).nth(1).answer(409, "ConditionalRequestConflict");
        }
        upload(&server, size, &["--no-overwrite"]).exits(0);
    }
}

#[test]
fn an_object_is_replaced_only_if_it_is_the_one_meant() {
    for size in SIZES {
        let server = FaultServer::start();
        server.has_object("key", "before");
        let etag = server.object("key").unwrap().etag;
        upload(&server, size, &["--if-match", "\"0123\""]).exits(7);
        assert_eq!(bytes_sent(&server), 0);
        upload(&server, size, &["--if-match", &etag]).exits(0);
        server.has_object("key", "before");
        upload(&server, size, &["--if-match", etag.trim_matches('"')]).exits(0);
        upload(&FaultServer::start(), size, &["--if-match", &etag]).exits(7);
        // Whoever may not look is told by the store.
        server.on(Op::HeadObject).answer(403, "AccessDenied");
        upload(&server, size, &["--if-match", "\"0123\""]).exits(7);
    }
}

#[test]
fn an_object_that_vanishes_meanwhile_is_a_failed_precondition() {
    for size in SIZES {
        let server = FaultServer::start();
        server.on(Op::HeadObject).answer(403, "AccessDenied");
        upload(&server, size, &["--if-match", "\"0123\""]).exits(7);
    }
}

#[test]
fn a_store_that_knows_no_conditions_is_said_in_a_line() {
    for size in SIZES {
        let server = store(ConditionalWrites::Refused);
        let ran = upload(&server, size, &["--no-overwrite"]).exits(1).says("NotImplemented");
        assert!(server.object("key").is_none() && ran.error().contains("NotImplemented"), "{ran}");
    }
}

#[test]
fn each_checksum_is_sent_as_s3_wants_it() {
    use ChecksumType::{Composite, FullObject};
    for (name, algorithm, kind) in [
        ("crc64nvme", Algorithm::Crc64Nvme, FullObject),
        ("crc32c", Algorithm::Crc32c, FullObject),
        ("crc32", Algorithm::Crc32, FullObject),
        ("sha256", Algorithm::Sha256, Composite),
        ("sha1", Algorithm::Sha1, Composite),
    ] {
        for size in SIZES {
            let server = FaultServer::start();
            let ran = upload(&server, size, &["--checksum", name, "--verify"]).exits(0);
            let ours = server.object("key").unwrap().checksum.unwrap();
            let kind = if size > MIB5 { kind } else { FullObject };
            assert_eq!((ours.algorithm, ours.kind), (algorithm, kind), "{ran}");
            let theirs = &ran.record()["checksum"];
            assert_eq!(
                (&theirs["algorithm"], &theirs["value"]),
                (&algorithm.name().into(), &ours.value.into())
            );
            for seen in [server.requests_of(Op::PutObject), server.requests_of(Op::UploadPart)].concat() {
                assert!(seen.header(&algorithm.header()).is_some() && seen.header("content-md5").is_none());
            }
        }
    }
}

#[test]
fn a_composite_checksum_is_completed_with_each_parts() {
    let server = FaultServer::start();
    upload(&server, 2 * MIB5, &["--checksum", "sha256"]).exits(0);
    let complete = &server.requests_of(Op::Complete)[0];
    let body = String::from_utf8_lossy(&complete.body).into_owned();
    assert_eq!(body.matches("<ChecksumSHA256>").count(), 2, "{body}");
}

#[test]
fn md5_alone_and_no_checksum_are_what_they_say() {
    for (name, md5) in [("md5", true), ("none", false)] {
        for size in SIZES {
            let server = FaultServer::start();
            upload(&server, size, &["--checksum", name]).exits(0);
            for seen in [server.requests_of(Op::PutObject), server.requests_of(Op::UploadPart)].concat() {
                assert_eq!(seen.header("content-md5").is_some(), md5, "{name}");
            }
            for seen in server.requests() {
                let of_checksum = |(name, _): &&(String, String)| {
                    name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-mode"
                };
                assert_eq!(seen.headers.iter().find(of_checksum), None, "{:?}", seen.op);
            }
        }
    }
}

#[test]
fn a_checksum_that_was_asked_for_and_is_not_to_be_had_is_said() {
    for size in SIZES.into_iter().rev() {
        let refused = Checksums::Refused(501, "NotImplemented".into());
        let server = FaultServer::start_with(Personality { checksums: refused, ..Personality::default() });
        upload(&server, size, &["--checksum", "crc32c"]).exits(1).says("NotImplemented");

        let ignored = Personality { checksums: Checksums::Ignored, ..Personality::default() };
        let server = FaultServer::start_with(ignored);
        let ran = upload(&server, size, &["--checksum", "crc32c", "--payload-signing", "never"]);
        let lines: Vec<_> = ran.stderr.lines().filter(|line| !line.contains(" %, ")).collect();
        assert!(lines.iter().any(|line| line.to_lowercase().contains("crc32c")), "nothing is said: {ran}");
    }
}

#[test]
fn the_payload_is_signed_or_not_as_asked() {
    for (when, signed) in [("auto", true), ("always", true), ("never", false)] {
        for size in SIZES {
            let server = FaultServer::start();
            upload(&server, size, &["--payload-signing", when]).exits(0);
            for seen in [server.requests_of(Op::PutObject), server.requests_of(Op::UploadPart)].concat() {
                let sum = seen.header("x-amz-content-sha256").unwrap();
                assert_eq!(sum != "UNSIGNED-PAYLOAD", signed, "{when}");
            }
        }
    }
}

#[test]
fn verify_looks_at_the_object_at_the_end() {
    for checksums in [Checksums::Known, Checksums::NotEchoed, Checksums::Ignored] {
        for size in SIZES {
            let personality = Personality { checksums: checksums.clone(), ..Personality::default() };
            let server = FaultServer::start_with(personality);
            upload(&server, size, &["--verify"]).exits(0);
            assert!(server.count(Op::HeadObject) > 0);
        }
    }
}

#[test]
fn verify_tells_an_object_that_is_another() {
    let wrong: [(Checksums, &str, &str); 3] = [
        (Checksums::Known, "x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        (Checksums::Known, "Content-Length", "11"),
        (Checksums::Ignored, "ETag", "\"00000000000000000000000000000000\""),
    ];
    for (checksums, header, value) in wrong {
        for size in SIZES {
            let value = if size > MIB5 { value.replace("0\"", "0-2\"") } else { value.to_owned() };
            let personality = Personality { checksums: checksums.clone(), ..Personality::default() };
            let server = FaultServer::start_with(personality);
            server.on(Op::HeadObject).set_header(header, &value);
            upload(&server, size, &["--verify"]).exits(6);
        }
    }
}

#[test]
fn an_object_that_can_be_compared_by_its_size_alone_is_said_in_a_line() {
    let server = FaultServer::start_with(Personality {
        checksums: Checksums::Ignored,
        etag: EtagKind::Opaque,
        ..Personality::default()
    });
    for size in SIZES {
        upload(&server, size, &["--verify"]).exits(0).says("nothing else to verify it by");
    }
}

#[test]
fn an_object_that_was_said_to_be_made_and_is_not_there_is_no_success() {
    let server =
        FaultServer::start_with(Personality { checksums: Checksums::Ignored, ..Personality::default() });
    server.on(Op::HeadObject).answer(404, "NoSuchKey");
    let file = file(2 * MIB5);
    let ran = put(&server, &file.path, "bucket/key", &["--chunk-size", "5MiB"]);
    assert!([6, 75].contains(&ran.exit), "{ran}");
}

#[test]
fn no_secret_is_said_whatever_goes_wrong() {
    let token = "FwoGZXIvYXdzEXAMPLETOKEN";
    let failing: [fn(&FaultServer); 7] = [
        |_| {},
        |server| server.on(Op::Create).answer(403, "AccessDenied"),
        |server| server.on(Op::UploadPart).part(2).corrupt(),
        |server| server.on(Op::Complete).raw(200, "<html"),
        |server| server.on(Op::UploadPart).nth(1).reset(),
        |server| server.on(Op::Complete).answer_in_200("InternalError"),
        |server| server.on(Op::Create).nth(1).verbatim("HTTP/1.1 200 nonsense\r\n: \r\n\r\n"),
    ];
    for (at, fail) in failing.into_iter().enumerate() {
        for (wrong, size) in [(false, 2 * MIB5), (true, 2 * MIB5), (true, 10)] {
            let server = FaultServer::start_with(Personality {
                session_token: Some(token.into()),
                ..Personality::default()
            });
            fail(&server);
            let secret = if wrong { "n0t-the-s3cret" } else { &server.personality().secret_key };
            let mut command = s3chunk_at(&server);
            command.env("AWS_SESSION_TOKEN", token).env("AWS_SECRET_ACCESS_KEY", secret);
            let file = file(size);
            command.arg("put").arg(&file.path).arg("bucket/key");
            let ran = run(command.args(["--chunk-size", "5MiB", "-vvv", "--json", "--max-attempts", "2"]));
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!said.contains(secret) && !said.contains(token), "{at}: {ran}");
            assert!(!said.contains("Signature=") && !said.contains("CanonicalRequest"), "{at}: {ran}");
            let signatures = server.requests().into_iter().filter_map(|seen| {
                Some(seen.header("authorization")?.rsplit_once("Signature=")?.1.to_owned())
            });
            for signature in signatures {
                assert!(!said.contains(&signature), "{at}: {ran}");
            }
        }
    }
}

/// Parts that came with an MD5, but for the question whether it is of use.
fn parts_with_md5(server: &FaultServer) -> usize {
    let parts = server.requests_of(Op::UploadPart);
    parts.iter().filter(|part| part.body_len > 1 && part.header("content-md5").is_some()).count()
}

/// As many bytes as it takes for the question to be worth it: 13 parts.
const WORTH_ASKING: u64 = 64 << 20;

/// A store that confirms no checksum and whose ETags are opaque. The first part that it is sent, it takes whatever its
/// MD5, and calls it by this.
fn unsure(first_etag: Option<&str>) -> FaultServer {
    let server = FaultServer::start_with(Personality {
        checksums: Checksums::Ignored,
        etag: EtagKind::Opaque,
        ..Personality::default()
    });
    if let Some(etag) = first_etag {
        server.on(Op::UploadPart).nth(1).with_header("etag", etag).raw(200, "");
    }
    server
}

#[test]
fn a_store_that_takes_wrong_md5s_is_sent_no_more_of_them_and_the_user_is_told() {
    let said = "the store confirms no checksum of parts, and takes wrong ones";
    let server = unsure(Some("\"d41d8cd98f00b204e9800998ecf8427e\""));
    upload(&server, WORTH_ASKING, &[]).exits(0).says(said);
    assert_eq!((parts_with_md5(&server), server.count(Op::UploadPart)), (0, 13 + 1));
}

#[test]
fn a_store_that_refuses_wrong_md5s_or_calls_parts_by_their_own_goes_on_to_get_them() {
    let its_own = format!("\"{}\"", hex(&md5(b"?")));
    for server in [unsure(None), unsure(Some(&its_own))] {
        let ran = upload(&server, WORTH_ASKING, &[]).exits(0);
        assert_eq!((parts_with_md5(&server), server.count(Op::UploadPart)), (13, 13 + 1), "{ran}");
        assert_eq!(ran.record()["retries"], 0);
    }
}

#[test]
fn a_small_upload_is_not_worth_the_question() {
    let server = unsure(None);
    upload(&server, 4 * MIB5, &[]).exits(0);
    assert_eq!((parts_with_md5(&server), server.count(Op::UploadPart)), (4, 4));
}
