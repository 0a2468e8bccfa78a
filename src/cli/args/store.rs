//! Options of every command: which store, how long to try, what to say.

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{ArgAction, Args, ValueEnum, ValueHint};

use super::values::{Span, account, payer, span};
use crate::store::RetryPolicy;
use crate::store::rusoto::{Addressing, Connection, CredentialSource, Timeouts, Variants};

/// Which store, and how to reach it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(in crate::cli) struct StoreArgs {
    /// URL of the store; AWS's own where neither this nor AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the
    /// profile names one
    #[arg(long, env = "S3CHUNK_ENDPOINT_URL", value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    endpoint_url: Option<String>,
    /// Region of the bucket; else from AWS_REGION or the profile
    #[arg(long, env = "S3CHUNK_REGION", value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    region: Option<String>,
    /// Profile in the AWS config and credentials files; else AWS_PROFILE
    #[arg(long, env = "S3CHUNK_PROFILE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,
    /// Where the bucket is named: in the path, in the host name (virtual), or as the store expects it
    #[arg(long, env = "S3CHUNK_ADDRESSING", value_name = "STYLE", value_enum, default_value_t)]
    addressing: AddressingArg,
    /// Send to AWS's nearest edge location, where the bucket has transfer acceleration
    #[arg(long, env = "S3CHUNK_ACCELERATE", value_parser = FalseyValueParser::new())]
    accelerate: bool,
    /// Use AWS's endpoints that IPv6 reaches as well as IPv4
    #[arg(long, env = "S3CHUNK_DUALSTACK", value_parser = FalseyValueParser::new())]
    dualstack: bool,
    /// Use AWS's endpoints whose encryption is validated by FIPS 140
    #[arg(long, env = "S3CHUNK_FIPS", value_parser = FalseyValueParser::new())]
    fips: bool,
    /// Account that the bucket must be of, in 12 digits; the store refuses each request otherwise
    #[arg(long, env = "S3CHUNK_EXPECTED_BUCKET_OWNER", value_name = "ID", value_parser = account)]
    expected_bucket_owner: Option<String>,
    /// Confirm that you pay for the requests, where the bucket's owner does not: "requester", and nothing
    /// else
    #[arg(long, env = "S3CHUNK_REQUEST_PAYER", value_name = "WHO", num_args = 0..=1, default_missing_value = "requester", value_parser = payer)]
    request_payer: Option<bool>,
    /// Send requests without a signature
    #[arg(long, env = "S3CHUNK_NO_SIGN_REQUEST", value_parser = FalseyValueParser::new())]
    no_sign_request: bool,
    /// PEM file of certificate authorities to trust beside the system's; else that of AWS_CA_BUNDLE
    #[arg(long, env = "S3CHUNK_CA_BUNDLE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca_bundle: Option<PathBuf>,
    /// Trust any certificate: whoever answers can read and change what is sent
    #[arg(long, env = "S3CHUNK_NO_VERIFY_SSL", conflicts_with = "ca_bundle", value_parser = FalseyValueParser::new())]
    no_verify_ssl: bool,
    /// Tries of a request that fails for a passing reason
    #[arg(long, env = "S3CHUNK_MAX_ATTEMPTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), default_value_t = RetryPolicy::default().max_attempts)]
    max_attempts: u32,
    /// How long to wait for a connection
    #[arg(long, env = "S3CHUNK_CONNECT_TIMEOUT", value_name = "TIME", value_parser = span, default_value_t = Span(Timeouts::default().connect))]
    connect_timeout: Span,
    /// How long a request may go on with no byte taken by the store, and none of its answer come
    #[arg(long, env = "S3CHUNK_STALL_TIMEOUT", value_name = "TIME", value_parser = span, default_value_t = Span(Timeouts::default().stall))]
    stall_timeout: Span,
}

/// What is said, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputArgs {
    /// Print results as JSON, a line each
    #[arg(long, env = "S3CHUNK_JSON", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) json: bool,
    /// How progress is shown on standard error: a bar, plain lines, or not at all; auto is a bar on a
    /// terminal, else a line every 10 % or 30 s
    #[arg(long, env = "S3CHUNK_PROGRESS", value_name = "HOW", value_enum, default_value_t)]
    pub(in crate::cli) progress: ProgressArg,
    /// Say nothing but errors (and what --json prints)
    #[arg(short, long, env = "S3CHUNK_QUIET", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) quiet: bool,
    /// Say more: each step and retry; twice, each request
    #[arg(short, long, env = "S3CHUNK_VERBOSE", action = ArgAction::Count)]
    pub(in crate::cli) verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum AddressingArg {
    #[default]
    Auto,
    Path,
    Virtual,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ProgressArg {
    #[default]
    Auto,
    Bar,
    Plain,
    None,
}

impl StoreArgs {
    /// The connection that is asked for, where `base` is what to start from.
    pub(in crate::cli) fn connection(&self, base: Connection) -> Connection {
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
            variants: Variants {
                accelerate: self.accelerate || base.variants.accelerate,
                dual_stack: self.dualstack || base.variants.dual_stack,
                fips: self.fips || base.variants.fips,
            },
            expected_bucket_owner: self.expected_bucket_owner.clone().or(base.expected_bucket_owner),
            requester_pays: self.request_payer.unwrap_or(base.requester_pays),
            ca_bundle: self.ca_bundle.clone().or(base.ca_bundle),
            trust_anyone: self.no_verify_ssl || base.trust_anyone,
            timeouts: Timeouts {
                connect: self.connect_timeout.0,
                stall: self.stall_timeout.0,
                ..base.timeouts
            },
            ..base
        }
    }

    /// How often to try.
    pub(in crate::cli) fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy { max_attempts: self.max_attempts, ..RetryPolicy::default() }
    }

    /// The words that name the same store on another command line.
    pub(in crate::cli) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let ca_bundle = self.ca_bundle.as_ref().map(|path| path.display().to_string());
        let addressing = match self.addressing {
            AddressingArg::Auto => None,
            AddressingArg::Path => Some("path".to_owned()),
            AddressingArg::Virtual => Some("virtual".to_owned()),
        };
        let payer = self.request_payer.filter(|pays| *pays).map(|_| "requester".to_owned());
        for (option, value) in [
            ("--endpoint-url", self.endpoint_url.clone()),
            ("--region", self.region.clone()),
            ("--profile", self.profile.clone()),
            ("--addressing", addressing),
            ("--expected-bucket-owner", self.expected_bucket_owner.clone()),
            ("--request-payer", payer),
            ("--ca-bundle", ca_bundle),
        ] {
            words.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        let flags = [
            ("--accelerate", self.accelerate),
            ("--dualstack", self.dualstack),
            ("--fips", self.fips),
            ("--no-sign-request", self.no_sign_request),
            ("--no-verify-ssl", self.no_verify_ssl),
        ];
        words.extend(flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag.to_owned()));
        words
    }
}
