//! Many files in one run of `put`: one window for all their requests.

use std::ffi::OsString;
use std::path::PathBuf;

use bytesize::ByteSize;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc::Receiver;

use super::failure::{exit_of, store_error};
use super::files::{Found, find};
use super::put::put_file;
use super::receipt::Receipt;
use super::report::{Exit, Object};
use super::session::Session;
use crate::Target;
use crate::error::{Cause, Error};
use crate::store::Kind;

/// Files that are open at once, at the most: each takes a descriptor, and those that wait for an answer
/// to something small take no place in the window.
const OPEN: usize = 128;

/// How the files of a run ended.
#[derive(Default)]
struct Tally {
    uploaded: u64,
    bytes: u64,
    unchanged: u64,
    planned: u64,
    failed: u64,
    special: u64,
    /// Files that were stopped, or never begun.
    left_off: u64,
    /// The exit code of what failed first, or what made the rest hopeless.
    first: Option<Exit>,
    /// Whether what failed would fail for each file.
    hopeless: bool,
}

/// Uploads the files that `sources` name, and reports each and the whole.
pub(super) async fn put_all(session: &Session<'_>, sources: &[OsString], target: &Target) -> Exit {
    let files = &session.args.files;
    let found = match find(sources, target, files.recursive, files.rules(), session.screen.clone()) {
        Ok(found) => found,
        Err(usage) => return session.report.error(&usage.into(), None),
    };
    let tally = session.run(put_found(session, found, target)).await;
    session.screen.finish();
    session.report.note(&tally.line());
    session.signals.exit().unwrap_or_else(|| tally.exit())
}

/// Uploads files while they are found. One is begun when the window has a place that no other wants.
async fn put_found(session: &Session<'_>, mut found: Receiver<Found>, target: &Target) -> Tally {
    let mut tally = Tally::default();
    let mut running = FuturesUnordered::new();
    let mut more = true;
    while more || !running.is_empty() {
        let next = async {
            session.window.idle().await;
            found.recv().await
        };
        tokio::select! {
            // Those that were begun take their places before it is looked whether there are more.
            biased;
            Some((path, target, outcome)) = running.next() => tally.take(session, path, &target, outcome),
            next = next, if more && running.len() < OPEN => match next {
                None => more = false,
                Some(Found::File(path, target)) => {
                    running.push(async move {
                        let outcome = put_file(session, &path, target.clone()).await;
                        (path, target, outcome)
                    });
                }
                Some(Found::Failed(path, error)) => tally.take(session, path, target, Err(error)),
                Some(Found::Special(path)) => {
                    tally.special += 1;
                    let line = format!("skipping {}, which is no regular file", path.display());
                    session.screen.aside(|| session.report.note(&line));
                }
            },
            () = session.stop.cancelled(), if more => {}
        }
        if session.stop.is_cancelled() && more {
            (more, tally.left_off) = (false, tally.left_off + 1);
        }
    }
    tally
}

impl Tally {
    /// Counts a file, and reports it.
    fn take(
        &mut self,
        session: &Session<'_>,
        path: PathBuf,
        target: &Target,
        outcome: anyhow::Result<Receipt>,
    ) {
        session.screen.file_done();
        let error = match outcome {
            Ok(receipt) => {
                match receipt.status() {
                    "unchanged" => {
                        self.unchanged += 1;
                        session.screen.unchanged(receipt.size());
                    }
                    "dry-run" => self.planned += 1,
                    _ => {
                        self.uploaded += 1;
                        self.bytes += receipt.size();
                    }
                }
                session.screen.aside(|| session.report.receipt(&receipt));
                return;
            }
            Err(error) => error,
        };
        let left = error.downcast_ref::<Error>();
        if left.is_some_and(|error| matches!(error.cause, Cause::Interrupted) && error.left.is_none()) {
            self.left_off += 1;
            return;
        }
        self.failed += 1;
        let hopeless = store_error(&error)
            .is_some_and(|error| error.kind == Kind::NoCredentials || error.has_code("NoSuchBucket"));
        if hopeless && !self.hopeless {
            (self.hopeless, self.first) = (true, None);
        }
        self.first.get_or_insert(exit_of(&error));
        let source = path.display().to_string();
        // A step of an upload does not say of which.
        let error = if error.is::<Error>() { error.context(source.clone()) } else { error };
        session.screen.aside(|| session.failed(Object { source: &source, target }, error));
        if hopeless || session.args.files.fail_fast {
            session.stop.cancel();
        }
    }

    fn exit(&self) -> Exit {
        match self.first {
            None => Exit::Success,
            // There was one thing to do, or one reason why none could be done.
            Some(exit)
                if self.hopeless || self.failed == 1 && self.ended_well() == 0 && self.left_off == 0 =>
            {
                exit
            }
            Some(_) => Exit::SomeFailed,
        }
    }

    fn ended_well(&self) -> u64 {
        self.uploaded + self.unchanged + self.planned
    }

    fn line(&self) -> String {
        let counts = [
            (self.planned, "to upload"),
            (self.unchanged, "unchanged"),
            (self.failed, "failed"),
            (self.special, "skipped"),
        ];
        let mut parts = Vec::new();
        if self.planned == 0 {
            parts.push(format!("{} uploaded, {}", self.uploaded, ByteSize(self.bytes)));
        }
        parts.extend(
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
        );
        if self.left_off > 0 {
            parts.push("the rest left off".to_owned());
        }
        format!("files: {}", parts.join("; "))
    }
}
