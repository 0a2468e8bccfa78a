//! What the server refuses of writes, one wrong thing at a time, and what its personalities let pass.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use md5::{Digest as _, Md5};

use super::super::sums::{Algorithm, Sums};
use super::super::{Checksums, ConditionalWrites, FaultServer};
use super::{Client, lenient_size, with};

fn location(server: &FaultServer, target: &str) -> u16 {
    Client::of(server).call("HEAD", target).send().status
}

#[test]
fn what_is_not_there_is_named() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    client.call("GET", "/other?location").send().is(404, "NoSuchBucket");
    client.call("GET", "/bucket/key").send().is(404, "NoSuchKey");
    client.call("GET", "/bucket/key?acl").send().is(501, "NotImplemented");
    let long = format!("/bucket/{}", "k".repeat(1025));
    client.put(&long, b"").is(400, "KeyTooLongError");
    client.call("PUT", "/bucket/key").send().is(411, "MissingContentLength");
}

#[test]
fn both_styles_of_address_reach_the_bucket() {
    let server = FaultServer::start();
    assert_eq!(location(&server, "/bucket"), 200);
    let mut client = Client::of(&server);
    for host in ["bucket.localhost:9000", "bucket.s3.eu-west-1.amazonaws.com"] {
        let call = client.call("PUT", "/a%20b/c%2Bd").header("Host", host);
        assert_eq!(call.body(b"x").send().status, 200, "{host}");
    }
    assert!(server.object("a b/c+d").is_some());
    let call = client.call("GET", "/?location").header("Host", "my.other.localhost");
    let reply = call.send();
    reply.is(404, "NoSuchBucket");
    assert_eq!(reply.element("BucketName"), "my.other");
}

#[test]
fn a_digest_must_be_that_of_the_body() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let md5 = BASE64.encode(Md5::digest(b"body"));
    let mut put = |md5: &str, body: &[u8]| {
        client.call("PUT", "/bucket/key").body(body).header("Content-MD5", md5).send()
    };
    assert_eq!(put(&md5, b"body").status, 200);
    put(&md5, b"Body").is(400, "BadDigest");
    put("short", b"body").is(400, "InvalidDigest");
}

#[test]
fn every_checksum_is_verified_and_echoed() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    for algorithm in Algorithm::ALL {
        let (name, right) = (algorithm.header(), Sums::of(b"body").base64(algorithm));
        let mut put =
            |value: &str| client.call("PUT", "/bucket/key").body(b"body").header(&name, value).send();
        let reply = put(&right);
        assert_eq!(reply.header(&name), Some(right.as_str()));
        assert_eq!(reply.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        put(&Sums::of(b"Body").base64(algorithm)).is(400, "BadDigest");
        put("AAA").is(400, "InvalidRequest");
        put(&right);
        let call = client.call("HEAD", "/bucket/key").header("x-amz-checksum-mode", "ENABLED");
        assert_eq!(call.send().header(&name), Some(right.as_str()));
        assert_eq!(client.call("HEAD", "/bucket/key").send().header(&name), None);
    }
}

#[test]
fn known_checksum_values() {
    // The check values of the CRC catalogue, and of FIPS 180, for "123456789".
    let sums = Sums::of(b"123456789");
    assert_eq!(sums.raw(Algorithm::Crc64Nvme), 0xae8b_1486_0a79_9888_u64.to_be_bytes());
    assert_eq!(sums.raw(Algorithm::Crc32), 0xcbf4_3926_u32.to_be_bytes());
    assert_eq!(sums.raw(Algorithm::Crc32c), 0xe306_9283_u32.to_be_bytes());
    assert_eq!(sums.base64(Algorithm::Sha1), "98O8HYCOBHMq32eZZczDTKeuNEE=");
}

#[test]
fn checksums_may_not_contradict() {
    let server = FaultServer::start();
    let sums = Sums::of(b"body");
    let mut client = Client::of(&server);
    let call = client
        .call("PUT", "/bucket/key")
        .body(b"body")
        .header("x-amz-checksum-crc32", &sums.base64(Algorithm::Crc32))
        .header("x-amz-checksum-crc32c", &sums.base64(Algorithm::Crc32c));
    call.send().is(400, "InvalidRequest");
    let call = client.call("PUT", "/bucket/key").body(b"body");
    call.header("x-amz-sdk-checksum-algorithm", "CRC32").send().is(400, "InvalidRequest");
    assert!(server.object("key").is_none());
}

#[test]
fn other_servers_do_other_things_with_checksums() {
    let wrong = Sums::of(b"Body").base64(Algorithm::Crc32);
    let right = Sums::of(b"body").base64(Algorithm::Crc32);
    let put = |checksums: Checksums, value: &str| {
        let server = with(|p| p.checksums = checksums);
        let mut client = Client::of(&server);
        let call = client.call("PUT", "/bucket/key").body(b"body");
        call.header("x-amz-checksum-crc32", value).send()
    };
    assert_eq!(put(Checksums::Ignored, &wrong).status, 200);
    put(Checksums::NotEchoed, &wrong).is(400, "BadDigest");
    assert_eq!(put(Checksums::NotEchoed, &right).header("x-amz-checksum-crc32"), None);
    put(Checksums::Refused(501, "NotImplemented".into()), &right).is(501, "NotImplemented");
}

#[test]
fn conditions_are_honoured() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let mut put =
        |name: &str, value: &str| client.call("PUT", "/bucket/key").body(b"body").header(name, value).send();
    put("If-Match", "\"x\"").is(404, "NoSuchKey");
    let etag = put("If-None-Match", "*").header("etag").expect("an ETag").to_owned();
    put("If-None-Match", "*").is(412, "PreconditionFailed");
    put("If-None-Match", "\"x\"").is(501, "NotImplemented");
    put("If-Match", "\"x\"").is(412, "PreconditionFailed");
    assert_eq!(put("If-Match", &etag).status, 200);
}

#[test]
fn conditions_are_ignored_or_refused_elsewhere() {
    for (conditional_writes, status) in [(ConditionalWrites::Ignored, 200), (ConditionalWrites::Refused, 501)]
    {
        let server = with(|p| p.conditional_writes = conditional_writes);
        server.has_object("key", "old");
        let mut client = Client::of(&server);
        let call = client.call("PUT", "/bucket/key").body(b"new").header("If-None-Match", "*");
        assert_eq!(call.send().status, status);
    }
}

#[test]
fn a_customers_key_is_needed_on_every_part() {
    const CUSTOMER: &str = "x-amz-server-side-encryption-customer-";
    let server = lenient_size();
    let mut client = Client::of(&server);
    let key = |byte: u8| {
        let key = [byte; 32];
        (BASE64.encode(key), BASE64.encode(Md5::digest(key)))
    };
    let mut send = |method: &str, target: &str, key: &str, md5: &str| {
        let call = client.call(method, target).body(b"");
        let call = call.header(&format!("{CUSTOMER}algorithm"), "AES256");
        let call = call.header(&format!("{CUSTOMER}key"), key);
        call.header(&format!("{CUSTOMER}key-md5"), md5).send()
    };
    let ((key_a, md5_a), (key_b, md5_b)) = (key(1), key(2));
    send("POST", "/bucket/key?uploads", &key_a, &md5_b).is(400, "InvalidArgument");
    let created = send("POST", "/bucket/key?uploads", &key_a, &md5_a);
    let target = format!("/bucket/key?partNumber=1&uploadId={}", created.element("UploadId"));
    assert_eq!(send("PUT", &target, &key_a, &md5_a).status, 200);
    send("PUT", &target, &key_b, &md5_b).is(400, "InvalidRequest");
    client.put(&target, b"").is(400, "InvalidRequest");
}

#[test]
fn what_a_put_says_is_kept() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let call = client.call("PUT", "/bucket/key").body(b"body");
    call.header("x-amz-meta-a", "b").header("Cache-Control", "no-store").send();
    let object = server.object("key").expect("the object");
    assert_eq!(object.header("X-Amz-Meta-A"), Some("b"));
    assert_eq!(object.bytes.as_deref(), Some(b"body".as_slice()));
    let head = client.call("HEAD", "/bucket/key").send();
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!((head.header("content-length"), head.body.as_str()), (Some("4"), ""));
    assert_eq!(client.call("GET", "/bucket/key").send().body, "body");
    assert_eq!(client.call("DELETE", "/bucket/key").send().status, 204);
    assert_eq!(location(&server, "/bucket/key"), 404);
}
