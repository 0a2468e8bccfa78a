//! How bodies are framed: lengths, chunks, S3's own chunks, and what a broken one gets.

use std::io::{Read as _, Write as _};

use super::super::chunked::Chunked;
use super::super::sums::{Algorithm, Sums};
use super::super::xml::parse;
use super::super::{FaultServer, Op};
use super::Client;

#[test]
fn chunks_are_taken_apart_wherever_they_are_cut() {
    let wire = b"4;chunk-signature=x\r\nbody\r\n1\r\n!\r\n0\r\nName: value\r\n\r\nnext";
    for cut in 0..wire.len() - 4 {
        let (mut chunked, mut out) = (Chunked::default(), Vec::new());
        let first = chunked.feed(&wire[..cut], |data| out.extend_from_slice(data));
        assert_eq!((first, chunked.is_done()), (Some(cut), false));
        let second = chunked.feed(&wire[cut..], |data| out.extend_from_slice(data));
        assert_eq!(second, Some(wire.len() - 4 - cut), "{cut}");
        assert_eq!((out.as_slice(), chunked.is_done()), (b"body!".as_slice(), true));
        assert_eq!(chunked.trailers, [("name".to_owned(), "value".to_owned())]);
    }
    for broken in ["x\r\n", "1\r\nab\r\n", "1\n"] {
        assert_eq!(Chunked::default().feed(broken.as_bytes(), |_| {}), None, "{broken:?}");
    }
}

fn aws_chunked<'a>(client: &'a mut Client, wire: &str) -> super::Call<'a> {
    client
        .call("PUT", "/bucket/key")
        .body(wire.as_bytes())
        .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("Content-Encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "4")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
}

#[test]
fn a_checksum_may_trail() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let crc = Sums::of(b"body").base64(Algorithm::Crc32);
    let wire = |crc: &str| format!("4\r\nbody\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
    aws_chunked(&mut client, &wire("AAAAAA==")).send().is(400, "BadDigest");
    aws_chunked(&mut client, "4\r\nbody\r\n").send().is(400, "IncompleteBody");
    let longer = aws_chunked(&mut client, &wire(&crc)).header("x-amz-decoded-content-length", "5");
    longer.send().is(400, "IncompleteBody");
    let reply = aws_chunked(&mut client, &wire(&crc)).send();
    assert_eq!(reply.header("x-amz-checksum-crc32"), Some(crc.as_str()));
    let object = server.object("key").expect("the object");
    assert_eq!(object.bytes.as_deref(), Some(b"body".as_slice()));
}

#[test]
fn a_body_in_frames_is_as_its_headers_say() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let trailer = format!("x-amz-checksum-crc32:{}", Sums::of(b"body").base64(Algorithm::Crc32));
    let wire = format!("4\r\nbody\r\n0\r\n{trailer}\r\n\r\n");
    let other = aws_chunked(&mut client, &wire).header("x-amz-trailer", "x-amz-checksum-crc32c");
    other.send().is(400, "MalformedTrailerError");
    aws_chunked(&mut client, "4\r\nbody\r\n0\r\n\r\n").send().is(400, "MalformedTrailerError");
    let bare = aws_chunked(&mut client, &wire).header("Content-Encoding", "gzip");
    bare.send().is(400, "InvalidRequest");
    let short = format!("2\r\nbo\r\n2\r\ndy\r\n0\r\n{trailer}\r\n\r\n");
    aws_chunked(&mut client, &short).send().is(403, "InvalidChunkSizeError");
    let zipped = aws_chunked(&mut client, &wire).header("Content-Encoding", "gzip,aws-chunked");
    assert_eq!(zipped.send().status, 200);
    let object = server.object("key").expect("the object");
    assert_eq!(object.header("content-encoding"), Some("gzip"));
}

#[test]
fn signed_chunks_are_not_known() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let call = aws_chunked(&mut client, "0\r\n\r\n").payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    call.send().is(501, "NotImplemented");
}

#[test]
fn a_chunked_body_needs_its_length_announced() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    for (decoded, status) in [(None, 411), (Some("4"), 200)] {
        let call = client.call("PUT", "/bucket/key").payload("UNSIGNED-PAYLOAD");
        let mut call = call.header("Transfer-Encoding", "chunked");
        if let Some(decoded) = decoded {
            call = call.header("x-amz-decoded-content-length", decoded);
        }
        let mut call = call.signed();
        call.body = b"4\r\nbody\r\n0\r\n\r\n".to_vec();
        call.write().expect("to write");
        assert_eq!(call.read().expect("an answer").status, status);
    }
}

#[test]
fn a_body_must_be_what_was_signed() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let mut call = client.call("PUT", "/bucket/key").body(b"body").signed();
    call.body = b"Body".to_vec();
    call.write().expect("to write");
    call.read().expect("an answer").is(400, "XAmzContentSHA256Mismatch");
    let call = client.call("PUT", "/bucket/key").body(b"body").payload("UNSIGNED-PAYLOAD");
    assert_eq!(call.send().status, 200);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    let bytes = client.call("PUT", "/bucket/key").body(b"body").signed().bytes();
    client.stream.write_all(&bytes.repeat(3)).expect("to write");
    for _ in 0..3 {
        assert_eq!(client.read_reply(false).expect("an answer").status, 200);
    }
    assert_eq!((server.count(Op::PutObject), server.connections()), (3, 1));
}

#[test]
fn what_is_no_http_is_refused() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    client.stream.write_all(b"PUT /x\r\n\r\n").expect("to write");
    assert_eq!(client.read_reply(false).expect("an answer").status, 400);
    assert_eq!(client.stream.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn a_client_that_asks_for_it_is_closed_on() {
    let server = FaultServer::start();
    let mut client = Client::of(&server);
    client.call("HEAD", "/bucket").header("Connection", "close").send();
    assert_eq!(client.stream.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn xml_is_read_strictly() {
    let tree = parse("<?xml version=\"1.0\"?>\n<A x=\"y\"> <B>1 &lt; &#50; &quot;</B><C/></A>\n");
    let tree = tree.expect("a tree");
    assert_eq!((tree.child("B"), tree.child("C")), (Some("1 < 2 \""), Some("")));
    for wrong in ["", "<A>", "<A></B>", "<A/><A/>", "<A>&no;</A>", "<A>x<B/></A>", "A", "<A>&</A>"] {
        assert!(parse(wrong).is_none(), "{wrong}");
    }
}
