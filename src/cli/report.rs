//! What the command says at its end: the receipt, errors with hints, exit codes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;

use super::args::OutputArgs;
use crate::Target;
use crate::checksum::Checksum;
use crate::error::{Cause, Error};
use crate::plan::{Plan, PlanError};
use crate::source::{FileSource, SourceError};
use crate::store::rusoto::ConnectionError;
use crate::store::{AttributeError, Kind, StoreError};
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
#[derive(Debug, thiserror::Error)]
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
    json: bool,
    quiet: bool,
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
        let status = if uploaded.is_some() { "uploaded" } else { "dry-run" };
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
            reused_parts: 0,
            reused_bytes: 0,
            retries,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            status,
        }
    }

    /// The receipt in one line for a person.
    fn line(&self) -> String {
        let Receipt { source, bucket, key, size, parts, seconds, .. } = self;
        let parts = if *parts == 1 { "1 request".to_owned() } else { format!("{parts} parts") };
        let what = format!("{source} to s3://{bucket}/{key}: {} in {parts}", ByteSize(*size));
        if self.status == "dry-run" {
            return format!("would upload {what} of at most {}", ByteSize(self.chunk_size));
        }
        let rate = ByteSize((*size as f64 / seconds.max(0.001)) as u64);
        let etag = self.etag.as_ref().map(|etag| format!(", ETag {etag}")).unwrap_or_default();
        let sum = self.checksum.as_ref().map(|sum| format!(", {} {}", sum.algorithm, sum.value));
        format!("uploaded {what}, {seconds:.1} s, {rate}/s{etag}{}", sum.unwrap_or_default())
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
        Report { json: output.json, quiet: output.quiet, unwritten: AtomicBool::new(false) }
    }

    /// Prints a receipt on standard output.
    pub(super) fn receipt(&self, receipt: &Receipt) -> Exit {
        if self.json {
            self.json(receipt);
        } else if !self.quiet {
            self.print(&receipt.line());
        }
        Exit::Success
    }

    /// Prints an error, with what to do about it, and where asked a record of it on standard output.
    pub(super) fn failure(&self, object: Object<'_>, error: &anyhow::Error, exit: Option<Exit>) -> Exit {
        let exit = exit.unwrap_or_else(|| exit_of(error));
        self.say(error);
        if self.json {
            let store = store_error(error);
            let message = format!("{error:#}");
            self.json(&FailureRecord {
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
    pub(super) fn error(&self, error: &anyhow::Error) -> Exit {
        self.say(error);
        exit_of(error)
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
        if let Some(left) = error.downcast_ref::<Error>().and_then(|error| error.left.as_ref()) {
            let upload = &left.upload;
            let why = left.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
            let _ = writeln!(
                stderr,
                "  the unfinished upload {} of {} could not be dropped{why}",
                upload.upload_id, upload.target
            );
        }
    }

    fn json(&self, record: &impl Serialize) {
        match serde_json::to_string(record) {
            Ok(text) => self.print(&text),
            Err(_) => self.unwritten.store(true, Relaxed),
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
