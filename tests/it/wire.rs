//! What goes over the wire, and what comes back that is not what S3 should say: the traps of rusoto first.

use s3chunk::Error;
use s3chunk::error::{Cause, Mismatch, Step};
use s3chunk::event::Silent;
use s3chunk::store::rusoto::{PayloadSigning, RusotoStore};
use s3chunk::store::{Kind, Store, StoreError};
use s3chunk::upload::{Request, Uploaded, Window, put};
use tokio_util::sync::CancellationToken;

use crate::support::fault::{Checksums, EtagKind, FaultServer, Op, Personality, WrongRegion};
use crate::support::{MIB5, connection_to, file, store_of, target};

/// Uploads a file of `size` bytes in chunks of 5 MiB, without retries.
async fn upload(server: &FaultServer, size: u64) -> Result<Uploaded, Error> {
    upload_with(server, size, |_| {}).await
}

async fn upload_with(
    server: &FaultServer,
    size: u64,
    change: impl FnOnce(&mut Request),
) -> Result<Uploaded, Error> {
    let (store, file) = (store_of(server).await, file(size));
    let mut request = Request::new(target("bucket/key"));
    request.wishes.part_size = MIB5;
    change(&mut request);
    let uploaded = put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await;
    if uploaded.is_ok() {
        let object = server.object("key").expect("success was said, and there is no object");
        assert!(object.bytes.is_some_and(|bytes| bytes == file.bytes));
    }
    assert!(server.uploads().is_empty(), "an upload is left");
    uploaded
}

fn store_error(outcome: Result<Uploaded, Error>) -> StoreError {
    match outcome.unwrap_err().cause {
        Cause::Store(error) => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_requests_are_as_few_as_can_be() {
    for (size, requests) in [(0, 1), (1, 1), (MIB5, 1), (MIB5 + 1, 4), (3 * MIB5, 5)] {
        let server = FaultServer::start();
        upload(&server, size).await.unwrap();
        assert_eq!(server.requests().len(), requests, "{size} bytes");
    }
}

#[tokio::test]
async fn the_checksum_is_named_at_the_start_sent_with_each_part_and_combined_at_the_end() {
    let server = FaultServer::start();
    let uploaded = upload(&server, 2 * MIB5).await.unwrap();
    let create = &server.requests_of(Op::Create)[0];
    assert_eq!(create.header("x-amz-checksum-algorithm"), Some("CRC64NVME"));
    assert_eq!(create.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    for part in server.requests_of(Op::UploadPart) {
        assert!(part.header("x-amz-checksum-crc64nvme").is_some());
        assert_eq!(part.header("content-md5"), None);
        assert_eq!(part.header("content-length"), Some("5242880"));
    }
    let complete = &server.requests_of(Op::Complete)[0];
    let whole = uploaded.checksum.unwrap().to_string();
    assert_eq!(complete.header("x-amz-checksum-crc64nvme"), Some(whole.as_str()));
    assert_eq!(complete.header("x-amz-mp-object-size"), Some("10485760"));
}

#[tokio::test]
async fn requests_without_a_body_have_no_content_type() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).answer(403, "AccessDenied");
    upload(&server, 2 * MIB5).await.unwrap_err();
    for seen in server.requests() {
        let expected = matches!(seen.op, Op::Create | Op::UploadPart | Op::PutObject | Op::Complete);
        assert_eq!(seen.header("content-type").is_some(), expected, "{:?}", seen.op);
    }
}

#[tokio::test]
async fn payloads_are_signed_where_nothing_else_protects_them() {
    for (signing, signed) in
        [(PayloadSigning::Auto, true), (PayloadSigning::Always, true), (PayloadSigning::Never, false)]
    {
        let (server, file) = (FaultServer::start(), file(10));
        let mut connection = connection_to(&server);
        connection.payload_signing = signing;
        let store = RusotoStore::connect(&connection).await.unwrap();
        let request = Request::new(target("bucket/key"));
        put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await.unwrap();
        let sum = server.requests()[0].header("x-amz-content-sha256").unwrap().to_owned();
        assert_eq!(sum != "UNSIGNED-PAYLOAD", signed, "{sum}");
    }
}

#[tokio::test]
async fn an_error_behind_a_200_is_a_failure() {
    let server = FaultServer::start();
    server.on(Op::Complete).answer_in_200("InternalError");
    let error = store_error(upload(&server, 2 * MIB5).await);
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Temporary, Some("InternalError")));
    assert!(server.object("key").is_none());
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_a_failure_and_never_an_endless_loop() {
    let whole = "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>\"x\"</ETag></Complete";
    for body in ["", " \n ", whole, "<html><body>Welcome</body></html>", "no XML at all", "<a/><b/>"] {
        for op in [Op::Create, Op::Complete] {
            let server = FaultServer::start();
            server.on(op).raw(200, body);
            let error = store_error(upload(&server, 2 * MIB5).await);
            assert_eq!(error.kind, Kind::Temporary, "{op:?} {body:?}");
            assert_eq!(error.status, Some(200));
            assert!(error.outcome_unknown());
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_anywhere_is_a_failure() {
    for cut in [1, 40, 100, 150] {
        let server = FaultServer::start();
        server.on(Op::Create).nth(1).cut_answer(cut);
        assert_eq!(store_error(upload(&server, 2 * MIB5).await).kind, Kind::Temporary, "at {cut}");
    }
}

#[tokio::test]
async fn a_completed_upload_is_found_though_the_answer_says_nothing() {
    let silent: [fn(&FaultServer); 5] = [
        |server| server.on(Op::Complete).after().raw(200, ""),
        |server| server.on(Op::Complete).after().raw(200, "<html></html>"),
        |server| server.on(Op::Complete).after().answer(500, "InternalError"),
        |server| server.on(Op::Complete).after().reset(),
        |server| server.on(Op::Complete).drop_element("ETag"),
    ];
    for hide in silent {
        let server = FaultServer::start();
        hide(&server);
        let uploaded = upload(&server, 2 * MIB5).await.unwrap();
        assert_eq!(
            uploaded.etag,
            server.object("key").map(|object| format!("\"{}\"", object.etag.trim_matches('"')))
        );
    }
}

#[tokio::test]
async fn white_space_before_the_answer_is_no_harm() {
    let server = FaultServer::start();
    server.on(Op::Complete).begin_answer_with("\r\n   \r\n");
    upload(&server, 2 * MIB5).await.unwrap();
}

#[tokio::test]
async fn headers_that_would_make_rusoto_panic_do_not() {
    let server = FaultServer::start();
    for op in [Op::Create, Op::UploadPart, Op::Complete, Op::HeadObject] {
        server.on(op).set_header("x-amz-server-side-encryption-bucket-key-enabled", "yes");
        server.on(op).set_header("x-amz-missing-meta", "some");
        server.on(op).set_header("x-amz-delete-marker", "perhaps");
        server.on(op).set_header("x-odd", "caf\u{e9}");
    }
    upload(&server, 2 * MIB5).await.unwrap();
    store_of(&server).await.head_object(&target("bucket/key"), None).await.unwrap();
}

#[tokio::test]
async fn an_error_keeps_code_status_and_request_id_and_no_secret() {
    let server = FaultServer::start();
    let mut connection = connection_to(&server);
    let wrong = s3chunk::store::rusoto::Credentials::new(
        &server.personality().access_key,
        "not-the-secret",
        None,
        None,
        "test",
    );
    connection.credentials = s3chunk::store::rusoto::CredentialSource::Static(wrong);
    let store = RusotoStore::connect(&connection).await.unwrap();
    let (file, request) = (file(10), Request::new(target("bucket/key")));
    let failed = put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await;
    let error = store_error(failed);
    assert_eq!((error.status, error.code.as_deref()), (Some(403), Some("SignatureDoesNotMatch")));
    assert!(error.request_id.is_some());
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains("Canonical") && !shown.contains("not-the-secret"), "{shown}");
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found() {
    for answer in [WrongRegion::Malformed, WrongRegion::Redirect] {
        let server = FaultServer::start_with(Personality {
            region: "eu-central-1".into(),
            wrong_region: answer,
            ..Personality::default()
        });
        upload(&server, 2 * MIB5).await.unwrap();
        assert_eq!(server.count(Op::Create), 2, "the region is learnt once");
        assert_eq!(server.count(Op::UploadPart), 2);
    }
}

#[tokio::test]
async fn a_redirect_to_an_address_is_followed_once_and_signed_anew() {
    let server = FaultServer::start();
    let elsewhere = format!("{}/bucket/key", server.endpoint());
    server.on(Op::PutObject).nth(1).with_header("Location", &elsewhere).answer(307, "TemporaryRedirect");
    upload(&server, 10).await.unwrap();
    assert_eq!(server.count(Op::PutObject), 2);

    let server = FaultServer::start();
    let itself = format!("{}/bucket/key", server.endpoint());
    server.on(Op::PutObject).with_header("Location", &itself).answer(307, "TemporaryRedirect");
    assert!(upload(&server, 10).await.is_err());
    assert_eq!(server.count(Op::PutObject), 2, "redirects are followed in a circle");
}

#[tokio::test]
async fn a_connection_that_the_store_has_closed_costs_no_upload() {
    let server = FaultServer::start();
    server.on(Op::Create).close_after_answer();
    server.on(Op::UploadPart).close_after_answer();
    upload(&server, 6 * MIB5).await.unwrap();
}

#[tokio::test]
async fn damaged_parts_are_refused_by_the_store_and_seen_by_us() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).corrupt();
    let error = store_error(upload(&server, 3 * MIB5).await);
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Checksum, Some("BadDigest")));
}

#[tokio::test]
async fn a_store_that_knows_no_checksums_checks_md5s() {
    for checksums in [
        Checksums::Ignored,
        Checksums::NotEchoed,
        Checksums::Refused(400, "InvalidRequest".into()),
        Checksums::Refused(501, "NotImplemented".into()),
    ] {
        let personality = || Personality { checksums: checksums.clone(), ..Personality::default() };
        let server = FaultServer::start_with(personality());
        upload(&server, 2 * MIB5).await.unwrap();
        assert!(server.requests_of(Op::UploadPart).iter().all(|part| part.header("content-md5").is_some()));
        let parts = server.requests_of(Op::UploadPart).len();
        assert!(parts <= 4, "{parts} parts were sent");

        let server = FaultServer::start_with(personality());
        upload(&server, 10).await.unwrap();

        let server = FaultServer::start_with(personality());
        server.on(Op::UploadPart).part(1).corrupt();
        let error = upload(&server, 2 * MIB5).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Store(e) if e.kind == Kind::Checksum));
    }
}

#[tokio::test]
async fn a_store_that_checks_nothing_is_caught_by_its_etags() {
    let personality = || Personality { checksums: Checksums::Ignored, ..Personality::default() };
    let server = FaultServer::start_with(personality());
    server.on(Op::UploadPart).part(2).nth(1).wrong_etag();
    upload(&server, 2 * MIB5).await.unwrap();
    assert_eq!(server.count(Op::UploadPart), 3, "the part is sent once more");

    let server = FaultServer::start_with(personality());
    server.on(Op::UploadPart).part(2).wrong_etag();
    let error = upload_with(&server, 2 * MIB5, |request| request.window = Window::new(1)).await.unwrap_err();
    assert_eq!(error.step, Step::UploadPart { number: 2, count: Some(2) });
    assert!(matches!(error.cause, Cause::Mismatch(m) if matches!(*m, Mismatch::ETag { .. })));
}

#[tokio::test]
async fn an_etag_that_is_no_md5_is_no_mismatch() {
    let server = FaultServer::start_with(Personality {
        checksums: Checksums::Ignored,
        etag: EtagKind::Opaque,
        ..Personality::default()
    });
    upload(&server, 2 * MIB5).await.unwrap();
    let server = FaultServer::start_with(Personality {
        checksums: Checksums::Ignored,
        etag: EtagKind::Opaque,
        ..Personality::default()
    });
    upload(&server, 10).await.unwrap();
}

#[tokio::test]
async fn a_wrong_checksum_in_the_answer_is_a_mismatch() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(1).set_header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
    let error = upload(&server, 2 * MIB5).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Mismatch(m) if matches!(*m, Mismatch::Checksum { .. })));
    assert!(server.object("key").is_none());
}

#[tokio::test]
async fn no_endpoint_at_all_is_a_temporary_failure_that_sent_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut connection = connection_to(&FaultServer::start());
    connection.endpoint_url = Some(format!("http://{closed}"));
    let store = RusotoStore::connect(&connection).await.unwrap();
    let (file, request) = (file(10), Request::new(target("bucket/key")));
    let failed = put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await;
    let error = store_error(failed);
    assert_eq!((error.kind, error.outcome_unknown()), (Kind::Temporary, false));
    assert!(error.message.contains("127.0.0.1"), "{error}");
}
