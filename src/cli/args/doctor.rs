//! The options of `doctor`.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::store::{OutputArgs, StoreArgs};
use crate::Target;

/// Finds out whether an upload would do: connection, credentials, bucket, permissions, and what the store
/// supports; says what to do about what would not.
///
/// It tries what an upload needs on a small upload beside TARGET, and leaves nothing behind. It exits
/// with 0 where an upload would do, else with the code that the upload would have ended with.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Where uploads are to go: bucket/key, bucket/folder/ or a bucket alone; what is there is left alone
    pub(in crate::cli) target: Target,
    /// Make a small object beside TARGET too, complete an upload over it, and delete it; this needs
    /// s3:DeleteObject
    #[arg(long, env = "S3CHUNK_WRITE", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) write: bool,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}
