//! What is said of a finished upload.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;

use crate::checksum::Checksum;
use crate::plan::Plan;
use crate::source::FileSource;
use crate::upload::{Request, Uploaded};

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

impl Receipt {
    pub(super) fn new(source: &FileSource, request: &Request, outcome: Outcome, took: Duration) -> Self {
        let (size, parts, chunk_size, uploaded, retries) = match outcome {
            Outcome::DryRun(plan) => {
                let chunk_size = match plan {
                    Plan::Single { .. } => request.wishes.part_size,
                    Plan::Multipart(parts) => parts.part_size(),
                };
                (plan.size(), plan.count(), chunk_size, None, 0)
            }
            Outcome::Uploaded { uploaded: it, retries } => {
                (it.size, it.parts, it.part_size, Some(it), retries)
            }
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
            size,
            parts,
            chunk_size,
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
    pub(super) fn line(&self) -> String {
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
