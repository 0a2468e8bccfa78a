//! The options, and their conversion into the library's types.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::Target;
use crate::plan::{DEFAULT_PART_SIZE, Wishes};
use crate::store::rusoto::{Addressing, Connection, CredentialSource};
use crate::store::{AttributeError, Attributes};
use crate::upload::{DEFAULT_CONCURRENCY, Request};

/// Uploads files to S3 and its kin, in parts, and finishes.
///
/// A file above the chunk size goes in S3's three steps: the upload is initiated, its parts are
/// uploaded many at once, and it is completed. A smaller file goes in a single request. Every byte is
/// covered by a checksum that the store verifies, and whatever fails, nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "s3chunk", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Put(Box<PutArgs>),
}

/// Uploads a file to a bucket.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct PutArgs {
    /// The file to upload
    pub(super) source: PathBuf,
    /// Where it goes: bucket/key or s3://bucket/key; a bucket alone or a key that ends in '/' gets the
    /// file's name appended. The key is taken literally
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
    #[command(flatten)]
    pub(super) object: ObjectArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    uploaded
  1    failed otherwise
  2    wrong usage
  3    the source is missing, unreadable, or changed during the upload
  4    no credentials, or access denied
  5    no such bucket, object or upload
  6    checksum mismatch
  7    a precondition does not hold
  75   temporary: network, throttling or server errors, after all attempts; try again later
  130  interrupted (143 by SIGTERM)";

/// How the file is cut and sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfer")]
pub(super) struct TransferArgs {
    /// Size of a chunk, from 5MiB to 5GiB; a file of at most this size goes in a single request.
    /// Grown by itself where S3's 10,000 parts would not do
    #[arg(long, env = "S3CHUNK_CHUNK_SIZE", value_name = "SIZE", value_parser = size, default_value_t = ChunkSize(DEFAULT_PART_SIZE))]
    chunk_size: ChunkSize,
    /// Parts in flight at once, at most
    #[arg(long, env = "S3CHUNK_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = DEFAULT_CONCURRENCY as u16)]
    concurrency: u16,
    /// Say what would be sent, and send nothing
    #[arg(long, env = "S3CHUNK_DRY_RUN")]
    pub(super) dry_run: bool,
}

/// What is said of the object.
#[derive(Debug, Args)]
#[command(next_help_heading = "Object")]
pub(super) struct ObjectArgs {
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

/// Which store, and how to reach it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(super) struct ConnectionArgs {
    /// URL of the store; AWS's own where neither this nor AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the
    /// profile names one
    #[arg(long, env = "S3CHUNK_ENDPOINT_URL", value_name = "URL")]
    endpoint_url: Option<String>,
    /// Region of the bucket; else from AWS_REGION or the profile
    #[arg(long, env = "S3CHUNK_REGION", value_name = "REGION")]
    region: Option<String>,
    /// Profile in the AWS config and credentials files; else AWS_PROFILE
    #[arg(long, env = "S3CHUNK_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// Where the bucket is named: in the path, in the host name (virtual), or as the store expects it
    #[arg(long, env = "S3CHUNK_ADDRESSING", value_name = "STYLE", value_enum, default_value_t)]
    addressing: AddressingArg,
    /// Send requests without a signature
    #[arg(long, env = "S3CHUNK_NO_SIGN_REQUEST")]
    no_sign_request: bool,
    /// PEM file of certificate authorities to trust beside the system's
    #[arg(long, env = "S3CHUNK_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Trust any certificate: whoever answers can read and change what is sent
    #[arg(long, env = "S3CHUNK_NO_VERIFY_SSL", conflicts_with = "ca_bundle")]
    no_verify_ssl: bool,
}

/// What is said, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Print a JSON receipt on standard output
    #[arg(long, env = "S3CHUNK_JSON")]
    pub(super) json: bool,
    /// How progress is shown on standard error: a bar, plain lines, or not at all; auto is a bar on a
    /// terminal, else a line every 10 % or 30 s
    #[arg(long, env = "S3CHUNK_PROGRESS", value_name = "HOW", value_enum, default_value_t)]
    pub(super) progress: ProgressArg,
    /// Say nothing but errors (and the receipt of --json)
    #[arg(short, long, env = "S3CHUNK_QUIET")]
    pub(super) quiet: bool,
    /// Say more: each step and retry; twice, each request
    #[arg(short, long, env = "S3CHUNK_VERBOSE", action = ArgAction::Count)]
    pub(super) verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum AddressingArg {
    #[default]
    Auto,
    Path,
    Virtual,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressArg {
    #[default]
    Auto,
    Bar,
    Plain,
    None,
}

/// A size in bytes as it is written on the command line.
#[derive(Clone, Copy, Debug)]
struct ChunkSize(u64);

impl std::fmt::Display for ChunkSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 >> 20, self.0 % (1 << 20)) {
            (mib, 0) => write!(f, "{mib}MiB"),
            _ => write!(f, "{}", self.0),
        }
    }
}

fn size(text: &str) -> Result<ChunkSize, String> {
    let size: bytesize::ByteSize =
        text.parse().map_err(|_| "a size is a number with a unit, as in 8MiB, 1.5GiB or 64MB".to_owned())?;
    match size.as_u64() {
        0 => Err("a chunk of nothing sends nothing; 8MiB would do".to_owned()),
        bytes => Ok(ChunkSize(bytes)),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("metadata is written KEY=VALUE, with commas between several".to_owned()),
    }
}

impl Arguments {
    /// The options of output, which every command has.
    pub(super) fn output(&self) -> &OutputArgs {
        match &self.command {
            Command::Put(args) => &args.output,
        }
    }
}

impl PutArgs {
    /// The upload that is asked for, to the object `target`.
    ///
    /// # Errors
    /// When an attribute can't be sent.
    pub(super) fn request(&self, target: Target) -> Result<Request, AttributeError> {
        let mut request = Request::new(target);
        request.wishes = Wishes { part_size: self.transfer.chunk_size.0, ..Wishes::default() };
        request.concurrency = self.transfer.concurrency.into();
        request.attributes = self.object.attributes(&self.source)?;
        Ok(request)
    }
}

impl ObjectArgs {
    fn attributes(&self, source: &std::path::Path) -> Result<Attributes, AttributeError> {
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

impl ConnectionArgs {
    /// The connection that is asked for, where `base` is what to start from.
    pub(super) fn connection(&self, base: Connection) -> Connection {
        let credentials = match self.no_sign_request {
            true => CredentialSource::Anonymous,
            false => base.credentials,
        };
        Connection {
            endpoint_url: self.endpoint_url.clone().or(base.endpoint_url),
            region: self.region.clone().or(base.region),
            profile: self.profile.clone().or(base.profile),
            credentials,
            addressing: match self.addressing {
                AddressingArg::Auto => base.addressing,
                AddressingArg::Path => Addressing::Path,
                AddressingArg::Virtual => Addressing::Virtual,
            },
            ca_bundle: self.ca_bundle.clone().or(base.ca_bundle),
            trust_anyone: self.no_verify_ssl || base.trust_anyone,
            ..base
        }
    }
}

/// How often a line of plain progress is written at the least.
pub(super) const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn put(options: &[&str]) -> Result<PutArgs, clap::Error> {
        let args = ["s3chunk", "put", "f.json", "b/k"].iter().chain(options);
        let Command::Put(put) = Arguments::try_parse_from(args)?.command;
        Ok(*put)
    }

    fn attributes(options: &[&str]) -> Vec<(String, String)> {
        let put = put(options).unwrap();
        let request = put.request(put.target.clone()).unwrap();
        request.attributes.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn the_definitions_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        let chunk = |text| put(&["--chunk-size", text]).map(|put| put.transfer.chunk_size.0);
        assert_eq!(chunk("8MiB").unwrap(), 8 << 20);
        assert_eq!(chunk("64 MB").unwrap(), 64_000_000);
        assert_eq!(chunk("1.5GiB").unwrap(), 3 << 29);
        for wrong in ["0", "0MiB", "", "big", "-1", "8 parsecs"] {
            assert!(chunk(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_content_type_is_guessed_unless_it_is_said() {
        assert_eq!(attributes(&[])[0], ("content-type".into(), "application/json".into()));
        assert_eq!(attributes(&["--content-type", "a/b"])[0], ("content-type".into(), "a/b".into()));
    }

    #[test]
    fn several_pieces_of_metadata_stand_between_commas() {
        let headers = attributes(&["--metadata", "a=1,b=x=y", "--metadata", "c="]);
        let metadata: Vec<_> = headers[1..].iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(metadata, [("x-amz-meta-a", "1"), ("x-amz-meta-b", "x=y"), ("x-amz-meta-c", "")]);
        assert!(put(&["--metadata", "novalue"]).is_err());
        assert!(put(&["--metadata", "=x"]).is_err());
    }

    #[test]
    fn every_option_has_a_variable() {
        let command = Arguments::command();
        for sub in command.get_subcommands() {
            for arg in sub.get_arguments().filter(|arg| !arg.is_positional()) {
                let id = arg.get_id().as_str();
                if matches!(id, "help" | "version") {
                    continue;
                }
                let variable = format!("S3CHUNK_{}", id.to_ascii_uppercase());
                assert_eq!(arg.get_env().and_then(|v| v.to_str()), Some(variable.as_str()));
            }
        }
    }
}
