//! Where results and errors are printed, and the exit codes.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use serde::Serialize;

use super::args::{OutputArgs, StoreArgs};
use super::failure::{exit_of, hint, left, store_error};
use super::github::{GitHub, Row};
use super::receipt::Receipt;
use super::text::printable;
use crate::Target;
use crate::error::{Fate, Left};
use crate::store::Upload;

/// Exit codes, as users rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Success = 0,
    Failed = 1,
    Usage = 2,
    Source = 3,
    Denied = 4,
    NotFound = 5,
    Checksum = 6,
    Precondition = 7,
    SomeFailed = 8,
    Temporary = 75,
    HungUp = 129,
    Interrupted = 130,
    Terminated = 143,
}

/// What an error's line begins with: in bold red on a terminal that has colours, unless `NO_COLOR` is set.
/// `anstream` takes the colour out elsewhere, by the rules that clap goes by.
struct Prefix;

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STYLE: Style = AnsiColor::Red.on_default().bold();
        write!(f, "{STYLE}s3chunk:{STYLE:#} ")
    }
}

/// A command line that cannot be meant.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Says what clap has to say, help included.
pub(super) fn usage(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Success;
    }
    // One line of ours for the WHAT and the WHY; then clap's own advice.
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let _ = write!(anstream::stderr(), "{Prefix}{text}");
    GitHub::detect().annotate(text);
    Exit::Usage
}

/// Says that standard output does not take a result.
pub(super) fn unwritten() -> Exit {
    let text = "cannot write the result to standard output";
    let _ = writeln!(anstream::stderr(), "{Prefix}{text}");
    GitHub::detect().annotate(text);
    Exit::Failed
}

/// Where results and errors go.
pub(super) struct Report {
    output: OutputArgs,
    github: GitHub,
    unwritten: AtomicBool,
}

/// What was to be uploaded, and where.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) source: &'a str,
    pub(super) target: &'a Target,
}

#[derive(Serialize)]
struct FailureRecord<'a> {
    source: &'a str,
    bucket: &'a str,
    key: &'a str,
    status: &'static str,
    error: ErrorRecord<'a>,
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    code: &'a str,
    message: String,
    request_id: Option<&'a str>,
    exit: u8,
}

impl Report {
    pub(super) fn new(output: &OutputArgs) -> Self {
        Report { output: output.clone(), github: GitHub::detect(), unwritten: AtomicBool::new(false) }
    }

    /// The options of output.
    pub(super) fn output(&self) -> &OutputArgs {
        &self.output
    }

    /// Prints a receipt on standard output.
    pub(super) fn receipt(&self, receipt: &Receipt) -> Exit {
        self.result(receipt, || receipt.line());
        self.github.add(&receipt.row());
        Exit::Success
    }

    /// Prints a result on standard output: as JSON where that is asked for, else in a line.
    pub(super) fn result(&self, record: &impl Serialize, line: impl FnOnce() -> String) {
        if self.output.json {
            self.record(record);
        } else {
            self.line(&line());
        }
    }

    /// Prints a line on standard output, unless JSON or silence is asked for.
    pub(super) fn line(&self, line: &str) {
        if !self.output.quiet {
            self.insist(line);
        }
    }

    /// Prints a line on standard output though silence may be asked for, unless JSON is.
    pub(super) fn insist(&self, line: &str) {
        if !self.output.json {
            self.print(&line.lines().map(printable).collect::<Vec<_>>().join("\n"));
        }
    }

    /// Says on standard error what is neither a result nor an error.
    pub(super) fn note(&self, line: &str) {
        if !self.output.quiet {
            let _ = writeln!(io::stderr(), "{}", printable(line));
        }
    }

    /// Prints a JSON record on standard output, where that is asked for.
    pub(super) fn record(&self, record: &impl Serialize) {
        if !self.output.json {
            return;
        }
        match serde_json::to_string(record) {
            Ok(text) => self.print(&text),
            Err(_) => self.unwritten.store(true, Relaxed),
        }
    }

    /// Prints an error, with what to do about it, and where asked a record of it on standard output.
    pub(super) fn failure(&self, object: Object<'_>, error: &anyhow::Error, exit: Option<Exit>) -> Exit {
        let exit = exit.unwrap_or_else(|| exit_of(error));
        self.say(error);
        self.github.add(&Row {
            source: object.source,
            object: format!("s3://{}/{}", object.target.bucket(), object.target.key()),
            size: String::new(),
            parts: String::new(),
            time: String::new(),
            status: &format!("failed: {error:#}"),
        });
        if self.output.json {
            let store = store_error(error);
            let message = format!("{error:#}");
            self.record(&FailureRecord {
                source: object.source,
                bucket: object.target.bucket(),
                key: object.target.key(),
                status: "failed",
                error: ErrorRecord {
                    code: store.and_then(|e| e.code.as_deref()).unwrap_or_else(|| exit.code()),
                    message,
                    request_id: store.and_then(|e| e.request_id.as_deref()),
                    exit: exit as u8,
                },
            });
        }
        exit
    }

    /// Prints an error that has no object.
    pub(super) fn error(&self, error: &anyhow::Error, exit: Option<Exit>) -> Exit {
        self.say(error);
        exit.unwrap_or_else(|| exit_of(error))
    }

    /// Says of the upload that a failure has left how to go on with it, where it was kept, and how to drop
    /// it: `words` are the command line that failed.
    pub(super) fn ways_on(&self, error: &anyhow::Error, words: &[OsString], store: &StoreArgs) {
        let Some(Left { upload, fate, .. }) = left(error) else { return };
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let Upload { target, upload_id } = upload;
        let mut drop: Vec<String> = words.first().cloned().into_iter().collect();
        drop.extend(["abort".into(), target.to_string(), "--upload-id".into(), upload_id.clone()]);
        drop.extend(store.words());
        if matches!(fate, Fate::Kept) {
            let _ =
                writeln!(io::stderr(), "  the upload {upload_id} is kept, with the parts that are stored");
            let _ = writeln!(io::stderr(), "  to continue: {}", quoted(words));
        }
        let _ = writeln!(io::stderr(), "  to drop it:  {}", quoted(drop));
    }

    /// Makes sure that what was printed is written, and returns the exit code for that.
    pub(super) fn flush(&self, exit: Exit) -> Exit {
        let written = io::stdout().flush().is_ok_and(|()| !self.unwritten.load(Relaxed));
        if written || exit != Exit::Success {
            return exit;
        }
        unwritten()
    }

    fn say(&self, error: &anyhow::Error) {
        let mut stderr = anstream::stderr().lock();
        let text = format!("{error:#}");
        let _ = writeln!(stderr, "{Prefix}{}", printable(&text));
        let hint = hint(error);
        if let Some(hint) = &hint {
            let _ = writeln!(stderr, "  {hint}");
        }
        if let Some(Left { upload, fate: Fate::Stuck(cause), held }) = left(error) {
            let why = cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
            let id = &upload.upload_id;
            let held = held.map_or("its parts are still stored".to_owned(), |held| {
                format!("still holds {} parts, {}", held.parts, ByteSize(held.bytes))
            });
            let line = format!("the upload {id} could not be dropped, and {held}{why}");
            let _ = writeln!(stderr, "  {}", printable(&line));
        }
        drop(stderr);
        let lines: Vec<String> = std::iter::once(printable(&text)).chain(hint).collect();
        self.github.annotate(&lines.join("\n"));
    }

    fn print(&self, line: &str) {
        match writeln!(io::stdout().lock(), "{line}") {
            // A reader that has left wants no more; the upload is none the worse for it.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.unwritten.store(true, Relaxed),
            _ => {}
        }
    }
}

impl Exit {
    /// A word for the JSON record, where the store gave none.
    fn code(self) -> &'static str {
        match self {
            Exit::Success => "Success",
            Exit::Failed => "Failed",
            Exit::Usage => "Usage",
            Exit::Source => "Source",
            Exit::Denied => "Denied",
            Exit::NotFound => "NotFound",
            Exit::Checksum => "ChecksumMismatch",
            Exit::Precondition => "PreconditionFailed",
            Exit::SomeFailed => "SomeFailed",
            Exit::Temporary => "Temporary",
            Exit::HungUp | Exit::Interrupted | Exit::Terminated => "Interrupted",
        }
    }
}

/// Words as a shell takes them.
fn quoted(words: Vec<String>) -> String {
    let quote =
        |word: &String| shlex::try_quote(word).map_or_else(|_| word.clone(), |word| word.into_owned());
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
