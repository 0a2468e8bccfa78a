//! The options of `put`.

use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::store::{OutputArgs, StoreArgs};
use super::values::{Size, Span, pair, size, span};
use crate::Target;
use crate::checksum::Algorithm;
use crate::plan::{DEFAULT_PART_SIZE, Wishes};
use crate::store::rusoto::{Connection, PayloadSigning};
use crate::store::{AttributeError, Attributes, Condition};
use crate::upload::{ChecksumWish, DEFAULT_CONCURRENCY, Request, Window};

/// Uploads a file to a bucket.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES)]
pub(in crate::cli) struct PutArgs {
    /// The file to upload
    pub(in crate::cli) source: PathBuf,
    /// Where it goes: bucket/key or s3://bucket/key; a bucket alone or a key that ends in '/' gets the
    /// file's name appended. The key is taken literally
    pub(in crate::cli) target: Target,
    #[command(flatten)]
    pub(in crate::cli) transfer: TransferArgs,
    #[command(flatten)]
    object: ObjectArgs,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

/// How the file is cut, sent and checked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfer")]
pub(in crate::cli) struct TransferArgs {
    /// Size of a chunk, from 5MiB to 5GiB; a file of at most this size goes in a single request.
    /// Grown by itself where S3's 10,000 parts would not do
    #[arg(long, env = "S3CHUNK_CHUNK_SIZE", value_name = "SIZE", value_parser = size, default_value_t = Size(DEFAULT_PART_SIZE))]
    pub(super) chunk_size: Size,
    /// Parts in flight at once, at most
    #[arg(long, env = "S3CHUNK_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = DEFAULT_CONCURRENCY as u16)]
    pub(in crate::cli) concurrency: u16,
    /// Go on with an unfinished upload of this key, whoever began it: its parts that hold the file's bytes
    /// are not sent again. On a failure the upload is kept, to be resumed
    #[arg(long, env = "S3CHUNK_RESUME", value_parser = FalseyValueParser::new())]
    resume: bool,
    /// Make no object where there is one already
    #[arg(long, env = "S3CHUNK_NO_OVERWRITE", conflicts_with = "if_match", value_parser = FalseyValueParser::new())]
    no_overwrite: bool,
    /// Replace the object only if it has this ETag
    #[arg(long, env = "S3CHUNK_IF_MATCH", value_name = "ETAG")]
    if_match: Option<String>,
    /// How the store checks the bytes: auto is CRC64NVME where it confirms that, else MD5
    #[arg(long, env = "S3CHUNK_CHECKSUM", value_name = "ALGORITHM", value_enum, default_value_t)]
    checksum: ChecksumArg,
    /// Look at the object at the end, and compare it with the file read once more
    #[arg(long, env = "S3CHUNK_VERIFY", value_parser = FalseyValueParser::new())]
    verify: bool,
    /// Whether the signature covers the bytes sent: auto is where TLS does not protect them
    #[arg(long, env = "S3CHUNK_PAYLOAD_SIGNING", value_name = "WHEN", value_enum, default_value_t)]
    payload_signing: PayloadSigningArg,
    /// Give up after this time, as if interrupted; exit code 75
    #[arg(long, env = "S3CHUNK_DEADLINE", value_name = "TIME", value_parser = span)]
    pub(in crate::cli) deadline: Option<Span>,
    /// Say what would be sent, and send nothing
    #[arg(long, env = "S3CHUNK_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) dry_run: bool,
}

/// What is said of the object.
#[derive(Debug, Args)]
#[command(next_help_heading = "Object")]
struct ObjectArgs {
    /// Media type; guessed from the source's name where it is not given
    #[arg(long, env = "S3CHUNK_CONTENT_TYPE", value_name = "TYPE")]
    content_type: Option<String>,
    /// How caches may keep it, say "max-age=3600"
    #[arg(long, env = "S3CHUNK_CACHE_CONTROL", value_name = "DIRECTIVES")]
    cache_control: Option<String>,
    /// User-defined metadata
    #[arg(long, env = "S3CHUNK_METADATA", value_name = "KEY=VALUE,…", value_delimiter = ',', value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Storage class, say STANDARD_IA or GLACIER_IR
    #[arg(long, env = "S3CHUNK_STORAGE_CLASS", value_name = "CLASS")]
    storage_class: Option<String>,
    /// Encryption at the store: AES256, aws:kms or aws:kms:dsse
    #[arg(long, env = "S3CHUNK_SSE", value_name = "ALGORITHM", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"])]
    sse: Option<String>,
    /// KMS key to encrypt with, for --sse aws:kms or aws:kms:dsse
    #[arg(long, env = "S3CHUNK_SSE_KMS_KEY_ID", value_name = "KEY")]
    sse_kms_key_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ChecksumArg {
    #[default]
    Auto,
    Crc64nvme,
    Crc32c,
    Crc32,
    Sha256,
    Sha1,
    Md5,
    None,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PayloadSigningArg {
    #[default]
    Auto,
    Always,
    Never,
}

impl PutArgs {
    /// The upload that is asked for, to the object `target`.
    ///
    /// # Errors
    /// When an attribute can't be sent.
    pub(in crate::cli) fn request(&self, target: Target) -> Result<Request, AttributeError> {
        let transfer = &self.transfer;
        let mut request = Request::new(target);
        request.wishes = Wishes { part_size: transfer.chunk_size.0, ..Wishes::default() };
        request.window = Window::new(transfer.concurrency.into());
        request.attributes = self.object.attributes(&self.source)?;
        request.resume = transfer.resume;
        request.verify = transfer.verify;
        request.condition = match &transfer.if_match {
            Some(etag) => Some(Condition::Matches(etag.clone())),
            None => transfer.no_overwrite.then_some(Condition::Absent),
        };
        request.checksum = match transfer.checksum {
            ChecksumArg::Auto => ChecksumWish::Auto,
            ChecksumArg::Crc64nvme => ChecksumWish::Algorithm(Algorithm::Crc64Nvme),
            ChecksumArg::Crc32c => ChecksumWish::Algorithm(Algorithm::Crc32c),
            ChecksumArg::Crc32 => ChecksumWish::Algorithm(Algorithm::Crc32),
            ChecksumArg::Sha256 => ChecksumWish::Algorithm(Algorithm::Sha256),
            ChecksumArg::Sha1 => ChecksumWish::Algorithm(Algorithm::Sha1),
            ChecksumArg::Md5 => ChecksumWish::Md5,
            ChecksumArg::None => ChecksumWish::None,
        };
        Ok(request)
    }

    /// The connection that is asked for, where `base` is what to start from.
    pub(in crate::cli) fn connection(&self, base: Connection) -> Connection {
        let payload_signing = match self.transfer.payload_signing {
            PayloadSigningArg::Auto => base.payload_signing,
            PayloadSigningArg::Always => PayloadSigning::Always,
            PayloadSigningArg::Never => PayloadSigning::Never,
        };
        Connection { payload_signing, ..self.store.connection(base) }
    }
}

impl ObjectArgs {
    fn attributes(&self, source: &Path) -> Result<Attributes, AttributeError> {
        let guess = || mime_guess::from_path(source).first_or_octet_stream().to_string();
        let mut attributes = Attributes::new();
        attributes.set("content-type", self.content_type.clone().unwrap_or_else(guess))?;
        let optional = [
            ("cache-control", &self.cache_control),
            ("x-amz-storage-class", &self.storage_class),
            ("x-amz-server-side-encryption", &self.sse),
            ("x-amz-server-side-encryption-aws-kms-key-id", &self.sse_kms_key_id),
        ];
        for (header, value) in optional {
            if let Some(value) = value {
                attributes.set(header, value.as_str())?;
            }
        }
        for (key, value) in &self.metadata {
            attributes.set_metadata(key, value.as_str())?;
        }
        Ok(attributes)
    }
}
