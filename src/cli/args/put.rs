//! The options of `put`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::Path;

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args, ValueEnum, ValueHint};

use super::super::files::Rule;
use super::super::report::Usage;
use super::object::{FirstBytes, ObjectArgs};
use super::store::{OutputArgs, StoreArgs};
use super::values::{
    Concurrency, Size, Span, any_size, concurrency, max_parts, memory, rate, sha256, size, span,
};
use crate::checksum::{Algorithm, Wanted};
use crate::plan::{DEFAULT_PART_SIZE, MAX_PARTS, Wishes};
use crate::source::DEFAULT_MEMORY;
use crate::store::rusoto::{Connection, PayloadSigning};
use crate::store::{AttributeError, Condition};
use crate::upload::{ChecksumWish, Expect, Request, Trailers, Window};
use crate::{Target, pace};

/// Uploads files, folders, or a stream to a bucket.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, override_usage = "\
s3chunk put [OPTIONS] <SOURCE>... <TARGET>
       s3chunk put [OPTIONS] <TARGET> --exec -- <COMMAND> [ARG]...")]
pub(in crate::cli) struct PutArgs {
    /// What to upload, and at last where it goes. A source is a file, a folder (with --recursive), or - for
    /// standard input. The target is bucket/key or s3://bucket/key; a bucket alone or a key that ends
    /// in '/' gets the file's name appended, and several sources need such a one. The key is taken literally
    #[arg(value_name = "SOURCE... TARGET", value_hint = ValueHint::AnyPath)]
    words: Vec<OsString>,
    /// The command whose output is uploaded, with --exec
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    #[command(flatten)]
    pub(in crate::cli) transfer: TransferArgs,
    #[command(flatten)]
    pub(in crate::cli) files: FilesArgs,
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
    /// The most parts, for stores that take fewer than 10,000
    #[arg(long, env = "S3CHUNK_MAX_PARTS", value_name = "N", value_parser = max_parts, default_value_t = MAX_PARTS)]
    max_parts: u32,
    /// Parts, or small files, in flight at once, at most; auto starts with 8 and takes more, up to 64, while that makes
    /// the bytes flow faster
    #[arg(long, env = "S3CHUNK_CONCURRENCY", value_name = "N|auto", value_parser = concurrency, default_value_t = Concurrency::Auto)]
    pub(in crate::cli) concurrency: Concurrency,
    /// The most memory for bytes of a stream that are not stored yet; a chunk that is larger than this goes
    /// through a temporary file
    #[arg(long, env = "S3CHUNK_MAX_MEMORY", value_name = "SIZE", value_parser = memory, default_value_t = Size(DEFAULT_MEMORY))]
    max_memory: Size,
    /// Upload what a command prints, given behind --; the object is made only if the command exits with 0
    #[arg(long, env = "S3CHUNK_EXEC", value_parser = FalseyValueParser::new())]
    exec: bool,
    /// Make no object unless the source has this many bytes. A stream is then cut into even parts, as some stores demand
    #[arg(long, env = "S3CHUNK_EXPECT_SIZE", value_name = "SIZE", value_parser = any_size)]
    expect_size: Option<Size>,
    /// Make no object of fewer bytes than this
    #[arg(long, env = "S3CHUNK_MIN_SIZE", value_name = "SIZE", value_parser = any_size)]
    min_size: Option<Size>,
    /// Make no object unless this is the SHA-256 of all its bytes, in hexadecimal
    #[arg(long, env = "S3CHUNK_EXPECT_SHA256", value_name = "HEX", value_parser = sha256)]
    expect_sha256: Option<[u8; 32]>,
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
    /// Whether the checksum goes behind the bytes, so that they are read but once: auto is at AWS over TLS.
    /// Else it goes before them, and the file is read twice
    #[arg(long, env = "S3CHUNK_CHECKSUM_TRAILER", value_name = "WHEN", value_enum, default_value_t)]
    checksum_trailer: TrailerArg,
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
    /// Send at most this many bytes a second, all parts together, say 10MiB/s
    #[arg(long, env = "S3CHUNK_LIMIT_RATE", value_name = "SIZE/s", value_parser = rate)]
    limit_rate: Option<NonZeroU64>,
}

/// Which files, where there are many.
#[derive(Debug, Args)]
#[command(next_help_heading = "Many files")]
pub(in crate::cli) struct FilesArgs {
    /// Upload the files in folders, and in the folders within. Symbolic links are followed. Keys are relative to the
    /// folder; among several sources the folder's own name comes first
    #[arg(short, long, env = "S3CHUNK_RECURSIVE", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) recursive: bool,
    /// Take files again that an --exclude before this left out: of the rules that match a file or a folder it is in, the
    /// last one counts. Globs are those of .gitignore, relative to the folder
    #[arg(long, env = "S3CHUNK_INCLUDE", value_name = "GLOB", value_parser = glob)]
    include: Vec<String>,
    /// Leave out files or folders that match, say "*.tmp" or "/build/"
    #[arg(long, env = "S3CHUNK_EXCLUDE", value_name = "GLOB", value_parser = glob)]
    exclude: Vec<String>,
    /// Both, in the order in which they were given.
    #[arg(skip)]
    rules: Vec<Rule>,
    /// Send no file whose object is there already and has these very bytes, by size and checksum or ETag
    #[arg(long, env = "S3CHUNK_SKIP_UNCHANGED", conflicts_with_all = ["no_overwrite", "if_match"], value_parser = FalseyValueParser::new())]
    pub(in crate::cli) skip_unchanged: bool,
    /// Stop at the first file that fails
    #[arg(long, env = "S3CHUNK_FAIL_FAST", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) fail_fast: bool,
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
enum TrailerArg {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PayloadSigningArg {
    #[default]
    Auto,
    Always,
    Never,
}

/// What is to be uploaded.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Sources<'a> {
    /// Files and folders.
    Paths(&'a [OsString]),
    /// Standard input.
    Stdin,
    /// What a command prints: the program, and its arguments.
    Command(&'a OsString, &'a [OsString]),
}

impl PutArgs {
    /// Without `--exec`, takes what stands behind `--` as words like the others, only that none is an option.
    /// Where words stand on both sides, it may be a command that was meant.
    pub(super) fn take_words(&mut self) {
        if !self.transfer.exec && self.words.is_empty() {
            self.words.append(&mut self.command);
        }
    }

    /// Whether there may be several files.
    pub(in crate::cli) fn are_many(&self, sources: Sources<'_>) -> bool {
        self.files.recursive || matches!(sources, Sources::Paths([_, _, ..]))
    }

    /// What is to be uploaded, and where to.
    ///
    /// # Errors
    /// When the words can't be meant so.
    pub(in crate::cli) fn what(&self) -> Result<(Sources<'_>, Target), Usage> {
        let wrong = |text: &str| Err(Usage(text.to_owned()));
        if !self.transfer.exec && !self.command.is_empty() {
            return wrong(
                "words stand before and behind --: a command needs --exec, and files go all before or all behind it",
            );
        }
        let (sources, target) = match self.words.as_slice() {
            [target] if self.transfer.exec => (None, target),
            [_] => return wrong("a source and a target are needed: s3chunk put SOURCE... TARGET"),
            [sources @ .., target] => (Some(sources), target),
            [] if self.transfer.exec => {
                return wrong("the target is missing: s3chunk put TARGET --exec -- COMMAND ARG...");
            }
            [] => return wrong("a source and a target are needed: s3chunk put SOURCE... TARGET"),
        };
        let text = target.to_str().ok_or_else(|| Usage("the target is no UTF-8".to_owned()))?;
        let target: Target = text.parse().map_err(|e| Usage(format!("the target {text:?}: {e}")))?;
        let sources = match (sources, self.command.split_first()) {
            (None, Some((program, args))) => Sources::Command(program, args),
            (None, None) => {
                return wrong(
                    "--exec needs a command behind --: s3chunk put TARGET --exec -- COMMAND ARG...",
                );
            }
            (Some(_), _) if self.transfer.exec => {
                return wrong("with --exec the command is the source, and the target alone stands before --");
            }
            (Some([source]), _) if source == "-" => Sources::Stdin,
            (Some(paths), _) if paths.iter().any(|path| path == "-") => {
                return wrong("standard input (-) goes alone; a file of that name is written ./-");
            }
            (Some(paths), _) => Sources::Paths(paths),
        };
        let stream = !matches!(sources, Sources::Paths(_));
        let many = self.are_many(sources);
        let (transfer, files) = (&self.transfer, &self.files);
        if stream && (files.recursive || files.skip_unchanged) {
            return wrong(
                "a stream is no folder, and can't be compared before it is sent: --recursive and --skip-unchanged are for files",
            );
        }
        if stream && transfer.resume {
            return wrong("a stream can't be read again from its start: --resume is for files");
        }
        if stream && !target.is_object() {
            return wrong("a stream has no name: write the whole key");
        }
        if many && (transfer.expect_sha256.is_some() || transfer.expect_size.is_some()) {
            return wrong("--expect-size and --expect-sha256 are of one source, and several are named");
        }
        if many && transfer.if_match.is_some() {
            return wrong("--if-match is the ETag of one object, and several are to be made");
        }
        if matches!(sources, Sources::Paths([_, _, ..])) && target.is_object() {
            return Err(Usage(format!("several sources need a target that ends in '/': {text}/")));
        }
        if !files.rules.is_empty() && !files.recursive {
            return wrong(
                "--include and --exclude choose among the files of a folder: --recursive is missing",
            );
        }
        Ok((sources, target))
    }

    /// The upload that is asked for, to the object `target`, of a source that is called `name`, and is
    /// `file` where it is one.
    ///
    /// # Errors
    /// When an attribute can't be sent.
    pub(in crate::cli) fn request(
        &self,
        name: &Path,
        first: FirstBytes<'_>,
        target: Target,
        window: &Window,
    ) -> Result<Request, AttributeError> {
        let transfer = &self.transfer;
        let mut request = Request::new(target);
        request.wishes = Wishes { part_size: transfer.chunk_size.0, max_parts: transfer.max_parts };
        request.window = window.clone();
        request.attributes = self.object.attributes(name, first)?;
        request.expect = Expect {
            size: transfer.expect_size.map(|size| size.0),
            min_size: transfer.min_size.map(|size| size.0),
            sha256: transfer.expect_sha256,
        };
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
        request.trailers = transfer.trailers();
        Ok(request)
    }

    /// The connection that is asked for, where `base` is what to start from.
    pub(in crate::cli) fn connection(&self, base: Connection) -> Connection {
        let payload_signing = match self.transfer.payload_signing {
            PayloadSigningArg::Auto => base.payload_signing,
            PayloadSigningArg::Always => PayloadSigning::Always,
            PayloadSigningArg::Never => PayloadSigning::Never,
        };
        let customer_key = self.object.customer_key().or_else(|| base.customer_key.clone());
        let limit_rate = self.transfer.limit_rate.or(base.limit_rate);
        Connection { payload_signing, customer_key, limit_rate, ..self.store.connection(base) }
    }
}

impl TransferArgs {
    /// The window that is asked for, as it is to begin with.
    pub(in crate::cli) fn window(&self) -> Window {
        Window::new(match self.concurrency {
            Concurrency::Auto => pace::FIRST,
            Concurrency::Fixed(number) => number.into(),
        })
    }

    /// Whether checksums go before the bytes or behind them.
    pub(in crate::cli) fn trailers(&self) -> Trailers {
        match self.checksum_trailer {
            TrailerArg::Auto => Trailers::Auto,
            TrailerArg::Always => Trailers::Always,
            TrailerArg::Never => Trailers::Never,
        }
    }

    /// The most bytes of a stream that are held.
    pub(in crate::cli) fn memory(&self) -> u64 {
        self.max_memory.0
    }

    /// What to compute of a whole stream.
    pub(in crate::cli) fn wanted_of_stream(&self) -> Wanted {
        Wanted { sha256: self.expect_sha256.is_some(), ..Wanted::default() }
    }
}

impl FilesArgs {
    /// Takes the rules in the order in which they stand on the command line.
    pub(super) fn put_in_order(&mut self, matches: &ArgMatches) {
        let places = |id| matches.indices_of(id).into_iter().flatten();
        let excludes = places("exclude").zip(self.exclude.iter().map(|glob| Rule::exclude(glob)));
        let includes = places("include").zip(self.include.iter().map(|glob| Rule::include(glob)));
        let mut rules: Vec<_> = excludes.chain(includes).collect();
        rules.sort_by_key(|(place, _)| *place);
        self.rules = rules.into_iter().filter_map(|(_, rule)| rule.ok()).collect();
    }

    /// Which files of a folder are taken.
    pub(in crate::cli) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// Reads a glob.
fn glob(text: &str) -> Result<String, String> {
    Rule::exclude(text).map(|_| text.to_owned())
}
