//! The verifier against AWS's published examples, and against requests that are wrong in one way each.

use std::time::SystemTime;

use super::super::clock::{basic, from_unix_seconds, parse_basic, unix_seconds};
use super::super::http::Head;
use super::super::personality::ContentSha256;
use super::super::sigv4::verify;
use super::super::sums::sha256_hex;
use super::super::{FaultServer, Op, Personality, WrongRegion};
use super::Client;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// "Examples: Signature Calculations" of the S3 API reference: the secret and access key are the default personality's.
fn published(method: &str, target: &str, more: &[(&str, &str)], signature: &str) -> Head {
    let mut headers: Vec<(String, String)> = vec![
        ("Host".into(), "examplebucket.s3.amazonaws.com".into()),
        ("x-amz-date".into(), "20130524T000000Z".into()),
    ];
    headers.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={},Signature={signature}",
        names.join(";")
    );
    headers.push(("Authorization".into(), authorization));
    Head { method: method.into(), target: target.into(), headers }
}

fn then() -> SystemTime {
    from_unix_seconds(parse_basic("20130524T000000Z").expect("a date"))
}

fn code(head: &Head, body_sha256: &str) -> String {
    let verdict = verify(head, body_sha256, &Personality::default(), then());
    verdict.err().map_or("ok".to_owned(), |error| error.code)
}

fn example_get() -> Head {
    published(
        "GET",
        "/test.txt",
        &[("Range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)],
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    )
}

#[test]
fn the_published_get_object_verifies() {
    assert_eq!(code(&example_get(), EMPTY), "ok");
}

#[test]
fn the_published_put_object_verifies() {
    let body = sha256_hex(b"Welcome to Amazon S3.");
    let head = published(
        "PUT",
        "/test$file.text",
        &[
            ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", &body),
        ],
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    assert_eq!(code(&head, &body), "ok");
    assert_eq!(code(&head, EMPTY), "XAmzContentSHA256Mismatch");
}

#[test]
fn the_published_bucket_requests_verify() {
    let sums = [("x-amz-content-sha256", EMPTY)];
    let lifecycle = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
    let list = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    assert_eq!(code(&published("GET", "/?lifecycle", &sums, lifecycle), EMPTY), "ok");
    assert_eq!(code(&published("GET", "/?max-keys=2&prefix=J", &sums, list), EMPTY), "ok");
    assert_eq!(code(&published("GET", "/?prefix=J&max-keys=2", &sums, list), EMPTY), "ok");
}

#[test]
fn the_published_presigned_get_verifies_until_it_expires() {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let head = Head {
        method: "GET".into(),
        target: target.into(),
        headers: vec![("host".into(), "examplebucket.s3.amazonaws.com".into())],
    };
    let at = |seconds| {
        let now = from_unix_seconds(unix_seconds(then()) + seconds);
        verify(&head, EMPTY, &Personality::default(), now).err().map(|error| error.code)
    };
    assert_eq!(at(86_400), None);
    assert_eq!(at(86_401).as_deref(), Some("AccessDenied"));
}

#[test]
fn a_changed_request_does_not_verify() {
    for change in ["method", "target", "range", "signature"] {
        let mut head = example_get();
        match change {
            "method" => head.method = "PUT".into(),
            "target" => head.target = "/test.txt?acl".into(),
            "range" => head.headers[2].1 = "bytes=0-8".into(),
            _ => head.headers[4].1 = head.headers[4].1.replace("f0e8", "f0e9"),
        }
        assert_eq!(code(&head, EMPTY), "SignatureDoesNotMatch", "{change}");
    }
}

#[test]
fn an_unsigned_amz_header_is_refused() {
    let mut head = example_get();
    head.headers.push(("x-amz-acl".into(), "public-read".into()));
    assert_eq!(code(&head, EMPTY), "AccessDenied");
    head.headers.pop();
    head.headers.push(("user-agent".into(), "not signed and need not be".into()));
    assert_eq!(code(&head, EMPTY), "ok");
}

#[test]
fn the_clock_may_differ_by_a_quarter_of_an_hour() {
    let at = |seconds| {
        let now = from_unix_seconds(unix_seconds(then()) + seconds);
        let verdict = verify(&example_get(), EMPTY, &Personality::default(), now);
        verdict.err().map(|error| (error.status, error.code))
    };
    let skewed = Some((403, "RequestTimeTooSkewed".to_owned()));
    assert_eq!((at(900), at(-900)), (None, None));
    assert_eq!((at(901), at(-901)), (skewed.clone(), skewed));
}

#[test]
fn strangers_are_refused() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    client.personality.access_key = "AKIAOTHER".into();
    assert_eq!(client.call("HEAD", "/bucket").send().status, 403);
    client.call("GET", "/bucket?location").send().is(403, "InvalidAccessKeyId");
    client.personality = server.personality().clone();
    client.personality.secret_key = "wrong".into();
    let reply = client.call("GET", "/bucket?location").send();
    reply.is(403, "SignatureDoesNotMatch");
    assert!(reply.element("CanonicalRequest").contains("x-amz-date:"));
    client.personality = server.personality().clone();
    let anonymous = client.call("GET", "/bucket?location");
    anonymous.write().expect("to write");
    anonymous.read().expect("an answer").is(403, "AccessDenied");
}

#[test]
fn the_session_token_must_be_the_configured_one() {
    let server = FaultServer::start_with(Personality {
        session_token: Some("token+/=".into()),
        ..Personality::default()
    });
    let mut client = Client::of(&server);
    assert_eq!(client.call("GET", "/bucket?location").send().status, 200);
    client.personality.session_token = None;
    client.call("GET", "/bucket?location").send().is(400, "InvalidToken");
}

#[test]
fn another_region_is_told_the_right_one() {
    let mut personality = Personality { region: "eu-west-1".into(), ..Personality::default() };
    for (wrong_region, status, code) in [
        (WrongRegion::Malformed, 400, "AuthorizationHeaderMalformed"),
        (WrongRegion::Redirect, 301, "PermanentRedirect"),
    ] {
        personality.wrong_region = wrong_region;
        let server = FaultServer::start_with(personality.clone());
        let mut client = Client::of(&server);
        client.personality.region = "us-east-1".into();
        let reply = client.call("GET", "/bucket?location").send();
        reply.is(status, code);
        assert_eq!(reply.header("x-amz-bucket-region"), Some("eu-west-1"));
    }
}

#[test]
fn a_server_whose_clock_is_off_says_its_time() {
    let server = FaultServer::start_with(Personality { clock_ahead: 3600, ..Personality::default() });
    let mut client = Client::of(&server);
    let reply = client.call("GET", "/bucket?location").send();
    reply.is(403, "RequestTimeTooSkewed");
    let time = reply.element("ServerTime").replace(['-', ':'], "");
    let call = client.call("GET", "/bucket?location").signed_at(&time);
    call.write().expect("to write");
    assert_eq!(call.read().expect("an answer").status, 200);
    assert_eq!(server.count(Op::GetBucketLocation), 2);
}

#[test]
fn the_content_hash_is_needed_unless_it_is_optional() {
    for (content_sha256, status) in [(ContentSha256::Required, 400), (ContentSha256::Optional, 403)] {
        let server = FaultServer::start_with(Personality { content_sha256, ..Personality::default() });
        let mut client = Client::of(&server);
        let mut call = client.call("GET", "/bucket?location").signed();
        call.head.headers.retain(|(name, _)| name != "x-amz-content-sha256");
        call.write().expect("to write");
        // The optional case goes on to the signature, which was for another request.
        assert_eq!(call.read().expect("an answer").status, status);
    }
}

#[test]
fn dates_survive_both_ways() {
    for date in ["20130524T000000Z", "20000229T235959Z", "20240301T120000Z", "19700101T000000Z"] {
        assert_eq!(basic(from_unix_seconds(parse_basic(date).expect(date))), date);
    }
    assert_eq!(unix_seconds(then()), 1_369_353_600);
}
