//! Checksums behind the bytes: read once, framed, verified, and done without where a store does not take that.

use s3chunk::event::Silent;
use s3chunk::store::rusoto::{Connection, PayloadSigning, RusotoStore};
use s3chunk::upload::{ChecksumWish, Request, Trailers, put};
use tokio_util::sync::CancellationToken;

use crate::support::command::{Ran, run, s3chunk_at, upload};
use crate::support::fault::{self, Algorithm, Checksums, EtagKind, FaultServer, Op, Personality, Seen};
use crate::support::front::{Authority, proxy, tls};
use crate::support::{MIB5, connection_to, file, target};

const STREAMING: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// Options that put checksums behind the bytes on a plain connection.
const ALWAYS: [&str; 4] = ["--payload-signing", "never", "--checksum-trailer", "always"];

/// One request, and two parts of which the last is shorter than a chunk of a frame.
const SIZES: [u64; 2] = [MIB5, MIB5 + 1];

/// Uploads with checksums behind the bytes, and further options.
fn upload_trailing(server: &FaultServer, size: u64, options: &[&str]) -> Ran {
    upload(server, size, &[&ALWAYS[..], options].concat())
}

/// Every request that carried bytes of the object.
fn bodies(server: &FaultServer) -> Vec<Seen> {
    [server.requests_of(Op::PutObject), server.requests_of(Op::UploadPart)].concat()
}

fn is_trailing(seen: &Seen) -> bool {
    seen.header("x-amz-content-sha256") == Some(STREAMING)
}

fn server(trailers: fault::Trailers) -> FaultServer {
    FaultServer::start_with(Personality { trailers, ..Personality::default() })
}

/// Uploads to a server that goes by AWS's name, over TLS.
fn upload_to_aws(server: &FaultServer, size: u64, options: &[&str]) -> Ran {
    let (authority, file) = (Authority::new(), file(size));
    let behind = tls(server.address(), &authority, "bucket.s3.us-east-1.amazonaws.com");
    let front = proxy(behind.address);
    let mut command = s3chunk_at(server);
    command.env_remove("AWS_ENDPOINT_URL").env("HTTPS_PROXY", format!("http://u:p@{}", front.address));
    command.arg("put").arg(&file.path).args(["bucket/key", "--json", "--chunk-size", "5MiB"]);
    let ran = run(command.arg("--ca-bundle").arg(&authority.pem).args(options));
    if ran.exit == 0 {
        assert!(server.object("key").unwrap().bytes.is_some_and(|bytes| bytes == file.bytes), "{ran}");
    }
    ran
}

#[test]
fn at_aws_the_checksum_goes_behind_the_bytes() {
    for endpoint in [&[][..], &["--endpoint-url", "https://s3.us-east-1.amazonaws.com"]] {
        for size in SIZES {
            let server = FaultServer::start();
            let record = upload_to_aws(&server, size, endpoint).exits(0).record();
            let checksum = server.object("key").unwrap().checksum.unwrap();
            assert_eq!(record["checksum"]["value"], checksum.value);
            for seen in bodies(&server) {
                assert!(is_trailing(&seen) && seen.header("content-md5").is_none());
                assert_eq!(seen.header("x-amz-trailer"), Some("x-amz-checksum-crc64nvme"));
                assert_eq!(seen.header("x-amz-checksum-crc64nvme"), None);
            }
        }
    }
}

#[test]
fn the_checksum_goes_before_the_bytes_where_that_is_wanted_or_the_payload_signed() {
    for option in [["--checksum-trailer", "never"], ["--payload-signing", "always"]] {
        for size in SIZES {
            let server = FaultServer::start();
            upload_to_aws(&server, size, &option).exits(0);
            for seen in bodies(&server) {
                assert!(!is_trailing(&seen) && seen.header("x-amz-checksum-crc64nvme").is_some());
            }
        }
    }
}

#[test]
fn aws_or_what_goes_by_its_name_may_refuse_and_gets_the_checksum_before_the_bytes() {
    for (status, code) in [
        (501, "NotImplemented"),
        (400, "InvalidRequest"),
        (400, "XAmzContentSHA256Mismatch"),
        (403, "SignatureDoesNotMatch"),
        (411, "MissingContentLength"),
    ] {
        for size in SIZES {
            let server = server(fault::Trailers::Refused(status, code.to_owned()));
            let ran = upload_to_aws(&server, size, &["--concurrency", "1"]).exits(0);
            let ran = ran.says("does not take a checksum behind the bytes");
            assert_eq!(ran.stderr.matches("behind the bytes").count(), 1, "{ran}");
            let (last, first) = (bodies(&server).pop().unwrap(), &bodies(&server)[0]);
            assert!(is_trailing(first) && !is_trailing(&last), "{code}");
            assert!(last.header("x-amz-checksum-crc64nvme").is_some());
            assert!(server.object("key").unwrap().checksum.is_some());
        }
    }
}

#[test]
fn each_checksum_can_go_behind_the_bytes() {
    for algorithm in Algorithm::ALL {
        for size in SIZES {
            let server = FaultServer::start();
            let name = algorithm.name().to_lowercase();
            let record = upload_trailing(&server, size, &["--checksum", &name, "--verify"]).exits(0).record();
            assert_eq!(record["checksum"]["value"], server.object("key").unwrap().checksum.unwrap().value);
            let mut decoded = 0;
            for seen in bodies(&server) {
                assert!(is_trailing(&seen));
                assert_eq!(seen.header("x-amz-trailer"), Some(algorithm.header().as_str()));
                assert_eq!(seen.header("content-length"), Some(seen.body_len.to_string().as_str()));
                let length: u64 = seen.header("x-amz-decoded-content-length").unwrap().parse().unwrap();
                decoded += length;
            }
            assert_eq!(decoded, size);
        }
    }
}

#[test]
fn nothing_goes_behind_the_bytes_where_no_checksum_or_another_digest_is_wanted() {
    for checksum in ["none", "md5"] {
        for size in SIZES {
            let server = FaultServer::start();
            upload_trailing(&server, size, &["--checksum", checksum]).exits(0);
            assert!(!bodies(&server).iter().any(is_trailing));
        }
    }
    let server = FaultServer::start();
    upload_trailing(&server, 0, &[]).exits(0);
    assert!(!is_trailing(&bodies(&server)[0]), "an empty body has nothing to be read");
}

#[test]
fn a_body_that_breaks_off_is_sent_anew_with_the_right_checksum() {
    for size in SIZES {
        let server = FaultServer::start();
        server.on(Op::PutObject).nth(1).reset_after_bytes(3 << 20);
        server.on(Op::UploadPart).part(1).nth(1).reset_after_bytes(3 << 20);
        server.on(Op::UploadPart).part(2).nth(1).answer(503, "SlowDown");
        let record = upload_trailing(&server, size, &[]).exits(0).record();
        assert!(
            server
                .object("key")
                .unwrap()
                .checksum
                .is_some_and(|sum| record["checksum"]["value"] == sum.value)
        );
        assert!(bodies(&server).iter().all(is_trailing) && bodies(&server).len() > 1);
    }
}

#[test]
fn damaged_bytes_are_noticed_and_sent_once_more() {
    for size in SIZES {
        let server = FaultServer::start();
        for op in [Op::PutObject, Op::UploadPart] {
            server.on(op).nth(1).corrupt();
        }
        upload_trailing(&server, size, &[]).exits(0);
        let server = FaultServer::start();
        for op in [Op::PutObject, Op::UploadPart] {
            server.on(op).corrupt();
        }
        upload_trailing(&server, size, &[]).exits(6);
        assert!(server.object("key").is_none());
    }
}

#[test]
fn a_refusal_of_what_was_asked_for_is_said() {
    for (status, code) in [(501, "NotImplemented"), (400, "XAmzContentSHA256Mismatch")] {
        for size in SIZES {
            let server = server(fault::Trailers::Refused(status, code.to_owned()));
            let ran = upload_trailing(&server, size, &[]).exits(1);
            assert!(ran.error().contains(code) && ran.error().contains("behind the bytes"), "{ran}");
            assert!(server.object("key").is_none());
        }
    }
}

#[test]
fn frames_that_a_store_takes_for_bytes_never_make_the_object() {
    for (checksums, etag) in [
        (Checksums::Known, EtagKind::Md5),
        (Checksums::Ignored, EtagKind::Md5),
        (Checksums::NotEchoed, EtagKind::Opaque),
    ] {
        for (size, checksum) in SIZES.into_iter().flat_map(|size| [(size, "auto"), (size, "crc32c")]) {
            let server = FaultServer::start_with(Personality {
                trailers: fault::Trailers::KeptAsBytes,
                checksums: checksums.clone(),
                etag,
                ..Personality::default()
            });
            upload_trailing(&server, size, &["--checksum", checksum]).exits(0);
        }
    }
}

#[test]
fn a_store_that_tells_no_checksum_is_not_believed() {
    for checksums in [Checksums::Ignored, Checksums::NotEchoed] {
        for size in SIZES {
            let server = FaultServer::start_with(Personality {
                checksums: checksums.clone(),
                ..Personality::default()
            });
            upload_trailing(&server, size, &[]).exits(0);
            upload_trailing(&server, size, &["--no-overwrite"]).exits(7);
        }
    }
}

#[test]
fn a_repeat_that_finds_our_own_object_in_the_way_is_success() {
    let server = FaultServer::start();
    server.on(Op::PutObject).nth(1).after().reset();
    upload_trailing(&server, MIB5, &["--no-overwrite"]).exits(0);
    assert!(bodies(&server).iter().all(is_trailing));
}

#[test]
fn an_upload_is_gone_on_with_in_the_same_way() {
    let server = FaultServer::start();
    let options = [&ALWAYS[..], &["--chunk-size", "5MiB", "--resume", "--concurrency", "1"]].concat();
    let file = file(3 * MIB5);
    server.on(Op::UploadPart).part(3).answer(403, "AccessDenied");
    let put = |options: &[&str]| {
        run(s3chunk_at(&server).arg("put").arg(&file.path).args(["bucket/key", "--json"]).args(options))
    };
    put(&options).exits(4);
    server.forget_rules();
    let record = put(&options).exits(0).record();
    assert_eq!((&record["status"], &record["reused_parts"]), (&"resumed".into(), &2.into()));
    assert_eq!(record["checksum"]["value"], server.object("key").unwrap().checksum.unwrap().value);
    assert!(bodies(&server).iter().all(is_trailing));
}

#[test]
fn nothing_can_follow_a_signed_payload() {
    let server = FaultServer::start();
    for signing in ["auto", "always"] {
        let options = ["--checksum-trailer", "always", "--payload-signing", signing];
        upload(&server, 10, &options).exits(2).says("--payload-signing never");
    }
    assert!(server.requests().is_empty());
}

/// Uploads from the library over a plain connection, and returns how many bytes of the file were read.
async fn put_by_library(server: &FaultServer, size: u64, change: impl Fn(&mut Request)) -> u64 {
    let file = file(size);
    let connection = Connection { payload_signing: PayloadSigning::Never, ..connection_to(server) };
    let store = RusotoStore::connect(&connection).await.unwrap();
    let mut request = Request::new(target("bucket/key"));
    request.wishes.part_size = MIB5;
    change(&mut request);
    let source = file.source();
    put(&store, &source, &request, &Silent, &CancellationToken::new()).await.unwrap();
    source.bytes_read()
}

#[tokio::test]
async fn a_file_is_read_once_where_its_checksum_goes_behind_the_bytes() {
    let server = FaultServer::start();
    for size in [10, MIB5, 2 * MIB5 + 1] {
        for (trailers, times) in [(Trailers::Always, 1), (Trailers::Never, 2), (Trailers::Auto, 2)] {
            let read = put_by_library(&server, size, |request| request.trailers = trailers).await;
            assert_eq!(read, times * size, "{trailers:?}");
        }
        let read = put_by_library(&server, size, |request| request.checksum = ChecksumWish::None).await;
        assert_eq!(read, size);
    }
}

#[tokio::test]
async fn the_contents_own_encoding_is_kept() {
    for size in SIZES {
        let server = FaultServer::start();
        let gzip = |request: &mut Request| {
            request.trailers = Trailers::Always;
            request.attributes.set("content-encoding", "gzip").unwrap();
        };
        put_by_library(&server, size, gzip).await;
        assert_eq!(server.object("key").unwrap().header("content-encoding"), Some("gzip"));
        for seen in bodies(&server) {
            let encoding = if seen.op == Op::PutObject { "gzip,aws-chunked" } else { "aws-chunked" };
            assert_eq!(seen.header("content-encoding"), Some(encoding));
        }
    }
}
