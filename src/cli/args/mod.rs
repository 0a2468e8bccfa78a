//! The options, and their conversion into the library's types.

mod date;
mod doctor;
mod object;
mod object_values;
mod pages;
mod put;
mod store;
mod unfinished;
mod values;

use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(super) use doctor::DoctorArgs;
pub(super) use object::{FirstBytes, HEAD};
pub(super) use pages::Page;
pub(super) use put::{PutArgs, Sources};
pub(super) use store::{OutputArgs, ProgressArg, StoreArgs};
pub(super) use unfinished::{AbortArgs, CleanArgs, ListArgs, VerifyArgs};
pub(super) use values::Concurrency;

/// Uploads files to S3 and its kin, in parts, and finishes.
///
/// A file above the chunk size goes in S3's three steps: the upload is initiated, its parts are
/// uploaded many at once, and it is completed. A smaller file goes in a single request. Every byte is
/// covered by a checksum that the store verifies, and whatever fails, nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "s3chunk", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) task: Task,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    #[command(flatten)]
    Command(Box<Command>),
    #[command(flatten)]
    Page(Page),
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Put(Box<PutArgs>),
    List(ListArgs),
    Abort(AbortArgs),
    Clean(CleanArgs),
    Verify(VerifyArgs),
    Doctor(DoctorArgs),
}

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    uploaded, or already there (--skip-unchanged)
  1    failed otherwise
  2    wrong usage
  3    the source is missing, unreadable, changed, of another size than expected, or its reader failed
  4    no credentials, or access denied
  5    no such bucket, object or upload
  6    checksum mismatch (--expect-sha256 included)
  7    a precondition does not hold (--no-overwrite, --if-match)
  8    some of several files failed
  75   temporary: network, throttling, server errors, or --deadline; try again later
  130  interrupted (143 by SIGTERM, 129 by SIGHUP)";

/// A variable that nobody sets: an option's variable can be changed, and not be taken away.
const NO_VARIABLE: &str = "S3CHUNK_NO_SUCH_VARIABLE";

/// How often a line of plain progress is written at the least.
pub(super) const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

impl Arguments {
    /// Reads the command line, and the variables that stand for options. An empty variable is none.
    ///
    /// # Errors
    /// When they cannot be meant, or ask for help.
    pub(super) fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let unset = |arg: Arg| match arg.get_env().and_then(std::env::var_os) {
            Some(value) if value.is_empty() => arg.env(NO_VARIABLE).hide_env(true),
            _ => arg,
        };
        // A value that is wrong for its sign is better told so than taken for an option.
        let command = Arguments::command()
            .mut_subcommands(|command| command.mut_args(unset).allow_negative_numbers(true));
        let matches = command.try_get_matches_from(words)?;
        let mut arguments = Arguments::from_arg_matches(&matches)?;
        if let (Task::Command(command), Some(matches)) =
            (&mut arguments.task, matches.subcommand_matches("put"))
            && let Command::Put(args) = &mut **command
        {
            args.files.put_in_order(matches);
            args.take_words();
        }
        Ok(arguments)
    }
}

impl Command {
    /// The options of output, which every command has.
    pub(super) fn output(&self) -> &OutputArgs {
        match self {
            Command::Put(args) => &args.output,
            Command::List(args) => &args.output,
            Command::Abort(args) => &args.output,
            Command::Clean(args) => &args.output,
            Command::Verify(args) => &args.output,
            Command::Doctor(args) => &args.output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::Window;
    use std::path::Path;

    fn put(options: &[&str]) -> Result<PutArgs, clap::Error> {
        let args = ["s3chunk", "put", "f.json", "b/k"].iter().chain(options);
        match Arguments::try_parse_from(args)?.task {
            Task::Command(command) => match *command {
                Command::Put(put) => Ok(*put),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn attributes(options: &[&str]) -> Vec<(String, String)> {
        let put = put(options).unwrap();
        let request = put
            .request(Path::new("f.json"), FirstBytes::Known(b""), "b/k".parse().unwrap(), &Window::new(1))
            .unwrap();
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
        for wrong in ["0", "0MiB", "8M", "", "big", "-1", "8 parsecs"] {
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
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
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
