//! What is said of a finished upload.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;

use super::github::Row;
use super::text::printable;
use crate::checksum::Checksum;
use crate::plan::Plan;
use crate::upload::{Proof, Request, Uploaded};

/// How an upload ended well.
pub(super) enum Outcome {
    /// Nothing was sent. The plan is not known of a stream; `why` is said where that was looked for.
    DryRun {
        plan: Option<Plan>,
        why: Option<&'static str>,
    },
    /// The object was there already.
    Unchanged {
        plan: Plan,
        proof: Proof,
    },
    Uploaded {
        uploaded: Uploaded,
        retries: u64,
    },
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
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

#[derive(Serialize)]
struct ChecksumField {
    algorithm: &'static str,
    #[serde(rename = "type")]
    checksum_type: &'static str,
    value: String,
}

impl Receipt {
    /// Returns the receipt of what became of the source that is called `source`.
    pub(super) fn new(source: &str, request: &Request, outcome: Outcome, took: Duration) -> Self {
        let receipt = Receipt {
            source: source.to_owned(),
            bucket: request.target.bucket().to_owned(),
            key: request.target.key().to_owned(),
            size: 0,
            parts: 0,
            chunk_size: request.wishes.part_size,
            etag: None,
            version_id: None,
            checksum: None,
            upload_id: None,
            reused_parts: 0,
            reused_bytes: 0,
            retries: 0,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            status: "dry-run",
            why: None,
        };
        match outcome {
            Outcome::DryRun { plan, why } => {
                let receipt = plan.iter().fold(receipt, |receipt, plan| receipt.planned(plan));
                Receipt { why, ..receipt }
            }
            Outcome::Unchanged { plan, proof } => {
                let (checksum, etag) = match proof {
                    Proof::Checksum(sum) => (Some(ChecksumField::new(&sum)), None),
                    Proof::ETag(etag) => (None, Some(etag)),
                };
                Receipt { checksum, etag, status: "unchanged", ..receipt.planned(&plan) }
            }
            Outcome::Uploaded { uploaded: it, retries } => Receipt {
                size: it.size,
                parts: it.parts,
                chunk_size: it.part_size,
                etag: it.etag.map(|etag| etag.trim_matches('"').to_owned()),
                version_id: it.version_id,
                checksum: it.checksum.as_ref().map(ChecksumField::new),
                upload_id: it.upload_id,
                reused_parts: it.reused_parts,
                reused_bytes: it.reused_bytes,
                retries,
                status: if it.resumed { "resumed" } else { "uploaded" },
                ..receipt
            },
        }
    }

    fn planned(self, plan: &Plan) -> Self {
        let chunk_size = match plan {
            Plan::Single { .. } => self.chunk_size,
            Plan::Multipart(parts) => parts.part_size(),
        };
        Receipt { size: plan.size(), parts: plan.count(), chunk_size, ..self }
    }

    /// What became of it, in a word.
    pub(super) fn status(&self) -> &'static str {
        self.status
    }

    /// Bytes of the object.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What a summary of the run says of it.
    pub(super) fn row(&self) -> Row<'_> {
        Row {
            source: &self.source,
            object: format!("s3://{}/{}", self.bucket, self.key),
            size: ByteSize(self.size).to_string(),
            parts: self.parts.to_string(),
            time: format!("{:.1} s", self.seconds),
            status: self.status,
        }
    }

    /// The receipt in one line for a person.
    pub(super) fn line(&self) -> String {
        let Receipt { bucket, size, parts, seconds, .. } = self;
        // A name with a line break in it is no second line.
        let (source, key) = (printable(&self.source), printable(&self.key));
        let parts = if *parts == 1 { "1 request".to_owned() } else { format!("{parts} parts") };
        let reused = match self.reused_parts {
            0 => String::new(),
            reused => format!(", {reused} of them there before"),
        };
        let what = format!("{source} to s3://{bucket}/{key}: {} in {parts}{reused}", ByteSize(*size));
        match self.status {
            "dry-run" if self.parts == 0 => {
                return format!(
                    "would upload {source} to s3://{bucket}/{key}: a stream, in parts of {} and more",
                    ByteSize(self.chunk_size)
                );
            }
            "dry-run" => {
                let why = self.why.map(|why| format!("; {why}")).unwrap_or_default();
                return format!("would upload {what} of at most {}{why}", ByteSize(self.chunk_size));
            }
            "unchanged" => {
                return format!("unchanged {source}: s3://{bucket}/{key} has these {}", ByteSize(*size));
            }
            _ => {}
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
