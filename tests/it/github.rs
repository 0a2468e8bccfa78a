//! What GitHub Actions is told of a run.

use std::path::Path;
use std::process::Command;

use crate::support::command::{Ran, run, s3chunk, s3chunk_at};
use crate::support::fault::{FaultServer, Op};
use crate::support::{MIB5, file};

const HEAD: &str = "| Source | Object | Size | Parts | Time | Status |";

/// `s3chunk put FILE TARGET`, as a step of GitHub Actions whose summary is this file.
fn step(server: &FaultServer, summary: &Path, file: &Path, target: &str) -> Command {
    let mut command = s3chunk_at(server);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", summary);
    command.args(["put", "--json", "--chunk-size", "5MiB"]).arg(file).arg(target);
    command
}

/// The annotations on standard error.
fn annotations(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.starts_with("::")).collect()
}

fn summary() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.md");
    (folder, path)
}

#[test]
fn an_error_is_an_annotation_and_standard_output_stays_json() {
    let (server, file, (_folder, summary)) = (FaultServer::start(), file(1), summary());
    server.on(Op::PutObject).answer(403, "AccessDenied");
    let ran = run(&mut step(&server, &summary, &file.path, "bucket/100%")).exits(4);
    assert_eq!(ran.record()["status"], "failed");
    let said = ran.error().strip_prefix("s3chunk: ").unwrap();
    let expected = format!("::error title=s3chunk::{}%0Athe credentials need ", said.replace('%', "%25"));
    let [annotation] = annotations(&ran)[..] else { panic!("{ran}") };
    assert!(annotation.starts_with(&expected), "{ran}");
}

#[test]
fn a_text_from_outside_is_no_command_of_its_own() {
    let (server, file, (_folder, summary)) = (FaultServer::start(), file(1), summary());
    let odd = file.path.with_file_name("a\n::add-mask::x%0A::stop-commands::y");
    let ran = run(&mut step(&server, &summary, &odd, "bucket/key")).exits(3);
    let [annotation] = annotations(&ran)[..] else { panic!("{ran}") };
    assert!(annotation.contains("a\\n::add-mask::x%250A::stop-commands::y"), "{ran}");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert_eq!(summary.lines().count(), 3, "{summary}");
}

#[test]
fn wrong_usage_is_an_annotation_too_and_elsewhere_there_is_none() {
    let wrong =
        |actions: &str| run(s3chunk().env("GITHUB_ACTIONS", actions).args(["put", "--nonsense"])).exits(2);
    let ran = wrong("true");
    let [annotation] = annotations(&ran)[..] else { panic!("{ran}") };
    assert!(annotation.starts_with("::error title=s3chunk::unexpected argument '--nonsense' found"), "{ran}");
    for elsewhere in ["", "false"] {
        assert!(annotations(&wrong(elsewhere)).is_empty());
    }
}

#[test]
fn objects_and_failures_are_rows_of_one_table() {
    let (server, (_folder, summary)) = (FaultServer::start(), summary());
    std::fs::write(&summary, "A title of the step's own").unwrap();
    let (small, large) = (file(10), file(2 * MIB5));
    run(&mut step(&server, &summary, &small.path, "bucket/a|b_`c`")).exits(0);
    let ran = run(&mut step(&server, &summary, &large.path, "bucket/large")).exits(0);
    assert!(annotations(&ran).is_empty(), "{ran}");
    run(&mut step(&server, &summary, &small.path, "absent/key")).exits(5);

    let text = std::fs::read_to_string(&summary).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["A title of the step's own", "", HEAD], "{text}");
    let rows = &lines[4..];
    assert_eq!((rows.len(), text.matches(HEAD).count()), (3, 1), "{text}");
    assert!(rows[0].contains("| s3://bucket/a\\|b\\_\\`c\\` | 10 B | 1 | "), "{text}");
    assert!(
        rows[1].contains("| s3://bucket/large | 10.0 MiB | 2 | ") && rows[1].ends_with(" s | uploaded |"),
        "{text}"
    );
    assert!(
        rows[2].contains("| s3://absent/key |  |  |  | failed: ") && rows[2].contains("NoSuchBucket"),
        "{text}"
    );
    let personality = server.personality();
    assert!(!text.contains(&personality.secret_key) && !text.contains(&personality.access_key));
}

#[test]
fn a_table_begins_anew_after_a_text_of_others() {
    let (server, file, (_folder, summary)) = (FaultServer::start(), file(1), summary());
    run(&mut step(&server, &summary, &file.path, "bucket/a")).exits(0);
    let before = std::fs::read_to_string(&summary).unwrap();
    assert!(before.starts_with(HEAD), "{before}");
    std::fs::write(&summary, format!("{before}\nAnother program's word\n")).unwrap();
    run(&mut step(&server, &summary, &file.path, "bucket/b")).exits(0);
    let text = std::fs::read_to_string(&summary).unwrap();
    assert_eq!(text.matches(HEAD).count(), 2, "{text}");
    assert!(text.contains(&format!("Another program's word\n\n\n{HEAD}\n")), "{text}");
}

#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    let (server, file, (folder, _)) = (FaultServer::start(), file(1), summary());
    let ran = run(&mut step(&server, folder.path(), &file.path, "bucket/key")).exits(0);
    let ran = ran.says("warning: cannot write the summary");
    assert_eq!((ran.record()["status"].as_str(), ran.error()), (Some("uploaded"), ""));
    assert!(server.object("key").is_some());
}
