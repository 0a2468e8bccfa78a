//! The command, by sentences.

use std::os::unix::fs::PermissionsExt;

use crate::support::command::{put, run, s3chunk, s3chunk_at, signal, start, upload};
use crate::support::fault::{FaultServer, Op};
use crate::support::{MIB5, file};

const CHUNK: [&str; 2] = ["--chunk-size", "5MiB"];

#[test]
fn a_file_is_uploaded_and_its_receipt_printed() {
    let (server, file) = (FaultServer::start(), file(3 * MIB5));
    let ran = put(&server, &file.path, "bucket/dir/key", &["--chunk-size", "5MiB", "--json"]).exits(0);
    let object = server.object("dir/key").unwrap();
    assert!(object.bytes.is_some_and(|bytes| bytes == file.bytes));
    let record = ran.record();
    let expected = serde_json::json!({
        "source": file.path, "bucket": "bucket", "key": "dir/key", "size": 3 * MIB5, "parts": 3,
        "chunk_size": MIB5, "etag": object.etag.trim_matches('"'), "version_id": null,
        "checksum": {
            "algorithm": "CRC64NVME", "type": "FULL_OBJECT",
            "value": object.checksum.unwrap().value,
        },
        "upload_id": record["upload_id"], "reused_parts": 0, "reused_bytes": 0, "retries": 0,
        "seconds": record["seconds"], "status": "uploaded",
    });
    assert_eq!(record, expected);
    assert!(record["seconds"].as_f64().unwrap() > 0.0 && record["upload_id"].is_string());
}

#[test]
fn the_result_is_on_standard_output_and_the_rest_on_standard_error() {
    let (server, file) = (FaultServer::start(), file(10));
    let ran = put(&server, &file.path, "s3://bucket/key", &[]).exits(0);
    assert!(ran.stdout.starts_with("uploaded ") && ran.stdout.lines().count() == 1, "{ran}");
    assert!(ran.stderr.contains("100 %"), "{ran}");
    let ran = put(&server, &file.path, "s3://bucket/key", &["--quiet"]).exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = put(&server, &file.path, "s3://bucket/key", &["--progress", "none"]).exits(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_target_that_lacks_a_name_gets_the_files() {
    let (server, file) = (FaultServer::start(), file(1));
    for (target, key) in [("bucket", "file.bin"), ("bucket/", "file.bin"), ("s3://bucket/a/", "a/file.bin")] {
        put(&server, &file.path, target, &[]).exits(0);
        assert!(server.object(key).is_some(), "{key}");
    }
}

#[test]
fn what_is_said_of_the_object_goes_with_one_request_and_with_three_steps() {
    let options = [
        "--chunk-size",
        "5MiB",
        "--content-type",
        "text/x-own",
        "--cache-control",
        "max-age=60",
        "--metadata",
        "built-by=ci,commit=abc",
        "--storage-class",
        "STANDARD_IA",
        "--sse",
        "aws:kms",
        "--sse-kms-key-id",
        "k-1",
    ];
    for size in [1, MIB5 + 1] {
        let (server, file) = (FaultServer::start(), file(size));
        put(&server, &file.path, "bucket/key", &options).exits(0);
        let object = server.object("key").unwrap();
        for (header, value) in [
            ("content-type", "text/x-own"),
            ("cache-control", "max-age=60"),
            ("x-amz-meta-built-by", "ci"),
            ("x-amz-meta-commit", "abc"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "k-1"),
        ] {
            assert_eq!(object.header(header), Some(value), "{header} at {size} bytes");
        }
    }
}

#[test]
fn an_option_may_be_a_variable_and_the_command_line_goes_before_it() {
    let (server, file) = (FaultServer::start(), file(1));
    let mut command = s3chunk_at(&server);
    command.env("S3CHUNK_CONTENT_TYPE", "a/b").env("S3CHUNK_JSON", "true");
    let ran = run(command.arg("put").arg(&file.path).arg("bucket/key")).exits(0);
    assert_eq!(ran.record()["status"], "uploaded");
    assert_eq!(server.object("key").unwrap().header("content-type"), Some("a/b"));
    run(command.args(["--content-type", "c/d"])).exits(0);
    assert_eq!(server.object("key").unwrap().header("content-type"), Some("c/d"));
}

#[test]
fn an_empty_variable_is_none_and_a_flag_may_be_said_in_many_ways() {
    let (server, file) = (FaultServer::start(), file(1));
    let mut command = s3chunk_at(&server);
    for variable in
        ["S3CHUNK_ENDPOINT_URL", "S3CHUNK_CHUNK_SIZE", "S3CHUNK_SSE", "S3CHUNK_METADATA", "S3CHUNK_QUIET"]
    {
        command.env(variable, "");
    }
    let ran = run(command.env("S3CHUNK_JSON", "1").arg("put").arg(&file.path).arg("bucket/key")).exits(0);
    assert_eq!(ran.record()["status"], "uploaded");
    let ran = run(command.env("S3CHUNK_JSON", "0")).exits(0);
    assert!(ran.stdout.starts_with("uploaded "), "{ran}");
}

#[test]
fn a_profile_that_is_asked_for_goes_before_the_environment_and_must_be_there() {
    let (server, file, folder) = (FaultServer::start(), file(1), tempfile::tempdir().unwrap());
    let (personality, files) = (server.personality(), folder.path().join("credentials"));
    let (access, secret) = (&personality.access_key, &personality.secret_key);
    let profile = format!("[own]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n");
    std::fs::write(&files, profile).unwrap();
    let put = |profile: &str| {
        let mut command = s3chunk_at(&server);
        command.env("AWS_ACCESS_KEY_ID", "other").env("AWS_SHARED_CREDENTIALS_FILE", &files);
        run(command.arg("put").arg(&file.path).args(["bucket/key", "--profile", profile]))
    };
    put("own").exits(0);
    put("absent").exits(4).says("no profile \"absent\"");
}

#[test]
fn a_name_cannot_break_the_line_or_colour_the_terminal() {
    let (server, file) = (FaultServer::start(), file(1));
    let odd = file.path.with_file_name("a\n\u{1b}[31mb");
    let ran = put(&server, &odd, "bucket/key", &[]).exits(3);
    assert_eq!((ran.stderr.lines().count(), ran.stderr.contains('\u{1b}')), (1, false), "{ran}");
}

#[test]
fn a_dry_run_sends_nothing_and_says_the_plan() {
    let (server, file) = (FaultServer::start(), file(3 * MIB5));
    let options = ["--dry-run", "--json", "--chunk-size", "5MiB"];
    let record = put(&server, &file.path, "bucket/key", &options).exits(0).record();
    assert_eq!((&record["status"], &record["parts"]), (&"dry-run".into(), &3.into()));
    put(&server, &file.path, "bucket/key", &["--dry-run"]).exits(0);
    assert!(server.requests().is_empty());
}

#[test]
fn the_largest_object_is_planned_at_once() {
    let (server, file) = (FaultServer::start(), file(0));
    // Sparse, where the file system can; S3's largest object is more than some can.
    let sparse = std::fs::OpenOptions::new().write(true).open(&file.path).unwrap();
    sparse.set_len(10_000 << 30).unwrap();
    let record = put(&server, &file.path, "bucket/key", &["--dry-run", "--json"]).exits(0).record();
    assert_eq!((&record["parts"], &record["chunk_size"]), (&10_000.into(), &(1u64 << 30).into()));
}

#[test]
fn a_source_that_cannot_be_uploaded_is_named() {
    let (server, file) = (FaultServer::start(), file(1));
    let folder = file.path.parent().unwrap();
    put(&server, &folder.join("absent"), "bucket/key", &[]).exits(3).says("absent: No such file");
    put(&server, folder, "bucket/key", &[]).exits(3).says("is a folder, not a file");
    put(&server, "/dev/null".as_ref(), "bucket/key", &[]).exits(3).says("is not a regular file");
    assert!(server.requests().is_empty());
}

#[test]
fn an_unreadable_file_is_named() {
    let (server, file) = (FaultServer::start(), file(1));
    std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&file.path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    put(&server, &file.path, "bucket/key", &[]).exits(3).says("Permission denied");
}

#[test]
fn wrong_usage_is_told_before_anything_is_sent() {
    let (server, file) = (FaultServer::start(), file(MIB5 + 1));
    for (target, options, why) in [
        ("bucket/key", &["--chunk-size", "0"][..], "a chunk of nothing"),
        ("bucket/key", &["--chunk-size", "many"], "a size is a number with a unit"),
        ("bucket/key", &["--chunk-size", "6GiB"], "at most 5 GiB"),
        ("bucket/key", &["--chunk-size", "1MiB"], "use --chunk-size 5MiB or more"),
        ("bucket/key", &["--concurrency", "0"], "is not in 1..=1000"),
        ("bucket/key", &["--limit-rate", "10M"], "a rate is a size a second"),
        ("bucket/key", &["--limit-rate", "1000B/s"], "of 1KiB/s or more"),
        ("bucket/key", &["--metadata", "novalue"], "KEY=VALUE"),
        ("bucket/key", &["--content-type", "a\nb"], "control character"),
        ("bucket/key", &["--endpoint-url", "localhost:9000"], "the endpoint"),
        ("bucket/key", &["--ca-bundle", "/dev/null"], "holds no certificate"),
        ("bucket/key", &["--region", "eu west"], "no name of a region"),
        ("bucket/key", &["--endpoint-url", "http://127.0.0.1:99999"], "its port"),
        ("bucket/key", &["--addressing", "other"], "possible values: auto, path, virtual"),
        ("bucket/key", &["--nonsense"], "unexpected argument"),
        ("https://bucket/key", &[], "only s3:// is known"),
        ("b u/key", &[], "is no bucket name"),
        ("", &[], "it names no bucket"),
        ("/key", &[], "it names no bucket"),
    ] {
        let ran = put(&server, &file.path, target, options).exits(2).says(why);
        assert!(ran.error().starts_with("s3chunk: "), "{ran}");
    }
    run(&mut s3chunk()).exits(2);
    assert!(server.requests().is_empty());
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = FaultServer::start();
    for size in [1, MIB5 + 1] {
        let ran = put(&server, &file(size).path, "absent/key", &CHUNK).exits(5).says("NoSuchBucket");
        assert!(ran.stderr.contains("create the bucket"), "{ran}");
    }
}

#[test]
fn wrong_keys_and_no_keys_are_told_apart() {
    let (server, file) = (FaultServer::start(), file(1));
    let args =
        |command: &mut std::process::Command| run(command.arg("put").arg(&file.path).arg("bucket/key"));
    args(s3chunk_at(&server).env("AWS_ACCESS_KEY_ID", "other")).exits(4).says("InvalidAccessKeyId");
    let ran = args(s3chunk_at(&server).env("AWS_SECRET_ACCESS_KEY", "s3cr3t")).exits(4);
    let ran = ran.says("SignatureDoesNotMatch");
    assert!(!ran.stderr.contains("s3cr3t") && !ran.stderr.contains("Canonical"), "{ran}");
    args(s3chunk_at(&server).env_remove("AWS_ACCESS_KEY_ID")).exits(4).says("no credentials");
}

#[test]
fn a_failure_has_a_record_too() {
    let (server, file) = (FaultServer::start(), file(1));
    server.on(Op::PutObject).answer(403, "AccessDenied");
    let record = put(&server, &file.path, "bucket/key", &["--json"]).exits(4).record();
    assert_eq!((&record["status"], &record["key"]), (&"failed".into(), &"key".into()));
    let error = &record["error"];
    assert_eq!((&error["code"], &error["exit"]), (&"AccessDenied".into(), &4.into()));
    assert!(error["message"].is_string() && error["request_id"].is_string());
}

#[test]
fn a_failed_part_leaves_no_upload() {
    let (server, file) = (FaultServer::start(), file(4 * MIB5));
    server.on(Op::UploadPart).part(3).answer(403, "AccessDenied");
    let ran = put(&server, &file.path, "bucket/key", &CHUNK).exits(4);
    let line = "s3chunk: cannot upload part 3 of 4: AccessDenied: ";
    assert!(ran.error().starts_with(line) && ran.error().contains("request id"), "{ran}");
    assert!(server.uploads().is_empty() && server.object("key").is_none());
}

#[test]
fn a_signal_drops_the_upload() {
    for (name, exit) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let (server, file) = (FaultServer::start(), file(4 * MIB5));
        server.on(Op::UploadPart).part(2).never_answer();
        let child = start(s3chunk_at(&server).arg("put").arg(&file.path).arg("bucket/key").args(CHUNK));
        server.wait_for(Op::UploadPart, 4);
        signal(&child, name);
        let ran: crate::support::command::Ran = child.wait_with_output().unwrap().into();
        ran.exits(exit).says("interrupted");
        assert!(server.uploads().is_empty() && server.object("key").is_none());
    }
}

#[test]
fn standard_output_that_takes_nothing_is_told() {
    let (server, file) = (FaultServer::start(), file(1));
    let mut command = s3chunk_at(&server);
    command.arg("put").arg(&file.path).arg("bucket/key").arg("--json");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = command.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let ran: crate::support::command::Ran = child.wait_with_output().unwrap().into();
    ran.exits(1).says("cannot write the result");
}

#[test]
fn help_says_each_option_in_a_sentence() {
    for (command, expected) in [
        ("put", include_str!("help/put.txt")),
        ("list", include_str!("help/list.txt")),
        ("abort", include_str!("help/abort.txt")),
        ("clean", include_str!("help/clean.txt")),
        ("verify", include_str!("help/verify.txt")),
        ("doctor", include_str!("help/doctor.txt")),
        ("completions", include_str!("help/completions.txt")),
        ("man", include_str!("help/man.txt")),
    ] {
        let help = run(s3chunk().args([command, "--help"])).exits(0).stdout;
        assert_eq!(help, expected, "tests/it/help/{command}.txt is another");
    }
    assert_eq!(run(s3chunk().arg("--help")).exits(0).stdout, include_str!("help/s3chunk.txt"));
    assert!(run(s3chunk().arg("--version")).exits(0).stdout.starts_with("s3chunk "));
}

#[test]
fn what_stands_behind_two_dashes_is_no_option() {
    let server = FaultServer::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("--json"), "x").unwrap();
    let put = ["put", "--", "--json", "bucket/key"];
    run(s3chunk_at(&server).current_dir(folder.path()).args(put)).exits(0);
    assert_eq!(server.object("key").unwrap().bytes.unwrap(), "x");
}

#[test]
fn for_a_store_that_takes_few_parts_they_are_larger() {
    let server = FaultServer::start();
    let ran = upload(&server, 11 << 20, &["--max-parts", "2"]).exits(0);
    assert_eq!((&ran.record()["parts"], &ran.record()["chunk_size"]), (&2.into(), &(6 << 20).into()));
    let mut sizes: Vec<_> = server.requests_of(Op::UploadPart).iter().map(|part| part.body_len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5 << 20, 6 << 20]);
}

#[test]
fn what_would_do_harm_if_it_was_a_slip_is_refused() {
    let server = FaultServer::start();
    let file = file(1);
    let path = file.path.to_str().unwrap();
    for (words, why) in [
        (&["put", path, "bucket/key", "--endpoint-url", ""][..], "--endpoint-url"),
        (&["clean", "bucket", "--older-than", "7"], "7d is days"),
        (&["abort", "bucket/key", "--upload-id", ""], "--upload-id"),
        (&["abort", "bucket"], "it names no key"),
        (&["put", path, "bucket/key", "--metadata", "a=1,A=2"], "names a key twice"),
        (&["put", path, "bucket/key", "--chunk-size", "-1"], "invalid value '-1' for '--chunk-size"),
        (&["put", path, "bucket/key", "--max-parts", "many"], "from 1 to 10000"),
        (&["put", path, "bucket/key", "--", "sh"], "a command needs --exec"),
    ] {
        run(s3chunk_at(&server).args(words)).exits(2).says(why);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_dry_run_says_where_a_condition_does_not_hold() {
    let (server, file) = (FaultServer::start(), file(1));
    server.has_object("key", "before");
    put(&server, &file.path, "bucket/key", &["--dry-run", "--no-overwrite"]).exits(7);
    put(&server, &file.path, "bucket/other", &["--dry-run", "--no-overwrite"]).exits(0);
    assert_eq!(server.count(Op::HeadObject), server.requests().len());
}
