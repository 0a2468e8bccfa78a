//! `s3chunk put`.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::args::PutArgs;
use super::progress::Screen;
use super::receipt::{Outcome, Receipt};
use super::report::{Exit, Object, Report, Usage};
use super::signals::Signals;
use crate::Target;
use crate::error::{Error, Step};
use crate::plan::Plan;
use crate::source::FileSource;
use crate::store::rusoto::{Connection, RusotoStore};
use crate::store::{HedgePolicy, Hedging, Retrying};
use crate::upload;

/// Uploads a file, and reports it. `words` are the command line, the program's name first.
pub(super) async fn run(args: &PutArgs, words: &[OsString], base: Connection, report: &Report) -> Exit {
    let signals = Signals::listen(args.transfer.deadline.map(|deadline| deadline.0));
    match put(args, base, &signals).await {
        Ok(receipt) => report.receipt(&receipt),
        Err(error) => {
            let source = args.source.display().to_string();
            let target = object(&args.source, &args.target).unwrap_or_else(|_| args.target.clone());
            let object = Object { source: &source, target: &target };
            let error = signals.explain(error);
            let exit = report.failure(object, &error, signals.exit());
            report.ways_on(&error, words, &args.store);
            exit
        }
    }
}

async fn put(args: &PutArgs, base: Connection, signals: &Signals) -> anyhow::Result<Receipt> {
    let began = Instant::now();
    let source = FileSource::open(&args.source)?;
    let request = args.request(object(&args.source, &args.target)?)?;
    // Before anything is looked up or sent: a wrong size is the user's, whatever the store.
    let plan = Plan::new(source.size(), request.wishes).map_err(|e| Error::new(Step::Plan, e))?;
    if args.transfer.dry_run {
        return Ok(Receipt::new(&source, &request, Outcome::DryRun(plan), began.elapsed()));
    }
    let screen = Arc::new(Screen::new(&args.output, &request.target));
    let store = RusotoStore::connect(&args.connection(base)).await?;
    let store = Hedging::new(store, HedgePolicy::new(request.window.limit()));
    let store = Retrying::new(store, args.store.retry_policy(), screen.clone(), signals.stop.clone());
    let uploaded = tokio::select! {
        uploaded = upload::put(&store, &source, &request, &*screen, &signals.stop) => uploaded,
        never = screen.keep_talking() => match never {},
    };
    screen.finish();
    let outcome = Outcome::Uploaded { uploaded: uploaded?, retries: store.retries() };
    Ok(Receipt::new(&source, &request, outcome, began.elapsed()))
}

/// The object that a source becomes.
pub(super) fn object(source: &Path, target: &Target) -> Result<Target, Usage> {
    if target.is_object() {
        return Ok(target.clone());
    }
    let name = source.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Usage(format!("{} has no name that a key can be made of; write the whole key", source.display()))
    })?;
    target.for_file(name).map_err(|e| Usage(e.to_string()))
}
