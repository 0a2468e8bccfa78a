//! Multipart uploads: the whole way, and every refusal on it.

use super::super::sums::{Algorithm, Sums, multipart_etag};
use super::super::{CompleteAgain, EtagKind, Op};
use super::{Client, Reply, completion, lenient_size, with};

/// Uploads a part and returns its ETag.
fn part(client: &mut Client, id: &str, number: u32, body: &[u8]) -> String {
    let reply = put_part(client, id, number, body);
    reply.header("etag").expect("an ETag").to_owned()
}

fn put_part(client: &mut Client, id: &str, number: u32, body: &[u8]) -> Reply {
    client.put(&format!("/bucket/key?partNumber={number}&uploadId={id}"), body)
}

/// Sends a completion with one header more.
fn complete_with(client: &mut Client, id: &str, xml: &str, name: &str, value: &str) -> Reply {
    let call = client.call("POST", &format!("/bucket/key?uploadId={id}"));
    call.body(xml.as_bytes()).header(name, value).send()
}

#[test]
fn an_upload_becomes_an_object() {
    let server = lenient_size();
    let mut client = Client::of(&server);
    let create = client.call("POST", "/bucket/key?uploads").header("x-amz-meta-a", "b").send();
    let id = create.element("UploadId").to_owned();
    let second = part(&mut client, &id, 2, b"end");
    let first = part(&mut client, &id, 1, b"begin");
    assert_eq!(server.uploads()[0].parts.len(), 2);
    let reply = client.complete("key", &id, &completion(&[(1, &first), (2, &second)]));
    let etag = format!("\"{}\"", multipart_etag(&[Sums::of(b"begin"), Sums::of(b"end")]));
    assert_eq!(reply.element("ETag"), etag.replace('"', "&quot;"));
    let object = server.object("key").expect("the object");
    assert_eq!(object.bytes.as_deref(), Some(b"beginend".as_slice()));
    assert_eq!((object.etag, object.len), (etag, 8));
    assert_eq!(reply.element("ChecksumCRC64NVME"), Sums::of(b"beginend").base64(Algorithm::Crc64Nvme));
    assert!(server.uploads().is_empty());
    client.complete("key", &id, &completion(&[(1, &first)])).is(404, "NoSuchUpload");
    assert_eq!((server.count(Op::Complete), server.connections()), (2, 1));
}

#[test]
fn a_completion_is_checked_part_by_part() {
    let server = lenient_size();
    let mut client = Client::of(&server);
    let id = client.create("key");
    let one = part(&mut client, &id, 1, b"123");
    let two = part(&mut client, &id, 2, b"1234");
    let mut complete = |parts: &[(u32, &str)]| client.complete("key", &id, &completion(parts));
    complete(&[(2, &two), (1, &one)]).is(400, "InvalidPartOrder");
    complete(&[(1, &one), (1, &one)]).is(400, "InvalidPartOrder");
    complete(&[]).is(400, "MalformedXML");
    let reply = complete(&[(1, &one), (2, &two)]);
    reply.is(400, "EntityTooSmall");
    assert_eq!(reply.element("PartNumber"), "1");
    for wrong in [(3, two.as_str()), (2, one.as_str())] {
        let reply = complete(&[wrong]);
        reply.is(400, "InvalidPart");
        assert_eq!(reply.element("PartNumber"), wrong.0.to_string());
    }
    client.complete("key", &id, "<CompleteMultipartUpload><Part>").is(400, "MalformedXML");
    client.complete("other", &id, &completion(&[(1, &one)])).is(404, "NoSuchUpload");
    assert_eq!(client.complete("key", &id, &completion(&[(2, &two),])).status, 200);
}

#[test]
fn part_numbers_have_limits_and_parts_need_an_upload() {
    let server = lenient_size();
    let mut client = Client::of(&server);
    let id = client.create("key");
    for wrong in [0, 10_001] {
        put_part(&mut client, &id, wrong, b"x").is(400, "InvalidArgument");
    }
    for right in [1, 10_000] {
        assert_eq!(put_part(&mut client, &id, right, b"x").status, 200);
    }
    put_part(&mut client, "nothing", 1, b"x").is(404, "NoSuchUpload");
}

#[test]
fn the_announced_size_and_conditions_hold_at_the_end() {
    let server = lenient_size();
    let mut client = Client::of(&server);
    server.has_object("key", "old");
    let id = server.has_upload("key");
    let xml = completion(&[(1, &server.has_part(&id, 1, "12345"))]);
    complete_with(&mut client, &id, &xml, "x-amz-mp-object-size", "4").is(400, "InvalidRequest");
    complete_with(&mut client, &id, &xml, "If-None-Match", "*").is(412, "PreconditionFailed");
    assert_eq!(complete_with(&mut client, &id, &xml, "x-amz-mp-object-size", "5").status, 200);
}

#[test]
fn a_full_object_checksum_is_compared_at_the_end() {
    let server = lenient_size();
    let mut client = Client::of(&server);
    let call = client.call("POST", "/bucket/key?uploads");
    let reply =
        call.header("x-amz-checksum-algorithm", "CRC32").header("x-amz-checksum-type", "FULL_OBJECT").send();
    assert_eq!(reply.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let id = reply.element("UploadId").to_owned();
    let target = format!("/bucket/key?partNumber=1&uploadId={id}");
    let crc32c = Sums::of(b"begin").base64(Algorithm::Crc32c);
    let call = client.call("PUT", &target).body(b"begin");
    call.header("x-amz-checksum-crc32c", &crc32c).send().is(400, "InvalidRequest");
    let (one, two) = (part(&mut client, &id, 1, b"begin"), part(&mut client, &id, 2, b"end"));
    let xml = completion(&[(1, &one), (2, &two)]);
    let mut complete = |name: &str, value: &str| complete_with(&mut client, &id, &xml, name, value);
    complete("x-amz-checksum-crc32", "AAAAAA==").is(400, "BadDigest");
    complete("x-amz-checksum-crc32c", "AAAAAA==").is(400, "InvalidRequest");
    complete("x-amz-checksum-type", "COMPOSITE").is(400, "InvalidRequest");
    let right = Sums::of(b"beginend").base64(Algorithm::Crc32);
    assert_eq!(complete("x-amz-checksum-crc32", &right).element("ChecksumCRC32"), right);
}

#[test]
fn a_composite_checksum_needs_each_parts() {
    let server = lenient_size();
    let mut client = Client::of(&server);
    let call = client.call("POST", "/bucket/key?uploads");
    let reply = call.header("x-amz-checksum-algorithm", "SHA256").send();
    assert_eq!(reply.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let id = reply.element("UploadId").to_owned();
    let etag = part(&mut client, &id, 1, b"body");
    let plain = completion(&[(1, &etag)]);
    client.complete("key", &id, &plain).is(400, "InvalidRequest");
    let sum = Sums::of(b"body").base64(Algorithm::Sha256);
    let named =
        |sum: &str| plain.replace("</Part>", &format!("<ChecksumSHA256>{sum}</ChecksumSHA256></Part>"));
    client.complete("key", &id, &named("AAAA")).is(400, "InvalidPart");
    let reply = client.complete("key", &id, &named(&sum));
    assert!(reply.element("ChecksumSHA256").ends_with("=-1"), "{}", reply.body);
    for (algorithm, kind) in [("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("MD5", "COMPOSITE")] {
        let call = client.call("POST", "/bucket/key?uploads").header("x-amz-checksum-algorithm", algorithm);
        call.header("x-amz-checksum-type", kind).send().is(400, "InvalidRequest");
    }
}

#[test]
fn some_servers_complete_otherwise() {
    let server = with(|p| {
        p.complete_again = CompleteAgain::Idempotent;
        p.complete_names_etag = false;
        p.etag = EtagKind::Opaque;
        p.keep_bytes = false;
    });
    let mut client = Client::of(&server);
    let id = client.create("key");
    let etag = part(&mut client, &id, 1, b"body");
    let xml = completion(&[(1, &etag)]);
    let replies = [(); 2].map(|()| client.complete("key", &id, &xml).body);
    assert_eq!(replies[0], replies[1]);
    assert!(etag.starts_with("\"opaque.") && !replies[0].contains("ETag"));
    let object = server.object("key").expect("the object");
    assert_eq!((object.len, object.bytes, object.sha256), (4, None, None));
    assert_eq!(object.parts[0].sums, Sums::of(b"body"));
}
