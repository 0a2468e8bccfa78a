//! What a person sees of streams and of many files.

use std::io::Write;
use std::process::Stdio;

use crate::support::command::{Ran, run, s3chunk_at, start};
use crate::support::fault::{FaultServer, Op};
use crate::support::{MIB5, bytes};

/// The lines of standard error that tell how far many files are.
fn progress(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.contains(" files: ")).collect()
}

#[test]
fn many_files_are_shown_as_one_sum() {
    let (server, folder) = (FaultServer::start(), tempfile::tempdir().unwrap());
    for name in ["a", "b", "c"] {
        std::fs::write(folder.path().join(name), bytes(1024)).unwrap();
    }
    let mut command = s3chunk_at(&server);
    command.args(["put", "-r"]).arg(folder.path()).args(["bucket/p", "--skip-unchanged"]);
    let ran = run(&mut command).exits(0);
    let lines = progress(&ran);
    assert!(!lines.is_empty() && lines.len() <= 3, "{ran}");
    assert!(lines.last().unwrap().contains(" of 3 files: 3.0 KiB of 3.0 KiB, "), "{ran}");
    // What was there is done too.
    std::fs::write(folder.path().join("c"), bytes(2048)).unwrap();
    let ran = run(&mut command).exits(0);
    assert!(progress(&ran).last().unwrap().contains(" of 3 files: 4.0 KiB of 4.0 KiB, "), "{ran}");
    for quiet in [&["--progress", "none"][..], &["--quiet"]] {
        assert!(progress(&run(command.args(quiet)).exits(0)).is_empty());
    }
}

#[test]
fn a_stream_has_no_end_that_could_be_foretold() {
    let server = FaultServer::start();
    server.on(Op::UploadPart).part(2).nth(1).answer(503, "SlowDown");
    for (options, said) in [(&["-v"][..], "stored part 2, 5.0 MiB"), (&["--expect-size", "10MiB"], "100 %")] {
        let mut command = s3chunk_at(&server);
        command.args(["put", "-", "bucket/key", "--chunk-size", "5MiB"]).args(options);
        let mut child = start(command.stdin(Stdio::piped()));
        child.stdin.take().unwrap().write_all(&bytes(2 * MIB5)).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap()).exits(0).says(said);
        assert_eq!(ran.stderr.contains('%'), said == "100 %", "{ran}");
        assert!(ran.stdout.starts_with("uploaded - to s3://bucket/key: 10.0 MiB in 2 parts"), "{ran}");
    }
}

#[test]
fn a_name_cannot_pass_for_a_line_of_ours() {
    let (server, folder) = (FaultServer::start(), tempfile::tempdir().unwrap());
    let name = "a\nuploaded forged \u{1b}[31m";
    std::fs::write(folder.path().join(name), "x").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("b\ns3chunk: forged")).unwrap();
    for options in [&[][..], &["--skip-unchanged"], &["--dry-run"]] {
        let mut command = s3chunk_at(&server);
        command.current_dir(folder.path()).args(["put", "-r", ".", "bucket"]).args(options);
        let ran = run(&mut command).exits(8);
        assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
        assert!(!ran.stderr.lines().any(|line| line.starts_with("s3chunk: forged")), "{ran}");
        assert!(!ran.to_string().contains('\u{1b}'), "{ran}");
    }
    assert_eq!(server.keys(), [name]);
}
