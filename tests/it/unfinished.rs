//! Uploads that nobody finished, and objects that may be another file's: list, abort, clean, verify.

use std::path::Path;
use std::time::Duration;

use crate::support::command::{Ran, put, run, s3chunk_at};
use crate::support::fault::{Checksums, EtagKind, FaultServer, Listing, Op, Personality};
use crate::support::{MIB5, file};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn s3(server: &FaultServer, words: &[&str]) -> Ran {
    run(s3chunk_at(server).args(words))
}

fn verify(server: &FaultServer, file: &Path, options: &[&str]) -> Ran {
    run(s3chunk_at(server).arg("verify").arg(file).arg("bucket/key").args(options))
}

fn records(ran: &Ran) -> Vec<serde_json::Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(server: &FaultServer) -> Vec<String> {
    server.uploads().into_iter().map(|upload| upload.id).collect()
}

#[test]
fn a_list_tells_key_id_start_parts_and_bytes() {
    let server = FaultServer::start();
    let [old, new] = [("b/old", 2), ("a/new", 1)].map(|(key, days)| server.has_old_upload(key, DAY * days));
    server.has_part(&old, 1, vec![0; 1 << 20]);
    server.has_part(&old, 7, vec![0; 1 << 20]);
    server.on(Op::ListParts).key("a/new").set_header("x-amz-abort-date", "Fri, 01 Jan 2100 00:00:00 GMT");
    let ran = s3(&server, &["list", "bucket"]).exits(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{ran}");
    assert!(lines[1].contains("2.0 MiB") && lines[1].contains(&old) && lines[1].contains("b/old"), "{ran}");
    assert!(
        lines[2].contains("2100-01-01") && lines[2].contains(&new) && lines[2].contains("a/new"),
        "{ran}"
    );

    let records = records(&s3(&server, &["list", "bucket", "--json"]).exits(0));
    assert_eq!(records.len(), 2);
    let first = &records[0];
    assert_eq!((&first["bucket"], &first["key"]), (&"bucket".into(), &"b/old".into()));
    assert_eq!((&first["upload_id"], &first["parts"]), (&old.into(), &2.into()));
    assert_eq!((&first["bytes"], &first["abort_date"]), (&(2 << 20).into(), &serde_json::Value::Null));
    assert!(first["initiated"].is_string());
    assert_eq!(records[1]["abort_date"], "2100-01-01T00:00:00Z");
}

#[test]
fn a_list_of_nothing_is_empty() {
    let server = FaultServer::start();
    for words in [&["list", "bucket"][..], &["list", "bucket", "--json"], &["list", "bucket/none"]] {
        assert_eq!(s3(&server, words).exits(0).stdout, "");
    }
    s3(&server, &["list", "absent"]).exits(5).says("NoSuchBucket");
}

#[test]
fn a_list_goes_by_prefix_and_over_pages() {
    let server = FaultServer::start_with(Personality { page_size: 2, ..Personality::default() });
    let keys = ["a b+c", "a b+c", "a/é%20", "a/<&>", "b"];
    for key in keys {
        let id = server.has_upload(key);
        (1..=5).for_each(|number| drop(server.has_part(&id, number, "x")));
    }
    let records = records(&s3(&server, &["list", "s3://bucket/a", "--json"]).exits(0));
    let mut found: Vec<_> = records.iter().map(|record| record["key"].as_str().unwrap()).collect();
    found.sort_unstable();
    let mut expected = keys[..4].to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(records.iter().all(|record| record["parts"] == 5));
}

#[test]
fn a_list_ends_where_the_store_names_no_marker() {
    let server = FaultServer::start_with(Personality {
        page_size: 2,
        list_uploads: Listing::TruncatedWithoutMarker,
        ..Personality::default()
    });
    for _ in 0..5 {
        server.has_upload("key");
    }
    assert_eq!(records(&s3(&server, &["list", "bucket", "--json"]).exits(0)).len(), 2);
}

#[test]
fn a_store_that_lists_no_parts_still_lists_uploads() {
    let server = FaultServer::start_with(Personality {
        list_parts: Listing::NotImplemented,
        ..Personality::default()
    });
    server.has_upload("key");
    let records = records(&s3(&server, &["list", "bucket", "--json"]).exits(0));
    assert_eq!((&records[0]["parts"], records.len()), (&serde_json::Value::Null, 1));
}

#[test]
fn a_store_that_lists_no_uploads_is_said() {
    let server = FaultServer::start_with(Personality {
        list_uploads: Listing::NotImplemented,
        ..Personality::default()
    });
    for words in
        [&["list", "bucket"][..], &["abort", "bucket/key"], &["clean", "bucket", "--older-than", "1d"]]
    {
        s3(&server, words).exits(1).says("s3chunk: cannot list unfinished uploads: NotImplemented");
    }
}

#[test]
fn an_abort_drops_the_uploads_of_exactly_this_key() {
    let server = FaultServer::start_with(Personality { page_size: 1, ..Personality::default() });
    let [_, _, longer, shorter] = ["key", "key", "key2", "ke"].map(|key| server.has_upload(key));
    let ran = s3(&server, &["abort", "bucket/key", "--json"]).exits(0);
    assert_eq!(ids(&server), [longer, shorter]);
    assert!(records(&ran).iter().all(|record| record["status"] == "aborted"), "{ran}");
    assert_eq!(records(&ran).len(), 2);
}

#[test]
fn an_abort_by_id_drops_that_upload_alone() {
    let server = FaultServer::start();
    let [one, two] = ["key", "key"].map(|key| server.has_upload(key));
    s3(&server, &["abort", "s3://bucket/key", "--upload-id", &one]).exits(0);
    assert_eq!(ids(&server), [two]);
}

#[test]
fn an_abort_of_what_is_not_there_is_told() {
    let server = FaultServer::start();
    server.has_upload("key2");
    s3(&server, &["abort", "bucket/key"]).exits(5);
    s3(&server, &["abort", "bucket/key", "--upload-id", "none"]).exits(5).says("NoSuchUpload");
    s3(&server, &["abort", "absent/key"]).exits(5);
    assert_eq!(server.uploads().len(), 1);
}

#[test]
fn an_abort_is_repeated_until_it_takes_effect() {
    let server = FaultServer::start_with(Personality { abort_after_list_parts: 2, ..Personality::default() });
    let id = server.has_upload("key");
    server.has_part(&id, 1, "x");
    s3(&server, &["abort", "bucket/key", "--upload-id", &id]).exits(0);
    assert!(server.uploads().is_empty());
}

#[test]
fn an_abort_that_never_takes_effect_is_no_success() {
    let server =
        FaultServer::start_with(Personality { abort_after_list_parts: 1000, ..Personality::default() });
    let id = server.has_upload("key");
    server.has_part(&id, 1, "x");
    let ran = s3(&server, &["abort", "bucket/key", "--json"]).exits(75).says(&id);
    assert_eq!(records(&ran)[0]["status"], "failed");
}

#[test]
fn a_lost_answer_of_an_abort_is_no_failure() {
    let server = FaultServer::start();
    let id = server.has_upload("key");
    server.on(Op::Abort).nth(1).after().reset();
    s3(&server, &["abort", "bucket/key", "--upload-id", &id]).exits(0);
    assert!(server.uploads().is_empty());
}

#[test]
fn a_clean_up_drops_what_is_old_and_nothing_else() {
    let server = FaultServer::start();
    let [_, fresh, elsewhere] = [("a/old", 8), ("a/fresh", 6), ("b/old", 8)]
        .map(|(key, days)| server.has_old_upload(key, DAY * days));
    let ran = s3(&server, &["clean", "bucket/a/", "--older-than", "7d", "--dry-run", "--json"]).exits(0);
    assert_eq!(server.uploads().len(), 3);
    let dry = records(&ran);
    assert_eq!((dry.len(), &dry[0]["key"], &dry[0]["status"]), (1, &"a/old".into(), &"would-abort".into()));
    let ran = s3(&server, &["clean", "bucket/a/", "--older-than", "7d", "--json"]).exits(0);
    assert_eq!(records(&ran)[0]["status"], "aborted");
    assert_eq!(ids(&server), [fresh, elsewhere]);
    s3(&server, &["clean", "bucket", "--older-than", "100d"]).exits(0);
    s3(&server, &["clean", "bucket", "--older-than", "12h"]).exits(0);
    assert!(server.uploads().is_empty());
    s3(&server, &["clean", "bucket"]).exits(2);
    s3(&server, &["clean", "bucket", "--older-than", "soon"]).exits(2);
}

#[test]
fn a_clean_up_goes_on_past_an_upload_that_cannot_be_dropped() {
    let server = FaultServer::start();
    let [stuck, _] = ["a", "b"].map(|key| server.has_old_upload(key, DAY * 9));
    server.on(Op::Abort).key("a").answer(403, "AccessDenied");
    s3(&server, &["clean", "bucket", "--older-than", "7d"]).exits(4).says(&stuck);
    assert_eq!(ids(&server), [stuck]);
}

#[test]
fn an_uploads_age_is_by_the_stores_clock() {
    let server = FaultServer::start_with(Personality { clock_ahead: -800, ..Personality::default() });
    server.has_old_upload("key", Duration::from_secs(60));
    s3(&server, &["clean", "bucket", "--older-than", "10m"]).exits(0);
    assert_eq!(server.uploads().len(), 1, "an upload of a minute's age was dropped");
}

#[test]
fn the_same_bytes_are_the_same_by_checksum_or_by_etag() {
    for checksums in [Checksums::Known, Checksums::Ignored] {
        for (size, chunk) in
            [(0, "5MiB"), (10, "5MiB"), (3 * MIB5, "5MiB"), (3 * MIB5, "6MiB"), (4 * MIB5, "7MB")]
        {
            let personality = Personality { checksums: checksums.clone(), ..Personality::default() };
            let (server, file) = (FaultServer::start_with(personality), file(size));
            put(&server, &file.path, "bucket/key", &["--chunk-size", chunk]).exits(0);
            let ran = verify(&server, &file.path, &["--chunk-size", chunk]).exits(0);
            assert!(ran.stdout.starts_with("same: s3://bucket/key is "), "{ran}");
            let record = verify(&server, &file.path, &["--chunk-size", chunk, "--json"]).exits(0).record();
            assert_eq!(record["status"], "same");
        }
    }
}

#[test]
fn usual_chunk_sizes_need_not_be_said() {
    for chunk in ["5MiB", "8MiB", "10MiB", "16MiB"] {
        let personality = Personality { checksums: Checksums::Ignored, ..Personality::default() };
        let (server, file) = (FaultServer::start_with(personality), file(7 * MIB5));
        put(&server, &file.path, "bucket/key", &["--chunk-size", chunk]).exits(0);
        verify(&server, &file.path, &[]).exits(0);
    }
}

#[test]
fn a_composite_checksum_is_compared_part_by_part() {
    let (server, file) = (FaultServer::start(), file(3 * MIB5));
    put(&server, &file.path, "bucket/key", &["--chunk-size", "5MiB", "--checksum", "sha256"]).exits(0);
    verify(&server, &file.path, &[]).exits(0);
}

#[test]
fn other_bytes_are_told() {
    for checksums in [Checksums::Known, Checksums::Ignored] {
        for size in [10, 2 * MIB5] {
            let personality = Personality { checksums: checksums.clone(), ..Personality::default() };
            let (server, mut file) = (FaultServer::start_with(personality), file(size));
            put(&server, &file.path, "bucket/key", &["--chunk-size", "5MiB"]).exits(0);
            file.bytes[5] ^= 1;
            std::fs::write(&file.path, &file.bytes).unwrap();
            verify(&server, &file.path, &[]).exits(6).says("s3chunk: cannot verify the object: ");
            file.bytes.push(0);
            std::fs::write(&file.path, &file.bytes).unwrap();
            verify(&server, &file.path, &[]).exits(6).says("bytes");
        }
    }
}

#[test]
fn what_is_not_there_is_told() {
    let (server, file) = (FaultServer::start(), file(10));
    verify(&server, &file.path, &[]).exits(5);
    server.has_object("key", file.bytes.clone());
    verify(&server, &file.path, &[]).exits(0);
    verify(&server, &file.path.with_extension("absent"), &[]).exits(3);
    server.on(Op::HeadObject).answer(403, "AccessDenied");
    verify(&server, &file.path, &[]).exits(4);
}

#[test]
fn an_etag_that_is_no_sum_tells_nothing() {
    for size in [10, 2 * MIB5] {
        let server = FaultServer::start_with(Personality {
            checksums: Checksums::Ignored,
            etag: EtagKind::Opaque,
            ..Personality::default()
        });
        let file = file(size);
        put(&server, &file.path, "bucket/key", &["--chunk-size", "5MiB"]).exits(0);
        let ran = verify(&server, &file.path, &[]).exits(1);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains("cannot tell"), "{ran}");
    }
}
