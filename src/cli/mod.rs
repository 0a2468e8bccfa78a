//! The command: arguments, a store, an upload, a report, an exit code.

mod args;
mod batch;
mod doctor;
mod failure;
mod files;
mod github;
mod pages;
mod progress;
mod put;
mod receipt;
mod report;
mod session;
mod signals;
mod text;
mod track;
mod unfinished;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::store::rusoto::Connection;
use args::{Arguments, Command, Task};
use report::{Exit, Report};

/// Worker threads at the most: more do not make uploads faster, and each costs memory.
const MAX_WORKERS: usize = 4;

/// Runs the command line `args`, the program's name first, and returns its exit code.
///
/// `base` is the connection that the options and the environment change; a program that embeds the
/// command can point it at a store of its own.
pub fn run(args: impl IntoIterator<Item = OsString>, base: Connection) -> ExitCode {
    let words: Vec<OsString> = args.into_iter().collect();
    let command = match Arguments::read(&words).map(|arguments| arguments.task) {
        Ok(Task::Command(command)) => command,
        Ok(Task::Page(page)) => return pages::print(&page).into(),
        Err(error) => return report::usage(&error).into(),
    };
    log(command.output().verbose);
    let report = Report::new(command.output());
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(async {
                match &*command {
                    Command::Put(args) => put::run(args, &words, base, &report).await,
                    Command::List(args) => unfinished::list(args, base, &report).await,
                    Command::Abort(args) => unfinished::abort(args, base, &report).await,
                    Command::Clean(args) => unfinished::clean(args, base, &report).await,
                    Command::Verify(args) => verify::run(args, base, &report).await,
                    Command::Doctor(args) => doctor::run(args, base, &report).await,
                }
            });
            // A read from a dead disk or network mount may never return; nobody needs it any more.
            runtime.shutdown_background();
            exit
        }
        Err(error) => report.error(&anyhow::Error::new(error).context("cannot start"), None),
    };
    report.flush(exit).into()
}

/// Lets the library's own log through to standard error, from `-vv` on. What other crates log may hold
/// secrets and is never shown.
fn log(verbose: u8) {
    let level = match verbose {
        0 | 1 => return,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).without_time();
    let ours = Targets::new().with_target("s3chunk", level);
    // A program that embeds the command may have a log of its own.
    let _ = tracing_subscriber::registry().with(ours).with(lines).try_init();
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
