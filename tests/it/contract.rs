//! What every store does that the engine is to run over, each in the same words: the store in memory,
//! the gateway at an embedded server, at a strict one, and at a real one where `S3CHUNK_TEST_STORE` names
//! it (`tests/stores.py` does).

use s3chunk::checksum::{Sums, Wanted};
use s3chunk::event::Silent;
use s3chunk::source::{FileSource, Part};
use s3chunk::store::rusoto::{Connection, RusotoStore};
use s3chunk::store::{
    Attributes, CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, Kind, PutObject, Store,
    Upload, UploadPart,
};
use s3chunk::upload::{Request, Verdict, put, verify};
use s3chunk::{Target, checksum};
use tokio_util::sync::CancellationToken;

use crate::support::fault::FaultServer;
use crate::support::memory::MemoryStore;
use crate::support::server::Server;
use crate::support::{MIB5, connection, file, store_of, target};

/// What a store need not do, or does otherwise.
#[derive(Clone, Copy, Default)]
struct Leave {
    /// It has no list of unfinished uploads.
    no_upload_list: bool,
    /// It takes a part's checksum and does not check it.
    unchecked: bool,
    /// Its lists of parts lack ETags.
    listed_without_etag: bool,
}

#[tokio::test]
async fn the_store_in_memory() {
    suite(&MemoryStore::default(), "bucket", Leave::default()).await;
}

#[tokio::test]
async fn the_gateway_at_a_strict_server() {
    let server = FaultServer::start();
    suite(&store_of(&server).await, "bucket", Leave::default()).await;
}

#[tokio::test]
async fn the_gateway_at_the_embedded_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).unwrap();
    server.make_bucket("bucket").unwrap();
    let connection = connection(server.endpoint(), &server.access_key, &server.secret_key);
    let store = RusotoStore::connect(&connection).await.unwrap();
    let leave = Leave { no_upload_list: true, unchecked: true, listed_without_etag: true };
    suite(&store, "bucket", leave).await;
}

#[tokio::test]
async fn the_gateway_at_a_real_store() {
    let Ok(endpoint) = std::env::var("S3CHUNK_TEST_STORE") else {
        eprintln!("skipped: S3CHUNK_TEST_STORE names no store (tests/stores.py starts some)");
        return;
    };
    let bucket = std::env::var("S3CHUNK_TEST_BUCKET").unwrap_or_else(|_| "contract".to_owned());
    let connection = Connection { endpoint_url: Some(endpoint), ..Connection::default() };
    let store = RusotoStore::connect(&connection).await.unwrap();
    // Real stores differ in what they check; what they hold in the end may not.
    suite(&store, &bucket, Leave { unchecked: true, ..Leave::default() }).await;
}

async fn suite<S: Store>(store: &S, bucket: &str, leave: Leave) {
    an_object_is_put_whole(store, bucket).await;
    an_upload_is_started_filled_and_completed(store, bucket).await;
    an_upload_is_aborted_and_gone(store, bucket).await;
    parts_are_listed_page_by_page(store, bucket, leave).await;
    unfinished_uploads_are_listed(store, bucket, leave).await;
    damaged_bytes_are_refused(store, bucket, leave).await;
    what_is_not_there_is_not_found(store, bucket).await;
    a_bucket_is_found_and_an_object_deleted(store, bucket).await;
    a_large_object_takes_the_place_of_a_small_one(store, bucket).await;
    the_engine_runs_over_it(store, bucket).await;
}

async fn sums<S: Store>(store: &S, body: &Part) -> Sums {
    let wanted = Wanted { checksum: None, md5: true, sha256: store.signs_payload() };
    body.sums(wanted).await.unwrap()
}

async fn an_object_is_put_whole<S: Store>(store: &S, bucket: &str) {
    for size in [0, 1, 100_000] {
        let (file, target) = (file(size), Target::new(bucket, format!("whole-{size}")).unwrap());
        let body = file.source().part(0..size);
        let request = PutObject {
            target: target.clone(),
            sums: sums(store, &body).await,
            body,
            trailer: None,
            attributes: Attributes::new(),
            condition: None,
        };
        let written = store.put_object(&request).await.unwrap();
        assert!(written.etag.is_some());
        let head = store.head_object(&target, None).await.unwrap();
        assert_eq!((head.size, head.etag.is_some()), (size, true));
    }
}

async fn start<S: Store>(store: &S, bucket: &str, key: &str) -> Upload {
    let target = Target::new(bucket, key).unwrap();
    let attributes = Attributes::new();
    let request = CreateMultipartUpload { target: target.clone(), attributes, checksum: None };
    let created = store.create_multipart_upload(&request).await.unwrap();
    Upload { target, upload_id: created.upload_id }
}

async fn upload_part<S: Store>(store: &S, upload: &Upload, number: u32, body: Part) -> CompletedPart {
    let request = UploadPart {
        upload: upload.clone(),
        number,
        sums: sums(store, &body).await,
        trailer: None,
        fresh: false,
        once: false,
        body,
    };
    let written = store.upload_part(&request).await.unwrap();
    CompletedPart { number, etag: written.etag.unwrap(), size: request.body.len(), checksum: None }
}

fn completion(upload: &Upload, parts: Vec<CompletedPart>) -> CompleteMultipartUpload {
    CompleteMultipartUpload {
        upload: upload.clone(),
        size: parts.iter().map(|part| part.size).sum(),
        parts,
        checksum: None,
        condition: None,
    }
}

async fn an_upload_is_started_filled_and_completed<S: Store>(store: &S, bucket: &str) {
    let (file, upload) = (file(MIB5 + 1), start(store, bucket, "three steps").await);
    let source = file.source();
    // The later part first: their order is said at the end.
    let second = upload_part(store, &upload, 2, source.part(MIB5..MIB5 + 1)).await;
    let first = upload_part(store, &upload, 1, source.part(0..MIB5)).await;
    let again = upload_part(store, &upload, 1, source.part(0..MIB5)).await;
    assert_eq!(first.etag, again.etag);
    let request = completion(&upload, vec![again, second]);
    store.complete_multipart_upload(&request).await.unwrap();
    assert_eq!(store.head_object(&upload.target, None).await.unwrap().size, MIB5 + 1);
}

async fn an_upload_is_aborted_and_gone<S: Store>(store: &S, bucket: &str) {
    let (file, upload) = (file(10), start(store, bucket, "aborted").await);
    upload_part(store, &upload, 1, file.source().part(0..10)).await;
    store.abort_multipart_upload(&upload).await.unwrap();
    match store.list_parts(&upload, None).await {
        Ok(page) => assert!(page.parts.is_empty()),
        Err(error) => assert_eq!(error.kind, Kind::NotFound, "{error}"),
    }
    assert_eq!(store.head_object(&upload.target, None).await.unwrap_err().kind, Kind::NotFound);
}

async fn parts_are_listed_page_by_page<S: Store>(store: &S, bucket: &str, leave: Leave) {
    let (file, upload) = (file(10), start(store, bucket, "listed parts").await);
    let source = file.source();
    let mut sent = Vec::new();
    for number in 1..=5 {
        sent.push(upload_part(store, &upload, number, source.part(0..u64::from(number))).await);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_parts(&upload, after).await.unwrap();
        listed.extend(page.parts);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    listed.sort_unstable_by_key(|part| part.number);
    let told = |parts: &[CompletedPart]| -> Vec<_> {
        let etag = |part: &CompletedPart| part.etag.trim_matches('"').to_owned();
        let etag = |part| if leave.listed_without_etag { String::new() } else { etag(part) };
        parts.iter().map(|part| (part.number, part.size, etag(part))).collect()
    };
    assert_eq!(told(&listed), told(&sent));
    store.abort_multipart_upload(&upload).await.unwrap();
}

async fn unfinished_uploads_are_listed<S: Store>(store: &S, bucket: &str, leave: Leave) {
    if leave.no_upload_list {
        assert!(store.list_multipart_uploads(bucket, "", None).await.is_err());
        return;
    }
    let mut begun = Vec::new();
    for key in ["listed/a b+c%2F", "listed/é", "listed/é", "listed/z", "listed/z"] {
        begun.push(start(store, bucket, key).await);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_multipart_uploads(bucket, "listed/", after.as_ref()).await.unwrap();
        listed.extend(page.uploads.into_iter().map(|upload| (upload.key, upload.upload_id)));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut expected: Vec<_> =
        begun.iter().map(|upload| (upload.target.key().to_owned(), upload.upload_id.clone())).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    for upload in &begun {
        store.abort_multipart_upload(upload).await.unwrap();
    }
}

async fn damaged_bytes_are_refused<S: Store>(store: &S, bucket: &str, leave: Leave) {
    if leave.unchecked {
        return;
    }
    let (file, upload) = (file(100), start(store, bucket, "damaged").await);
    let body = file.source().part(0..100);
    let sums = Sums { md5: Some(checksum::md5(b"other bytes")), ..sums(store, &body).await };
    let (to, trailer) = (upload.clone(), None);
    let request = UploadPart { upload: to, number: 1, body, sums, trailer, fresh: false, once: false };
    assert_eq!(store.upload_part(&request).await.unwrap_err().kind, Kind::Checksum);
    store.abort_multipart_upload(&upload).await.unwrap();
}

async fn a_bucket_is_found_and_an_object_deleted<S: Store>(store: &S, bucket: &str) {
    store.head_bucket(bucket).await.unwrap();
    assert_eq!(store.head_bucket("no-such-bucket").await.unwrap_err().kind, Kind::NotFound);
    let target = target(&format!("{bucket}/contract/deleted"));
    let body = Part::of_bytes(b"bytes");
    let sums = sums(store, &body).await;
    let attributes = Attributes::default();
    let request =
        PutObject { target: target.clone(), body, sums, attributes, condition: None, trailer: None };
    store.put_object(&request).await.unwrap();
    store.delete_object(&target, None).await.unwrap();
    assert_eq!(store.head_object(&target, None).await.unwrap_err().kind, Kind::NotFound);
    store.delete_object(&target, None).await.unwrap();
}

async fn what_is_not_there_is_not_found<S: Store>(store: &S, bucket: &str) {
    let absent = Target::new(bucket, "absent").unwrap();
    assert_eq!(store.head_object(&absent, None).await.unwrap_err().kind, Kind::NotFound);
    let elsewhere = Target::new("no-such-bucket", "key").unwrap();
    let request = CreateMultipartUpload { target: elsewhere, attributes: Attributes::new(), checksum: None };
    let created = store.create_multipart_upload(&request).await;
    assert_eq!(created.unwrap_err().kind, Kind::NotFound);
}

async fn the_engine_runs_over_it<S: Store>(store: &S, bucket: &str) {
    for size in [0, MIB5, MIB5 + 1, 3 * MIB5] {
        let file = file(size);
        let mut request = Request::new(target(&format!("{bucket}/engine-{size}")));
        request.wishes.part_size = MIB5;
        let source = FileSource::open(&file.path).unwrap();
        put(store, &source, &request, &Silent, &CancellationToken::new()).await.unwrap();
        assert_eq!(store.head_object(&request.target, None).await.unwrap().size, size);
    }
}

async fn a_large_object_takes_the_place_of_a_small_one<S: Store>(store: &S, bucket: &str) {
    let mut request = Request::new(target(&format!("{bucket}/replaced")));
    request.wishes.part_size = MIB5;
    for size in [10, MIB5 + 1, 10] {
        let file = file(size);
        put(store, &file.source(), &request, &Silent, &CancellationToken::new()).await.unwrap();
        let verdict = verify(store, &file.source(), &request.target, MIB5).await.unwrap();
        assert!(matches!(verdict, Verdict::Same(_)), "{size} bytes: {verdict:?}");
    }
}
