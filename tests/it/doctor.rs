//! `s3chunk doctor`: what it finds, what it advises, and that it leaves nothing behind.

use std::process::Command;

use serde_json::Value;

use crate::support::command::{Ran, run, s3chunk, s3chunk_at, signal, start};
use crate::support::fault::{
    Checksums, ConditionalWrites, FaultServer, Listing, Op, Personality, WrongRegion,
};
use crate::support::front::{Authority, proxy, tls};

/// The findings of a run with `--json`: check, status, detail, fix.
struct Findings(Vec<Value>);

impl Findings {
    fn of(ran: &Ran) -> Self {
        Findings(ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn the(&self, check: &str) -> &Value {
        let mut found = self.0.iter().filter(|finding| finding["check"] == check);
        let one = found.next().unwrap_or_else(|| panic!("no {check} in {:?}", self.0));
        assert!(found.next().is_none(), "{check} twice in {:?}", self.0);
        one
    }

    /// Checks the status of a check, and that its detail or its advice says this.
    fn has(&self, check: &str, status: &str, words: &str) -> &Self {
        let one = self.the(check);
        assert_eq!(one["status"], status, "{one}");
        assert!(one.to_string().contains(words), "{words:?} is not in {one}");
        self
    }

    /// The checks that ended so.
    fn that(&self, status: &str) -> Vec<&str> {
        let those = self.0.iter().filter(|finding| finding["status"] == status);
        those.map(|finding| finding["check"].as_str().unwrap()).collect()
    }
}

fn ask(command: &mut Command, options: &[&str]) -> Ran {
    run(command.args(["doctor", "bucket/folder/key", "--max-attempts", "1"]).args(options))
}

/// Examines `bucket/folder/key`, and makes sure that nothing is left but what was there.
fn doctor(server: &FaultServer, options: &[&str]) -> (Ran, Findings) {
    server.has_object("folder/key", "the user's own");
    let ran = ask(&mut s3chunk_at(server), &[&["--json"], options].concat());
    leaves_nothing(server);
    let findings = Findings::of(&ran);
    (ran, findings)
}

fn leaves_nothing(server: &FaultServer) {
    assert!(server.uploads().is_empty(), "an upload is left");
    for put in server.requests_of(Op::PutObject).iter().chain(&server.requests_of(Op::Complete)) {
        let key = put.key.as_deref().unwrap();
        assert!(key.starts_with("folder/key.s3chunk-doctor-"), "{key} was written");
        assert!(server.object(key).is_none(), "an object is left");
    }
    let own = server.object("folder/key").map(|object| object.bytes.unwrap());
    assert!(own.is_none_or(|bytes| bytes == "the user's own"));
}

const ALL: [&str; 16] = [
    "endpoint",
    "DNS",
    "connection",
    "clock",
    "credentials",
    "bucket",
    "ListMultipartUploads",
    "CreateMultipartUpload",
    "UploadPart",
    "checksums",
    "Content-MD5",
    "ListParts",
    "AbortMultipartUpload",
    "HeadObject",
    "If-Match",
    "region",
];

#[test]
fn a_store_that_does_is_well_in_every_check() {
    let server = FaultServer::start();
    let (ran, findings) = doctor(&server, &[]);
    let ran = ran.exits(0);
    assert_eq!(findings.that("ok"), ALL, "{ran}");
    assert_eq!(ran.stderr, "");
    findings
        .has("endpoint", "ok", "AWS_ENDPOINT_URL")
        .has("endpoint", "ok", "AWS_REGION")
        .has("DNS", "ok", "127.0.0.1")
        .has("connection", "ok", "plain HTTP")
        .has("credentials", "ok", "****MPLE from the environment")
        .has("bucket", "ok", "us-east-1")
        .has("checksums", "ok", "CRC64NVME is confirmed and verified")
        .has("Content-MD5", "ok", "verified")
        .has("ListParts", "ok", "with their checksums")
        .has("If-Match", "ok", "honoured");
    assert!(findings.0.iter().all(|finding| finding["fix"].is_null()));
}

#[test]
fn a_finding_is_a_line_and_its_advice_the_next() {
    let server = FaultServer::start_with(Personality {
        conditional_writes: ConditionalWrites::Ignored,
        ..Personality::default()
    });
    let ran = ask(&mut s3chunk_at(&server), &[]).exits(0);
    assert!(ran.stdout.contains("\nok    bucket: bucket is there, in us-east-1\n"), "{ran}");
    let ran = ask(&mut s3chunk_at(&server), &["--quiet"]).exits(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran}");
    assert!(lines[0].starts_with("warn  If-Match: ignored") && lines[1].starts_with("      do not"), "{ran}");
    leaves_nothing(&server);
}

#[test]
fn a_permission_that_is_refused_is_named() {
    for (op, check, status, action) in [
        (Op::HeadBucket, "bucket", "warn", "allow s3:ListBucket on arn:aws:s3:::bucket"),
        (Op::ListUploads, "ListMultipartUploads", "warn", "s3:ListBucketMultipartUploads"),
        (
            Op::Create,
            "CreateMultipartUpload",
            "fail",
            "allow s3:PutObject on arn:aws:s3:::bucket/folder/key*",
        ),
        (Op::UploadPart, "UploadPart", "fail", "allow s3:PutObject on"),
        (Op::ListParts, "ListParts", "warn", "s3:ListMultipartUploadParts"),
        (Op::HeadObject, "HeadObject", "warn", "s3:GetObject"),
        (Op::Abort, "AbortMultipartUpload", "fail", "s3:AbortMultipartUpload"),
        (Op::PutObject, "If-Match", "warn", "s3:PutObject"),
    ] {
        let server = FaultServer::start();
        server.on(op).answer(403, "AccessDenied");
        let (ran, findings) = doctor(&server, &[]);
        findings.has(check, status, action);
        if status == "warn" {
            assert_eq!((findings.that("warn"), ran.exits(0).stderr.as_str()), (vec![check], ""));
        } else {
            assert_eq!(findings.that("fail"), [check]);
            ran.exits(4).says("s3chunk: an upload would fail here: AccessDenied");
        }
    }
}

#[test]
fn no_upload_is_started_that_could_not_be_dropped() {
    let server = FaultServer::start();
    server.on(Op::Abort).answer(403, "AccessDenied");
    let (_, findings) = doctor(&server, &[]);
    assert_eq!(server.count(Op::Create), 0);
    findings.has("CreateMultipartUpload", "skip", "could not be dropped");
}

#[test]
fn a_store_that_denies_what_it_does_not_know_is_examined_all_the_same() {
    let server = FaultServer::start();
    server.on(Op::Abort).nth(1).answer(403, "AccessDenied");
    server.on(Op::UploadPart).nth(1).answer(403, "AccessDenied");
    let (ran, findings) = doctor(&server, &[]);
    ran.exits(0);
    assert_eq!(findings.that("ok"), ALL);
}

#[test]
fn a_key_of_kms_that_may_not_be_used_is_told_from_the_bucket() {
    let server = FaultServer::start();
    let message = "not authorized to perform: kms:GenerateDataKey on the resource";
    server.on(Op::Create).with_message(message).answer(403, "AccessDenied");
    let (ran, findings) = doctor(&server, &[]);
    findings.has("CreateMultipartUpload", "fail", "allow kms:GenerateDataKey and kms:Decrypt");
    ran.exits(4);
}

#[test]
fn a_bucket_that_is_not_there_ends_it() {
    let server = FaultServer::start();
    let ran = run(s3chunk_at(&server).args(["doctor", "absent", "--json"])).exits(5);
    let findings = Findings::of(&ran);
    findings.has("bucket", "fail", "create the bucket").has("UploadPart", "skip", "an earlier check failed");
    assert_eq!(findings.that("fail"), ["bucket"]);
    assert_eq!((server.count(Op::Create), server.count(Op::PutObject)), (0, 0));
}

#[test]
fn no_credentials_are_told_before_anything_is_tried() {
    let server = FaultServer::start();
    let mut command = s3chunk();
    let ran = ask(command.env("AWS_ENDPOINT_URL", server.endpoint()), &["--json"]).exits(4);
    let findings = Findings::of(&ran);
    findings.has("credentials", "fail", "AWS_ACCESS_KEY_ID").has("bucket", "skip", "an earlier check failed");
    findings.has("region", "skip", "").has(
        "endpoint",
        "ok",
        "region us-east-1 (since nothing names another)",
    );
}

#[test]
fn wrong_keys_are_told_from_missing_permissions_and_never_shown() {
    for (variable, code) in
        [("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"), ("AWS_SESSION_TOKEN", "InvalidToken")]
    {
        let server = FaultServer::start();
        let mut command = s3chunk_at(&server);
        command.env(variable, "hush-hush-hush");
        let ran = ask(&mut command, &["--json", "-vv"]).exits(4).says(code);
        let findings = Findings::of(&ran);
        findings.has("ListMultipartUploads", "fail", "check the access key and its secret");
        assert_eq!(server.count(Op::Create), 0);
        for secret in ["hush", "AKIAIOSFODNN7EXAMPLE", &server.personality().secret_key] {
            assert!(!ran.to_string().contains(secret), "{ran}");
        }
    }
}

#[test]
fn credentials_are_told_by_where_they_are_from() {
    let server = FaultServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let Personality { access_key, secret_key, .. } = server.personality();
    let text = format!("[work]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n");
    std::fs::write(&file, text).unwrap();
    let mut command = s3chunk_at(&server);
    command.env("AWS_SHARED_CREDENTIALS_FILE", &file);
    let ran = ask(&mut command, &["--json", "--profile", "work"]).exits(0);
    Findings::of(&ran).has("credentials", "ok", "****MPLE from the profile work");
    let ran = ask(&mut s3chunk_at(&server), &["--json", "--no-sign-request"]).exits(4);
    Findings::of(&ran).has("credentials", "ok", "not signed");
}

#[test]
fn nobody_at_the_endpoint_is_a_matter_of_the_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = FaultServer::start();
    let mut command = s3chunk_at(&server);
    let ran = ask(command.env("AWS_ENDPOINT_URL", format!("http://{free}")), &["--json"]).exits(75);
    let findings = Findings::of(&ran);
    findings.has("connection", "fail", "check --endpoint-url").has("credentials", "skip", "");
}

#[test]
fn a_host_without_an_address_is_a_matter_of_dns() {
    let server = FaultServer::start();
    let mut command = s3chunk_at(&server);
    let ran = ask(command.env("AWS_ENDPOINT_URL", "http://no-such-host.invalid"), &["--json"]).exits(75);
    Findings::of(&ran).has("DNS", "fail", "no-such-host.invalid").has("connection", "skip", "");
}

#[test]
fn tls_is_told_with_its_version_and_a_certificate_that_is_not_trusted() {
    let (server, authority) = (FaultServer::start(), Authority::new());
    let front = tls(server.address(), &authority, "localhost");
    let url = format!("https://localhost:{}", front.address.port());
    let at = |options: &[&str]| {
        let mut command = s3chunk_at(&server);
        let ran = ask(command.env("AWS_ENDPOINT_URL", &url), &[&["--json"], options].concat());
        (Findings::of(&ran), ran)
    };
    let pem = authority.pem.to_str().unwrap();
    at(&["--ca-bundle", pem]).0.has("connection", "ok", "TLS 1.3").has("DNS", "ok", "localhost is 127.0.0.1");
    at(&["--no-verify-ssl"]).0.has("connection", "warn", "not verified");
    let (findings, ran) = at(&[]);
    findings.has("connection", "fail", "--ca-bundle");
    ran.exits(1);
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let server = FaultServer::start();
    let front = proxy(server.address());
    // An address where nobody listens: the proxy alone knows the way.
    let ask_by = |url: String| {
        let mut command = s3chunk_at(&server);
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.9:9").env("HTTP_PROXY", url);
        ask(&mut command, &["--json"])
    };
    let ran = ask_by(format!("http://u:p@{}", front.address)).exits(0);
    let findings = Findings::of(&ran);
    findings.has("DNS", "ok", &format!("left to the proxy {}", front.address));
    assert_eq!(findings.that("ok"), ALL);
    let ran = ask_by(format!("http://u:wr0ng@{}", front.address)).exits(1);
    Findings::of(&ran).has("connection", "fail", "the proxy wants a user name and a password");
    assert!(!ran.to_string().contains("wr0ng"), "{ran}");
}

#[test]
fn a_clock_that_is_off_is_told_and_made_up_for() {
    for (clock_ahead, words) in [(3600, "behind"), (-3600, "ahead of")] {
        let server = FaultServer::start_with(Personality { clock_ahead, ..Personality::default() });
        let (ran, findings) = doctor(&server, &[]);
        ran.exits(0);
        findings.has("clock", "warn", words).has("clock", "warn", "set this machine's clock");
        assert_eq!(findings.that("warn"), ["clock"]);
    }
}

#[test]
fn another_region_is_told_and_followed() {
    for wrong_region in [WrongRegion::Malformed, WrongRegion::Redirect] {
        let region = "eu-west-1".to_owned();
        let server = FaultServer::start_with(Personality { region, wrong_region, ..Personality::default() });
        let ran = ask(s3chunk_at(&server).env("AWS_REGION", "us-east-1"), &["--json"]).exits(0);
        Findings::of(&ran).has("region", "warn", "use --region eu-west-1").has("UploadPart", "ok", "");
        leaves_nothing(&server);
    }
}

#[test]
fn what_a_store_does_with_checksums_is_found_out() {
    let refused = Checksums::Refused(400, "InvalidArgument".into());
    for (checksums, status, words) in [
        (Checksums::Ignored, "warn", "CRC64NVME is ignored"),
        (Checksums::NotEchoed, "ok", "CRC64NVME is not confirmed and verified"),
        (refused, "warn", "CRC64NVME is refused"),
    ] {
        let server = FaultServer::start_with(Personality { checksums, ..Personality::default() });
        let (ran, findings) = doctor(&server, &[]);
        ran.exits(0);
        findings.has("checksums", status, words).has("Content-MD5", "ok", "verified");
        findings.has("ListParts", "ok", "with their ETags alone");
    }
}

#[test]
fn what_a_store_does_with_conditions_is_found_out() {
    for (conditional_writes, words) in
        [(ConditionalWrites::Ignored, "ignored"), (ConditionalWrites::Refused, "refused: NotImplemented")]
    {
        let server = FaultServer::start_with(Personality { conditional_writes, ..Personality::default() });
        let (ran, findings) = doctor(&server, &[]);
        ran.exits(0);
        findings.has("If-Match", "warn", words).has("If-Match", "warn", "--no-overwrite");
    }
}

#[test]
fn every_version_that_was_made_is_deleted_as_such() {
    let server = FaultServer::start();
    server.on(Op::PutObject).set_header("x-amz-version-id", "v.7");
    server.on(Op::Complete).set_header("x-amz-version-id", "v.8");
    doctor(&server, &["--write"]).0.exits(0);
    let deleted = server.requests_of(Op::DeleteObject);
    let versions: Vec<_> = deleted.iter().flat_map(|seen| seen.query.clone()).collect();
    assert_eq!(versions, ["v.7", "v.8"].map(|version| ("versionId".to_owned(), version.to_owned())));
}

#[test]
fn an_object_that_cannot_be_deleted_is_named() {
    let server = FaultServer::start_with(Personality {
        conditional_writes: ConditionalWrites::Ignored,
        ..Personality::default()
    });
    server.on(Op::DeleteObject).answer(403, "AccessDenied");
    let ran = ask(&mut s3chunk_at(&server), &["--json"]).exits(4);
    let key = server.requests_of(Op::PutObject)[0].key.clone().unwrap();
    assert!(server.object(&key).is_some());
    Findings::of(&ran).has("DeleteObject", "fail", &key).has("DeleteObject", "fail", "s3:DeleteObject on");
}

#[test]
fn a_store_that_lists_nothing_does_all_the_same() {
    let server = FaultServer::start_with(Personality {
        list_uploads: Listing::NotImplemented,
        list_parts: Listing::NotImplemented,
        ..Personality::default()
    });
    let (ran, findings) = doctor(&server, &[]);
    ran.exits(0);
    assert_eq!(findings.that("warn"), ["ListMultipartUploads", "ListParts"]);
}

#[test]
fn where_it_is_asked_for_objects_are_made_and_deleted() {
    let server = FaultServer::start();
    let (ran, findings) = doctor(&server, &["--write"]);
    ran.exits(0);
    for check in ["PutObject", "If-None-Match", "CompleteMultipartUpload", "DeleteObject"] {
        findings.has(check, "ok", "");
    }
    for (op, check) in [(Op::PutObject, "PutObject"), (Op::Complete, "CompleteMultipartUpload")] {
        let server = FaultServer::start();
        server.on(op).answer(403, "AccessDenied");
        let (ran, findings) = doctor(&server, &["--write"]);
        ran.exits(4);
        findings.has(check, "fail", "allow s3:PutObject");
    }
    let conditional_writes = ConditionalWrites::Ignored;
    let server = FaultServer::start_with(Personality { conditional_writes, ..Personality::default() });
    let (_, findings) = doctor(&server, &["--write"]);
    findings.has("If-None-Match", "warn", "--no-overwrite").has("DeleteObject", "ok", "gone");
}

#[test]
fn lost_answers_leave_nothing() {
    for (op, conditional_writes) in [
        (Op::Create, ConditionalWrites::Honoured),
        (Op::PutObject, ConditionalWrites::Ignored),
        (Op::Complete, ConditionalWrites::Honoured),
    ] {
        for attempts in ["1", "3"] {
            let server =
                FaultServer::start_with(Personality { conditional_writes, ..Personality::default() });
            server.on(op).nth(1).after().reset();
            run(s3chunk_at(&server).args([
                "doctor",
                "bucket/folder/key",
                "--write",
                "--max-attempts",
                attempts,
            ]));
            leaves_nothing(&server);
        }
    }
}

#[test]
fn a_signal_leaves_nothing() {
    for (op, n) in [(Op::UploadPart, 1), (Op::UploadPart, 2), (Op::ListParts, 1), (Op::HeadObject, 1)] {
        let server = FaultServer::start();
        server.on(op).nth(n).hold();
        let child = start(s3chunk_at(&server).args(["doctor", "bucket/folder/key"]));
        server.wait_for_held(1);
        signal(&child, "INT");
        Ran::from(child.wait_with_output().unwrap()).exits(130).says("s3chunk: interrupted");
        leaves_nothing(&server);
    }
}

#[test]
fn a_key_is_examined_where_it_would_be() {
    for (target, start) in [("bucket", "s3chunk-doctor-"), ("s3://bucket/a b/", "a b/s3chunk-doctor-")] {
        let server = FaultServer::start();
        run(s3chunk_at(&server).args(["doctor", target])).exits(0);
        let key = server.requests_of(Op::Create)[0].key.clone().unwrap();
        assert!(key.starts_with(start), "{key}");
    }
    run(s3chunk().args(["doctor", "no bucket/key"])).exits(2);
}
