//! Several files, and folders: which become what, and what one of them failing means for the rest.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{Ran, run, s3chunk_at, signal, start};
use crate::support::fault::{Checksums, EtagKind, FaultServer, Op, Personality};
use crate::support::{MIB5, bytes};

/// A folder of files, each of which holds its own name.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        write(&folder, name, name.as_bytes());
    }
    folder
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// `s3chunk put WORDS` in that folder.
fn command(server: &FaultServer, folder: &TempDir, words: &[&str]) -> Command {
    let mut command = s3chunk_at(server);
    command.current_dir(folder.path()).args(["put", "--chunk-size", "5MiB"]).args(words);
    command
}

fn put(server: &FaultServer, folder: &TempDir, words: &[&str]) -> Ran {
    let ran = run(&mut command(server, folder, words));
    assert!(server.uploads().is_empty(), "an upload is left: {ran}");
    ran
}

/// The JSON records, by their keys.
fn records(ran: &Ran) -> Vec<Value> {
    let mut records: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {ran}")))
        .collect();
    records.sort_by_key(|record| (record["key"].to_string(), record["source"].to_string()));
    records
}

fn statuses(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    records(ran).iter().map(|record| (text(&record["source"]), text(&record["status"]))).collect()
}

fn data_requests(server: &FaultServer) -> usize {
    server.count(Op::PutObject) + server.count(Op::UploadPart)
}

#[test]
fn several_files_go_below_a_prefix_by_their_names() {
    let folder = folder(&["a", "dir/b.txt"]);
    for (target, prefix) in [("bucket/p/", "p/"), ("bucket", ""), ("s3://bucket/", ""), ("bucket/p//", "p//")]
    {
        let server = FaultServer::start();
        let ran = put(&server, &folder, &["a", "dir/b.txt", target, "--json"]).exits(0);
        assert_eq!(server.keys(), [format!("{prefix}a"), format!("{prefix}b.txt")]);
        let b = server.object(&format!("{prefix}b.txt")).unwrap();
        assert_eq!(b.bytes.as_deref(), Some(&b"dir/b.txt"[..]));
        assert_eq!(b.header("content-type"), Some("text/plain"));
        let expected = ["a", "dir/b.txt"].map(|source| (source.to_owned(), "uploaded".to_owned()));
        assert_eq!(statuses(&ran), expected);
        assert_eq!(ran.stderr.lines().last(), Some("files: 2 uploaded, 10 B"));
    }
}

#[test]
fn what_would_be_ambiguous_is_wrong_usage() {
    let (server, folder) = (FaultServer::start(), folder(&["a", "b", "dir/a", "dir/c"]));
    for (words, why) in [
        (&["a", "b", "bucket/key"][..], "ends in '/': bucket/key/"),
        (&["a", "b", "s3://bucket/key"], "s3://bucket/key/"),
        (&["dir", "a", "bucket/key", "-r"], "bucket/key/"),
        (&["a", "dir/a", "bucket/p/"], "two sources would both become s3://bucket/p/a"),
        (&["a", "a", "bucket/p/"], "two sources would both become"),
        (&["dir", "./dir/", "bucket/p/", "-r"], "two sources would both become"),
        (&["a", "..", "bucket/p/", "-r"], "no name"),
        (&["a", "b", "bucket/p/", "--include", "*"], "--recursive is missing"),
        (&["a", "b", "bucket/p/", "--expect-size", "1"], "of one source"),
        (&["a", "b", "bucket/p/", "--expect-sha256", &"0".repeat(64)], "of one source"),
        (&["dir", "bucket/p/", "-r", "--if-match", "x"], "--if-match"),
        (&["dir", "bucket/p/", "-r", "--exclude", "[z-a]"], "--exclude"),
        (&["dir", "bucket/p/", "-r", "--skip-unchanged", "--no-overwrite"], "--skip-unchanged"),
    ] {
        put(&server, &folder, words).exits(2).says(why);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_folder_needs_a_word_of_its_own() {
    let (server, folder) = (FaultServer::start(), folder(&["a", "dir/b"]));
    put(&server, &folder, &["dir", "bucket/p/"]).exits(3).says("is a folder").says("--recursive");
    assert!(server.requests().is_empty());
    put(&server, &folder, &["a", "dir", "bucket/p/"]).exits(8).says("is a folder").says("--recursive");
    assert_eq!(server.keys(), ["p/a"]);
}

#[test]
fn keys_are_relative_to_the_folder() {
    let names = ["deep/er/c", "sp ace/+%41/caf\u{e9} \u{1f680}.txt", "b", ".hidden"];
    let folder = folder(&names.map(|name| format!("dir/{name}")).each_ref().map(String::as_str));
    for (source, target, prefix) in [
        ("dir", "bucket/p", "p/"),
        ("dir/", "bucket/p/", "p/"),
        ("./dir", "bucket", ""),
        ("dir", "bucket/p//", "p//"),
        ("dir", "bucket//", "/"),
        ("dir/../dir", "bucket/p/q", "p/q/"),
    ] {
        let server = FaultServer::start();
        put(&server, &folder, &["--recursive", source, target]).exits(0);
        let mut expected = names.map(|name| format!("{prefix}{name}"));
        expected.sort();
        assert_eq!(server.keys(), expected, "{source} {target}");
        let object = server.object(&format!("{prefix}deep/er/c")).unwrap();
        assert_eq!(object.bytes.unwrap(), "dir/deep/er/c");
    }
}

#[test]
fn among_several_sources_a_folders_own_name_comes_first() {
    let (server, folder) = (FaultServer::start(), folder(&["a", "one/x", "two/deep/x", "two/y"]));
    put(&server, &folder, &["-r", "a", "one", "two/", "bucket/p/"]).exits(0).says("files: 4 uploaded");
    assert_eq!(server.keys(), ["p/a", "p/one/x", "p/two/deep/x", "p/two/y"]);
    // A file alone is a file, also where folders were allowed.
    let server = FaultServer::start();
    put(&server, &folder, &["-r", "a", "bucket/p"]).exits(0);
    put(&server, &folder, &["-r", "a", "bucket/q/"]).exits(0);
    assert_eq!(server.keys(), ["p", "q/a"]);
}

#[test]
fn the_last_rule_that_matches_decides() {
    let folder = folder(&["d/a.js", "d/b.css", "d/sub/c.js", "d/sub/d.css", "d/build/e.js", "d/src/build"]);
    for (rules, expected) in [
        (&["--exclude", "*", "--include", "*.js"][..], &["a.js", "build/e.js", "sub/c.js"][..]),
        (&["--include", "*.js", "--exclude", "*"], &[]),
        (&["--exclude", "*.css"], &["a.js", "build/e.js", "src/build", "sub/c.js"]),
        (&["--exclude", "*", "--include", "sub/", "--exclude", "*.css"], &["sub/c.js"]),
        (&["--exclude", "/build/"], &["a.js", "b.css", "src/build", "sub/c.js", "sub/d.css"]),
        (&["--exclude=*.js", "--exclude=*.css", "--include=a.*"], &["a.js", "src/build"]),
        (&["--include", "*.js"], &["a.js", "b.css", "build/e.js", "src/build", "sub/c.js", "sub/d.css"]),
    ] {
        let server = FaultServer::start();
        put(&server, &folder, &[&["-r", "d", "bucket"], rules].concat()).exits(0);
        assert_eq!(server.keys(), expected, "{rules:?}");
    }
}

#[test]
fn links_are_followed_and_a_loop_is_reported() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a", "elsewhere/b"]));
    let at = |name: &str| folder.path().join(name);
    symlink(at("elsewhere/b"), at("d/file")).unwrap();
    symlink(at("elsewhere"), at("d/folder")).unwrap();
    put(&server, &folder, &["-r", "d", "bucket"]).exits(0);
    assert_eq!(server.keys(), ["a", "file", "folder/b"]);

    symlink(at("d"), at("d/loop")).unwrap();
    let server = FaultServer::start();
    let ran = put(&server, &folder, &["-r", "d", "bucket", "--json"]).exits(8).says("d/loop");
    assert_eq!(server.keys(), ["a", "file", "folder/b"]);
    let failed = statuses(&ran).into_iter().filter(|(_, status)| status == "failed").collect::<Vec<_>>();
    assert_eq!(failed, [("d/loop".to_owned(), "failed".to_owned())]);
    for rule in ["loop", "/loop/", "loop/"] {
        put(&server, &folder, &["-r", "d", "bucket", "--exclude", rule]).exits(0);
    }
}

#[test]
fn what_cannot_be_read_fails_alone() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a", "d/z", "unread"]));
    symlink("nowhere", folder.path().join("d/dangling")).unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"d/not-\xff-utf8"));
    std::fs::write(odd, "x").unwrap();
    let unread = folder.path().join("unread");
    std::fs::set_permissions(&unread, std::fs::Permissions::from_mode(0o000)).unwrap();
    symlink(&unread, folder.path().join("d/unread")).unwrap();
    let root = std::fs::File::open(&unread).is_ok();
    let ran = put(&server, &folder, &["-r", "d", "bucket", "--json"]).exits(8);
    let ran = ran.says("s3chunk: cannot open d/dangling: No such file or directory (os error 2)\n");
    let ran = ran.says("s3chunk: cannot upload d/not-\u{fffd}-utf8: its name is no UTF-8");
    // Whom no permission stops reads it all the same.
    let (failed, keys) = if root { (2, &["a", "unread", "z"][..]) } else { (3, &["a", "z"][..]) };
    assert_eq!(server.keys(), keys);
    let records = records(&ran);
    assert_eq!(records.iter().filter(|record| record["status"] == "failed").count(), failed);
    assert_eq!(records.len(), failed + keys.len());
    let ran = ran.says(&format!("{failed} failed"));
    // None is done that was not found.
    for line in ran.stderr.lines().filter(|line| line.contains(" files: ")) {
        let numbers: Vec<u32> = line.split([' ', '+']).filter_map(|word| word.parse().ok()).collect();
        assert!(numbers[0] <= numbers[1], "{line}");
    }
}

#[test]
fn what_is_no_file_is_skipped_with_a_word() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a"]));
    let made = Command::new("mkfifo").arg(folder.path().join("d/pipe")).status().unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("d/socket")).unwrap();
    let ran = put(&server, &folder, &["-r", "d", "bucket"]).exits(0);
    let ran = ran.says("skipping d/pipe, which is no regular file").says("skipping d/socket");
    ran.says("1 uploaded").says("2 skipped");
    assert_eq!(server.keys(), ["a"]);
    let ran = put(&server, &folder, &["-r", "d", "bucket", "--exclude", "/pipe", "--exclude", "socket"]);
    assert!(ran.exit == 0 && !ran.stderr.contains("skip"), "{ran}");
    // Who names one means it.
    put(&server, &folder, &["d/a", "d/pipe", "bucket/q/"]).exits(8).says("d/pipe is not a regular file");
    put(&server, &folder, &["d/pipe", "bucket/q"]).exits(3).says("is not a regular file");
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let (server, folder) = (FaultServer::start(), folder(&["a", "b", "c"]));
    let ran = put(&server, &folder, &["a", "missing", "c", "bucket/p/", "--json"]).exits(8);
    assert_eq!(server.keys(), ["p/a", "p/c"]);
    let records = records(&ran);
    let statuses: Vec<_> = records.iter().map(|record| record["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["uploaded", "uploaded", "failed"]);
    assert_eq!((&records[2]["key"], &records[2]["error"]["exit"]), (&"p/missing".into(), &3.into()));
    ran.says("files: 2 uploaded, 2 B; 1 failed");

    let server = FaultServer::start();
    server.on(Op::PutObject).key("b").answer(403, "AccessDenied");
    let ran = put(&server, &folder, &["-r", ".", "bucket", "--json"]).exits(8).says("AccessDenied");
    assert_eq!(server.keys(), ["a", "c"]);
    assert_eq!(ran.stderr.matches("s3chunk: ").count(), 1, "{ran}");
    assert!(ran.error().starts_with("s3chunk: ./b: cannot put the object: AccessDenied"), "{ran}");
    // Where nothing at all came of it, it is said why.
    put(&server, &folder, &["-r", "b", "bucket"]).exits(4);
    put(&server, &folder, &["-r", "missing", "bucket/p/"]).exits(3);
}

#[test]
fn the_first_failure_stops_the_rest_where_that_is_wished() {
    let names: Vec<_> = (100..200).map(|number| format!("d/{number}")).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let server = FaultServer::start();
    server.on(Op::PutObject).key("101").answer(403, "AccessDenied");
    let words = ["-r", "d", "bucket", "--fail-fast", "--concurrency", "1", "--json"];
    let ran = put(&server, &folder, &words).exits(8).says("the rest left off");
    assert_eq!((server.keys(), server.count(Op::PutObject)), (vec!["100".to_owned()], 2));
    assert_eq!(records(&ran).len(), 2);
    let server = FaultServer::start();
    server.on(Op::PutObject).key("150").answer(403, "AccessDenied");
    put(&server, &folder, &["-r", "d", "bucket", "--fail-fast"]).exits(8);
    assert!(server.count(Op::PutObject) < 100);
}

#[test]
fn what_would_fail_for_each_is_not_tried_for_each() {
    let names: Vec<_> = (100..200).map(|number| format!("d/{number}")).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let server = FaultServer::start();
    put(&server, &folder, &["-r", "d", "missing-bucket"]).exits(5).says("NoSuchBucket");
    assert!(data_requests(&server) < 20, "{}", data_requests(&server));
    // Whatever else failed before.
    put(&server, &folder, &["-r", "missing", "d", "missing-bucket/"]).exits(5).says("NoSuchBucket");
    put(&server, &folder, &["-r", "d", "missing-bucket", "--skip-unchanged"]).exits(5);

    let server = FaultServer::start();
    let mut command = command(&server, &folder, &["-r", "d", "bucket"]);
    run(command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY")).exits(4);
    assert!(server.requests().is_empty());
}

#[test]
fn a_signal_among_many_leaves_nothing() {
    for (name, exit) in [("INT", 130), ("TERM", 143)] {
        let folder = folder(&["d/a", "d/b", "d/c"]);
        write(&folder, "d/large", &bytes(3 * MIB5));
        let server = FaultServer::start();
        server.on(Op::PutObject).key("b").hold();
        server.on(Op::UploadPart).hold();
        let child = start(&mut command(&server, &folder, &["-r", "d", "bucket", "--json"]));
        server.wait_for_held(4);
        server.wait_for_end_of(Op::PutObject, 2);
        signal(&child, name);
        let ran = Ran::from(child.wait_with_output().unwrap()).exits(exit);
        assert!(server.uploads().is_empty(), "{ran}");
        assert_eq!(server.keys(), ["a", "c"]);
        let ran = ran.says("files: 2 uploaded, 6 B; the rest left off");
        assert_eq!(records(&ran).len(), 2, "{ran}");
    }
}

#[test]
fn a_signal_while_files_are_compared_is_no_failure_of_theirs() {
    for recursive in [true, false] {
        let (server, folder) = (FaultServer::start(), folder(&["d/a", "d/b"]));
        server.on(Op::HeadObject).hold();
        let words = match recursive {
            true => &["-r", "d", "bucket", "--skip-unchanged", "--json"][..],
            false => &["d/a", "bucket/a", "--skip-unchanged"],
        };
        let child = start(&mut command(&server, &folder, words));
        server.wait_for_held(if recursive { 2 } else { 1 });
        signal(&child, "INT");
        let ran = Ran::from(child.wait_with_output().unwrap()).exits(130);
        assert_eq!(ran.stdout, "", "{ran}");
        assert_eq!(data_requests(&server), 0);
        ran.says(if recursive { "the rest left off" } else { "interrupted" });
    }
}

#[test]
fn never_more_requests_than_asked_for_carry_data() {
    let folder = folder(&["d/0"]);
    for number in 0..12 {
        write(&folder, &format!("d/{number:02}"), &bytes(number * 1000));
    }
    write(&folder, "d/05-large", &bytes(2 * MIB5 + 1));
    write(&folder, "d/07-large", &bytes(MIB5 + 1));
    for concurrency in ["1", "3"] {
        let server = FaultServer::start();
        server.on(Op::PutObject).key("03").nth(1).answer(503, "SlowDown");
        server.on(Op::UploadPart).part(2).first(2).answer(503, "SlowDown");
        put(&server, &folder, &["-r", "d", "bucket", "--concurrency", concurrency]).exits(0);
        assert_eq!(server.keys().len(), 15);
        assert!(server.object("05-large").unwrap().bytes.unwrap() == bytes(2 * MIB5 + 1));
        assert!(server.data_peak() <= concurrency.parse().unwrap(), "{} at once", server.data_peak());
    }
}

#[test]
fn as_many_small_files_at_once_as_asked_for() {
    let names: Vec<_> = (100..130).map(|number| format!("d/{number}")).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let server = FaultServer::start();
    server.on(Op::PutObject).first(5).hold();
    let child = start(&mut command(&server, &folder, &["-r", "d", "bucket", "--concurrency", "5"]));
    server.wait_for_held(5);
    assert_eq!(server.data_peak(), 5);
    server.release();
    Ran::from(child.wait_with_output().unwrap()).exits(0);
    assert_eq!((server.data_peak(), server.keys().len()), (5, 30));
}

#[test]
fn a_window_that_sizes_itself_has_its_limit() {
    let names: Vec<_> = (1000..1150).map(|number| format!("d/{number}")).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    write(&folder, "d/large", &bytes(5 * MIB5));
    let server = FaultServer::start();
    put(&server, &folder, &["-r", "d", "bucket", "--concurrency", "auto"]).exits(0);
    assert!(server.data_peak() <= 64, "{} at once", server.data_peak());
    assert_eq!(server.keys().len(), 151);
}

#[test]
fn what_is_there_unchanged_is_not_sent_again() {
    for (checksums, etag) in [(Checksums::Known, EtagKind::Md5), (Checksums::Ignored, EtagKind::Md5)] {
        let folder = folder(&["d/same", "d/longer", "d/other", "d/absent"]);
        write(&folder, "d/large", &bytes(2 * MIB5 + 1));
        let server = FaultServer::start_with(Personality { checksums, etag, ..Personality::default() });
        put(&server, &folder, &["-r", "d", "bucket/p"]).exits(0);
        let sent = data_requests(&server);
        let words = ["-r", "d", "bucket/p", "--skip-unchanged", "--json"];
        let ran = put(&server, &folder, &words).exits(0).says("5 unchanged");
        assert!(statuses(&ran).iter().all(|(_, status)| status == "unchanged"), "{ran}");
        assert_eq!(data_requests(&server), sent);

        write(&folder, "d/longer", b"longer than it was");
        write(&folder, "d/other", b"d/Other");
        std::fs::rename(folder.path().join("d/absent"), folder.path().join("d/new")).unwrap();
        let dry = [&words[..], &["--dry-run"]].concat();
        let before = server.requests().len();
        let ran = put(&server, &folder, &dry).exits(0).says("3 to upload; 2 unchanged");
        let why: Vec<_> = records(&ran).iter().map(|record| record["why"].clone()).collect();
        let expected: [Value; 5] = [
            Value::Null,
            "the object has another size".into(),
            "there is no object yet".into(),
            "the object has other bytes".into(),
            Value::Null,
        ];
        assert_eq!(why, expected);
        assert!(server.requests()[before..].iter().all(|seen| seen.method == "HEAD"));

        let ran = put(&server, &folder, &words).exits(0).says("3 uploaded").says("2 unchanged");
        let uploaded: Vec<_> =
            statuses(&ran).into_iter().filter(|(_, status)| status == "uploaded").collect();
        let names: Vec<_> = uploaded.iter().map(|(source, _)| source.as_str()).collect();
        assert_eq!(names, ["d/longer", "d/new", "d/other"]);
        assert_eq!(data_requests(&server), sent + 3);
        assert_eq!(server.object("p/other").unwrap().bytes.unwrap(), "d/Other");
    }
}

#[test]
fn what_cannot_be_told_unchanged_is_sent() {
    let folder = folder(&["d/a"]);
    let opaque =
        Personality { checksums: Checksums::Ignored, etag: EtagKind::Opaque, ..Personality::default() };
    let server = FaultServer::start_with(opaque);
    put(&server, &folder, &["-r", "d", "bucket"]).exits(0);
    let words = ["-r", "d", "bucket", "--skip-unchanged"];
    let ran = put(&server, &folder, &[&words[..], &["--dry-run"]].concat()).exits(0);
    assert!(ran.stdout.contains("the store does not tell"), "{ran}");
    put(&server, &folder, &words).exits(0).says("1 uploaded");
    assert_eq!(server.count(Op::PutObject), 2);
    // Who may not look may still be allowed to write; but it was asked for.
    server.on(Op::HeadObject).raw(403, "");
    put(&server, &folder, &words).exits(4);
}

#[test]
fn a_dry_run_sends_nothing_at_all() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a", "d/b"]));
    write(&folder, "d/large", &bytes(2 * MIB5 + 1));
    let ran = put(&server, &folder, &["-r", "d", "bucket/p", "--dry-run", "--json"]).exits(0);
    let ran = ran.says("files: 3 to upload");
    let records = records(&ran);
    assert!(records.iter().all(|record| record["status"] == "dry-run"));
    assert_eq!((&records[2]["key"], &records[2]["parts"]), (&"p/large".into(), &3.into()));
    let ran = put(&server, &folder, &["-r", "d", "bucket/p", "--dry-run"]).exits(0);
    assert_eq!(ran.stdout.matches("would upload").count(), 3, "{ran}");
    put(&server, &folder, &["d/a", "missing", "bucket/p/", "--dry-run"]).exits(8);
    assert!(server.requests().is_empty());
}

#[test]
fn the_summary_is_on_standard_error_unless_silence_is_asked_for() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a", "d/b"]));
    let ran = put(&server, &folder, &["-r", "d", "bucket", "--progress", "none"]).exits(0);
    assert_eq!(ran.stderr, "files: 2 uploaded, 6 B\n");
    assert_eq!(ran.stdout.lines().count(), 2, "{ran}");
    let ran = put(&server, &folder, &["-r", "d", "bucket", "--quiet"]).exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = put(&server, &folder, &["-r", "d", "missing", "bucket/p/", "--quiet"]).exits(8);
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{ran}");
}

#[test]
fn an_empty_folder_is_no_failure() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a"]));
    std::fs::create_dir_all(folder.path().join("empty/er")).unwrap();
    put(&server, &folder, &["-r", "empty", "bucket/p"]).exits(0).says("files: 0 uploaded");
    put(&server, &folder, &["-r", "d", "bucket/p", "--exclude", "*"]).exits(0);
    assert!(server.requests().is_empty());
}

#[test]
fn the_wishes_for_one_file_hold_for_each() {
    let (server, folder) = (FaultServer::start(), folder(&["d/a", "d/bb"]));
    put(&server, &folder, &["-r", "d", "bucket", "--min-size", "4"]).exits(8).says("at least 4");
    assert_eq!(server.keys(), ["bb"]);
    put(&server, &folder, &["-r", "d", "bucket", "--no-overwrite", "--json"]).exits(8);
    assert_eq!(server.keys(), ["a", "bb"]);
    put(&server, &folder, &["-r", "d", "bucket", "--verify", "--cache-control", "no-cache"]).exits(0);
    assert_eq!(server.object("bb").unwrap().header("cache-control"), Some("no-cache"));
}
