//! What a command prints, as a source: an object only if the command ends well.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::support::command::{Ran, run, s3chunk_at, signal, start};
use crate::support::fault::{FaultServer, Op};
use crate::support::{MIB5, bytes};

/// `s3chunk put bucket/key --exec -- sh -c SCRIPT`, in chunks of 5 MiB.
fn command(server: &FaultServer, script: &str, options: &[&str]) -> Command {
    let mut command = s3chunk_at(server);
    command.args(["put", "bucket/key", "--json", "--chunk-size", "5MiB", "--exec"]).args(options);
    command.args(["--", "sh", "-c", script]).env("PATH", std::env::var_os("PATH").unwrap());
    command
}

/// Whatever comes of a run, no upload is left, and only success makes an object.
fn leaves_nothing(server: &FaultServer, ran: Ran) -> Ran {
    assert!(server.uploads().is_empty(), "an upload is left: {ran}");
    assert_eq!(server.object("key").is_some(), ran.exit == 0, "{ran}");
    ran
}

fn exec(server: &FaultServer, script: &str, options: &[&str]) -> Ran {
    leaves_nothing(server, run(&mut command(server, script, options)))
}

#[test]
fn what_a_command_prints_is_uploaded_when_it_ends_well() {
    for (script, size, parts) in [
        ("true", 0, 1),
        ("printf 'ten bytes.'", 10, 1),
        ("head -c 5242880 /dev/zero", MIB5, 1),
        ("head -c 5242881 /dev/zero", MIB5 + 1, 2),
        ("head -c 5242880 /dev/zero; head -c 7000000 /dev/zero", MIB5 + 7_000_000, 3),
    ] {
        let server = FaultServer::start();
        let record = exec(&server, script, &[]).exits(0).record();
        assert_eq!((&record["size"], &record["parts"]), (&size.into(), &parts.into()), "{script}");
        assert_eq!((&record["source"], &record["status"]), (&"sh".into(), &"uploaded".into()));
        assert_eq!(server.object("key").unwrap().len, size);
    }
}

#[test]
fn a_command_that_fails_makes_no_object() {
    for output in ["", "printf x;", "head -c 5242880 /dev/zero;", "head -c 12000000 /dev/zero;"] {
        for (end, why) in
            [("exit 7", "exit status: 7"), ("kill -9 $$", "signal: 9"), ("kill $$", "signal: 15")]
        {
            let server = FaultServer::start();
            let ran = exec(&server, &format!("{output} : a-password; {end}"), &[]).exits(3);
            assert!(ran.error().contains("sh failed: ") && ran.error().contains(why), "{ran}");
            assert!(!format!("{ran}").contains("a-password"), "{ran}");
            let record = ran.record();
            assert_eq!((&record["source"], &record["error"]["exit"]), (&"sh".into(), &3.into()));
            assert_eq!((server.count(Op::PutObject), server.count(Op::Complete)), (0, 0));
        }
    }
}

#[test]
fn a_command_that_closes_its_output_and_fails_later_makes_no_object() {
    for output in ["printf x", "head -c 5242881 /dev/zero"] {
        let server = FaultServer::start();
        exec(&server, &format!("{output}; exec >&-; exit 9"), &[]).exits(3).says("exit status: 9");
        assert_eq!((server.count(Op::PutObject), server.count(Op::Complete)), (0, 0));
    }
}

#[test]
fn a_program_that_is_not_there_is_named_and_nothing_is_sent() {
    let server = FaultServer::start();
    let mut command = s3chunk_at(&server);
    command.args(["put", "bucket/key", "--exec", "--", "no-such-program", "a-password"]);
    let ran = leaves_nothing(&server, run(&mut command)).exits(3).says("cannot run no-such-program");
    assert!(!ran.stderr.contains("a-password"), "{ran}");
    assert!(server.requests().is_empty());
}

#[test]
fn what_the_command_says_is_passed_on_and_it_may_read_our_input() {
    let server = FaultServer::start();
    exec(&server, "echo from the command >&2; printf x", &["--quiet"]).exits(0).says("from the command\n");
    let mut child = start(command(&server, "cat", &[]).stdin(Stdio::piped()));
    child.stdin.take().unwrap().write_all(b"by way of cat").unwrap();
    leaves_nothing(&server, child.wait_with_output().unwrap().into()).exits(0);
    assert_eq!(server.object("key").unwrap().bytes.unwrap(), "by way of cat");
}

/// Waits until nobody can write to our standard input any more, and says that it has lived to see it.
const LINGER: &str = "read line; echo survived >&2";

/// Runs a script that lingers at its end, lets somebody stop the run, and returns what was left of it and
/// whether the script outlived it.
fn lingering(server: &FaultServer, script: &str, options: &[&str], stop: impl FnOnce(&Child)) -> Ran {
    let mut child = start(command(server, &format!("{script} {LINGER}"), options).stdin(Stdio::piped()));
    stop(&child);
    let input = child.stdin.take();
    child.wait().unwrap();
    drop(input);
    let ran = leaves_nothing(server, child.wait_with_output().unwrap().into());
    assert!(!ran.stderr.contains("survived"), "{ran}");
    ran
}

#[test]
fn the_command_ends_with_us() {
    for (name, exit) in [("INT", 130), ("TERM", 143)] {
        // While it is about to print more, and after it has closed its output.
        for (closing, parts) in [("", 2), ("exec >&-;", 3)] {
            let server = FaultServer::start();
            let ran = lingering(&server, &format!("head -c 10500000 /dev/zero; {closing}"), &[], |child| {
                server.wait_for_end_of(Op::UploadPart, parts);
                signal(child, name);
            });
            ran.exits(exit).says("interrupted");
        }
    }
    let server = FaultServer::start();
    lingering(&server, "printf x;", &["--deadline", "1s"], |_| {}).exits(75).says("the deadline passed");
}

#[test]
fn a_signal_that_the_command_gets_too_is_no_failure_of_the_command() {
    let server = FaultServer::start();
    // As soon as there is a command, and to the one shortly before the other.
    for (name, exit) in [("INT", 130), ("TERM", 143)] {
        exec(&server, &format!("kill -{name} $PPID $$"), &[]).exits(exit);
    }
    assert_eq!(server.count(Op::PutObject), 0);
}

#[test]
fn a_command_without_end_ends_when_the_store_refuses() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).answer(403, "AccessDenied");
    let ran = exec(&server, "exec head -c 100000000000 /dev/zero", &[]).exits(4).says("AccessDenied");
    assert_eq!(ran.record()["error"]["code"], "AccessDenied");
    let server = FaultServer::start();
    exec(&server, "exec head -c 100000000000 /dev/zero", &["--expect-size", "6MiB"]).exits(3);
}

#[test]
fn the_other_wishes_hold_of_a_command_too() {
    let server = FaultServer::start();
    exec(&server, "printf abc", &["--min-size", "4"]).exits(3).says("at least 4");
    let sum = s3chunk::checksum::hex(&s3chunk::checksum::sha256(b"abc"));
    exec(&server, "printf abd", &["--expect-sha256", &sum]).exits(6);
    exec(&server, "printf abc", &["--expect-sha256", &sum, "--expect-size", "3", "--verify"]).exits(0);
}

#[test]
fn a_dry_run_starts_no_command() {
    let server = FaultServer::start();
    let ran = run(&mut command(&server, "echo started >&2", &["--dry-run"]));
    assert!(ran.exit == 0 && !ran.stderr.contains("started"), "{ran}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_retried_part_of_a_command_has_the_same_bytes() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(1).first(2).answer(503, "SlowDown");
    let folder = tempfile::tempdir().unwrap();
    let (path, all) = (folder.path().join("all"), bytes(2 * MIB5 + 5));
    std::fs::write(&path, &all).unwrap();
    exec(&server, &format!("cat '{}'", path.display()), &[]).exits(0);
    assert!(server.object("key").unwrap().bytes.unwrap() == all);
}

#[test]
fn what_cannot_be_meant_of_a_command_is_wrong_usage() {
    let server = FaultServer::start();
    for (words, why) in [
        (&["bucket/key", "--exec"][..], "needs a command behind --"),
        (&["bucket/key", "--exec", "--"], "needs a command behind --"),
        (&["file", "bucket/key", "--exec", "--", "true"], "the command is the source"),
        (&["-", "bucket/key", "--exec", "--", "true"], "the command is the source"),
        (&["bucket/dir/", "--exec", "--", "true"], "write the whole key"),
        (&["bucket/key", "--exec", "--resume", "--", "true"], "--resume is for files"),
        (&["bucket/key", "--exec", "-r", "--", "true"], "--recursive"),
    ] {
        run(s3chunk_at(&server).arg("put").args(words)).exits(2).says(why);
    }
    assert!(server.requests().is_empty());
}
