//! The options of the commands around an upload: `list`, `abort`, `clean`, `verify`.

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser, PathBufValueParser, TypedValueParser};
use clap::{Args, ValueHint};

use super::object_values::customer_key;
use super::store::{OutputArgs, StoreArgs};
use super::values::{Size, Span, size, span_with_unit};
use crate::plan::DEFAULT_PART_SIZE;
use crate::store::rusoto::CustomerKey;
use crate::target::{Target, TargetError};

/// Lists unfinished uploads: key, upload id, when started, parts and bytes stored, and when the bucket
/// will drop them.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// BUCKET or BUCKET/PREFIX
    #[arg(value_name = "BUCKET[/PREFIX]")]
    pub(in crate::cli) target: Target,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

/// Aborts the unfinished uploads of exactly one key.
#[derive(Debug, Args)]
pub(in crate::cli) struct AbortArgs {
    /// The object that would have become: bucket/key
    #[arg(value_parser = object)]
    pub(in crate::cli) target: Target,
    /// This upload alone
    #[arg(long, env = "S3CHUNK_UPLOAD_ID", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) upload_id: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

/// Aborts unfinished uploads that were started long ago.
#[derive(Debug, Args)]
pub(in crate::cli) struct CleanArgs {
    /// BUCKET or BUCKET/PREFIX
    #[arg(value_name = "BUCKET[/PREFIX]")]
    pub(in crate::cli) target: Target,
    /// How long ago, say 7d or 12h
    #[arg(long, env = "S3CHUNK_OLDER_THAN", value_name = "TIME", value_parser = span_with_unit)]
    pub(in crate::cli) older_than: Span,
    /// Say which would be aborted, and abort none
    #[arg(long, env = "S3CHUNK_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

/// Tells whether an object is these bytes, with no download; exit 0 same, 6 different, 5 not there.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(in crate::cli) source: PathBuf,
    /// The object; a bucket alone or a key that ends in '/' gets the file's name appended
    pub(in crate::cli) target: Target,
    /// Size of the chunks that it was uploaded in, to be tried first where the store does not tell
    #[arg(long, env = "S3CHUNK_CHUNK_SIZE", value_name = "SIZE", value_parser = size, default_value_t = Size(DEFAULT_PART_SIZE))]
    pub(in crate::cli) chunk_size: Size,
    /// The key that it was encrypted with, where you keep that: a file of 32 raw bytes; https only
    #[arg(long, env = "S3CHUNK_SSE_C_KEY", value_name = "FILE", value_parser = PathBufValueParser::new().try_map(customer_key))]
    pub(in crate::cli) sse_c_key: Option<CustomerKey>,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

/// Reads a target that names an object.
fn object(text: &str) -> Result<Target, String> {
    let target: Target = text.parse().map_err(|e: TargetError| e.to_string())?;
    match target.key() {
        "" => Err("it names no key; clean takes a bucket".to_owned()),
        _ => Ok(target),
    }
}
