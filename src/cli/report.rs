//! What the command says at its end: the receipt, errors with hints, exit codes.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;

use super::args::{OutputArgs, StoreArgs};
use crate::Target;
use crate::checksum::Checksum;
use crate::error::{Cause, Error, Fate, Left};
use crate::plan::{Plan, PlanError};
use crate::source::{FileSource, SourceError};
use crate::store::rusoto::ConnectionError;
use crate::store::{AttributeError, Kind, StoreError, Upload};
use crate::upload::{Request, Uploaded};

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
    Temporary = 75,
    Interrupted = 130,
    Terminated = 143,
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
    let _ = write!(io::stderr(), "s3chunk: {text}");
    Exit::Usage
}

/// Where results and errors go.
pub(super) struct Report {
    output: OutputArgs,
    unwritten: AtomicBool,
}

/// What was to be uploaded, and where.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) source: &'a str,
    pub(super) target: &'a Target,
}

/// How an upload ended well.
pub(super) enum Outcome {
    DryRun(Plan),
    Uploaded { uploaded: Uploaded, retries: u64 },
}

/// What `--json` prints of a finished upload.
#[derive(Serialize)]
pub(super) struct Receipt {
    source: String,
    bucket: String,
    key: String,
    size: u64,
    parts: u32,
    chunk_size: u64,
    etag: Option<String>,
    version_id: Option<String>,
    checksum: Option<ChecksumField>,
    upload_id: Option<String>,
    reused_parts: u32,
    reused_bytes: u64,
    retries: u64,
    seconds: f64,
    status: &'static str,
}

#[derive(Serialize)]
struct ChecksumField {
    algorithm: &'static str,
    #[serde(rename = "type")]
    checksum_type: &'static str,
    value: String,
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

impl Receipt {
    pub(super) fn new(source: &FileSource, request: &Request, outcome: Outcome, took: Duration) -> Self {
        let (plan, uploaded, retries) = match outcome {
            Outcome::DryRun(plan) => (plan, None, 0),
            Outcome::Uploaded { uploaded, retries } => (uploaded.plan, Some(uploaded), retries),
        };
        let part_size = match plan {
            Plan::Single { .. } => request.wishes.part_size,
            Plan::Multipart(parts) => parts.part_size(),
        };
        let status = match &uploaded {
            Some(uploaded) if uploaded.resumed => "resumed",
            Some(_) => "uploaded",
            None => "dry-run",
        };
        let (reused_parts, reused_bytes) =
            uploaded.as_ref().map_or((0, 0), |uploaded| (uploaded.reused_parts, uploaded.reused_bytes));
        let (etag, version_id, checksum, upload_id) = match uploaded {
            Some(it) => (it.etag, it.version_id, it.checksum, it.upload_id),
            None => (None, None, None, None),
        };
        Receipt {
            source: source.path().display().to_string(),
            bucket: request.target.bucket().to_owned(),
            key: request.target.key().to_owned(),
            size: plan.size(),
            parts: plan.count(),
            chunk_size: part_size,
            etag: etag.map(|etag| etag.trim_matches('"').to_owned()),
            version_id,
            checksum: checksum.as_ref().map(ChecksumField::new),
            upload_id,
            reused_parts,
            reused_bytes,
            retries,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            status,
        }
    }

    /// The receipt in one line for a person.
    fn line(&self) -> String {
        let Receipt { source, bucket, key, size, parts, seconds, .. } = self;
        let parts = if *parts == 1 { "1 request".to_owned() } else { format!("{parts} parts") };
        let reused = match self.reused_parts {
            0 => String::new(),
            reused => format!(", {reused} of them there before"),
        };
        let what = format!("{source} to s3://{bucket}/{key}: {} in {parts}{reused}", ByteSize(*size));
        if self.status == "dry-run" {
            return format!("would upload {what} of at most {}", ByteSize(self.chunk_size));
        }
        let rate = ByteSize(((size - self.reused_bytes) as f64 / seconds.max(0.001)) as u64);
        let etag = self.etag.as_ref().map(|etag| format!(", ETag {etag}")).unwrap_or_default();
        let sum = self.checksum.as_ref().map(|sum| format!(", {} {}", sum.algorithm, sum.value));
        format!("{} {what}, {seconds:.1} s, {rate}/s{etag}{}", self.status, sum.unwrap_or_default())
    }
}

impl ChecksumField {
    fn new(checksum: &Checksum) -> Self {
        ChecksumField {
            algorithm: checksum.algorithm().name(),
            checksum_type: checksum.checksum_type().name(),
            value: checksum.to_string(),
        }
    }
}

impl Report {
    pub(super) fn new(output: &OutputArgs) -> Self {
        Report { output: output.clone(), unwritten: AtomicBool::new(false) }
    }

    /// The options of output.
    pub(super) fn output(&self) -> &OutputArgs {
        &self.output
    }

    /// Prints a receipt on standard output.
    pub(super) fn receipt(&self, receipt: &Receipt) -> Exit {
        self.result(receipt, || receipt.line());
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
        if !self.output.json && !self.output.quiet {
            self.print(line);
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

    /// Says how to go on with the upload that a failure has kept, and how to drop it: `words` are the
    /// command line that failed.
    pub(super) fn ways_on(&self, error: &anyhow::Error, words: &[OsString], store: &StoreArgs) {
        let Some(Left { upload, fate: Fate::Kept }) = left(error) else { return };
        let program = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let again = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let Upload { target, upload_id } = upload;
        let mut drop =
            vec![program, "abort".into(), target.to_string(), "--upload-id".into(), upload_id.clone()];
        drop.extend(store.words());
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "  the upload {upload_id} is kept");
        let _ = writeln!(stderr, "  to continue: {}", quoted(again));
        let _ = writeln!(stderr, "  to drop it:  {}", quoted(drop));
    }

    /// Makes sure that what was printed is written, and returns the exit code for that.
    pub(super) fn flush(&self, exit: Exit) -> Exit {
        let written = io::stdout().flush().is_ok_and(|()| !self.unwritten.load(Relaxed));
        if written || exit != Exit::Success {
            return exit;
        }
        let _ = writeln!(io::stderr(), "s3chunk: cannot write the result to standard output");
        Exit::Failed
    }

    fn say(&self, error: &anyhow::Error) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "s3chunk: {error:#}");
        if let Some(hint) = hint(error) {
            let _ = writeln!(stderr, "  {hint}");
        }
        if let Some(Left { upload, fate: Fate::Stuck(cause) }) = left(error) {
            let why = cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
            let Upload { target, upload_id } = upload;
            let _ =
                writeln!(stderr, "  the unfinished upload {upload_id} of {target} could not be dropped{why}");
        }
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
            Exit::Temporary => "Temporary",
            Exit::Interrupted | Exit::Terminated => "Interrupted",
        }
    }
}

fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    error.downcast_ref::<Error>()?.store_error()
}

/// Words as a shell takes them.
fn quoted(words: Vec<String>) -> String {
    let quote =
        |word: &String| shlex::try_quote(word).map_or_else(|_| word.clone(), |word| word.into_owned());
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// The upload that an error leaves.
fn left(error: &anyhow::Error) -> Option<&Left> {
    error.downcast_ref::<Error>()?.left.as_deref()
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref::<Error>() {
        return match &error.cause {
            Cause::Plan(_) => Exit::Usage,
            Cause::Source(_) => Exit::Source,
            Cause::Mismatch(_) => Exit::Checksum,
            Cause::Interrupted => Exit::Interrupted,
            Cause::Store(error) => match error.kind {
                Kind::NoCredentials | Kind::Denied | Kind::ExpiredCredentials => Exit::Denied,
                Kind::NotFound => Exit::NotFound,
                Kind::Precondition => Exit::Precondition,
                Kind::Checksum => Exit::Checksum,
                Kind::Throttled | Kind::Temporary => Exit::Temporary,
                Kind::Body => Exit::Source,
                Kind::ClockSkew | Kind::Refused => Exit::Failed,
            },
        };
    }
    if error.is::<SourceError>() {
        Exit::Source
    } else if error.is::<Usage>() || error.is::<AttributeError>() || error.is::<ConnectionError>() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

/// What to do about an error, where there is something.
fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(SourceError::Folder(_)) = error.downcast_ref() {
        return Some("name a file in it, or pack it first, say with tar".into());
    }
    let error = error.downcast_ref::<Error>()?;
    let text = match &error.cause {
        Cause::Plan(PlanError::PartTooSmall { .. }) => "use --chunk-size 5MiB or more",
        Cause::Plan(PlanError::PartTooLarge { .. }) => "use --chunk-size 5GiB or less",
        Cause::Source(SourceError::Changed { .. }) => {
            "upload it again when nothing writes to it, or a copy of it"
        }
        Cause::Store(error) => return store_hint(error).map(str::to_owned),
        _ => return None,
    };
    Some(text.to_owned())
}

fn store_hint(error: &StoreError) -> Option<&'static str> {
    Some(match (error.kind, error.code.as_deref().unwrap_or_default()) {
        (Kind::NoCredentials, _) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a --profile; --no-sign-request does without"
        }
        (Kind::Denied, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => {
            "check the access key and its secret, and that they are for this store"
        }
        (Kind::Denied, _) => {
            "the credentials need s3:PutObject and s3:AbortMultipartUpload on this bucket and key"
        }
        (Kind::ExpiredCredentials, _) => "log in again, or renew the credentials",
        (Kind::ClockSkew, _) => "set this machine's clock",
        (Kind::NotFound, "NoSuchBucket") => {
            "check the bucket's name, --region and --endpoint-url, or create the bucket"
        }
        (Kind::Temporary, _) if error.status.is_none() => {
            "check --endpoint-url and the network, or try again later"
        }
        (Kind::Temporary | Kind::Throttled, _) => "try again later",
        (Kind::Checksum, _) => "the bytes were damaged on their way more than once; check memory and network",
        _ => return None,
    })
}
