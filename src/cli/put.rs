//! `s3chunk put`.

use std::sync::Arc;

use tokio::time::Instant;

use super::args::PutArgs;
use super::progress;
use super::report::{Exit, Object, Outcome, Receipt, Report};
use super::signals::Signals;
use crate::Target;
use crate::error::{Error, Step};
use crate::plan::Plan;
use crate::source::FileSource;
use crate::store::Retrying;
use crate::store::rusoto::{Connection, RusotoStore};
use crate::upload;

/// Uploads a file, and reports it.
pub(super) async fn run(args: Box<PutArgs>, base: Connection, report: &Report) -> Exit {
    let source = args.source.display().to_string();
    match put(&args, base).await {
        Ok(receipt) => report.receipt(&receipt),
        Err(Failure { error, target, exit }) => {
            let target = target.unwrap_or(args.target);
            report.failure(Object { source: &source, target: &target }, &error, exit)
        }
    }
}

/// Why there is no object, and which it would have been.
struct Failure {
    error: anyhow::Error,
    target: Option<Target>,
    /// The exit code, where the error does not decide it.
    exit: Option<Exit>,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure { error: error.into(), target: None, exit: None }
    }
}

async fn put(args: &PutArgs, base: Connection) -> Result<Receipt, Failure> {
    let began = Instant::now();
    let signals = Signals::listen();
    let source = FileSource::open(&args.source).map_err(|e| Error::new(Step::Plan, e))?;
    let target = object(args)?;
    let failed = |error: anyhow::Error| Failure { error, target: Some(target.clone()), exit: signals.exit() };
    let request = args.request(target.clone()).map_err(|e| failed(e.into()))?;
    // Before anything is looked up or sent: a wrong size is the user's, whatever the store.
    let plan =
        Plan::new(source.size(), request.wishes).map_err(|e| failed(Error::new(Step::Plan, e).into()))?;
    let outcome = if args.transfer.dry_run {
        Outcome::DryRun(plan)
    } else {
        let connection = args.connection.connection(base);
        let store = RusotoStore::connect(&connection).await.map_err(|e| failed(e.into()))?;
        let screen = Arc::new(progress::Screen::new(&args.output, &target));
        let store = Retrying::new(store, Default::default(), screen.clone());
        let uploaded = tokio::select! {
            uploaded = upload::put(&store, &source, &request, &*screen, &signals.stop) => uploaded,
            never = screen.keep_talking() => match never {},
        };
        screen.finish();
        Outcome::Uploaded { uploaded: uploaded.map_err(|e| failed(e.into()))?, retries: store.retries() }
    };
    Ok(Receipt::new(&source, &request, outcome, began.elapsed()))
}

/// The object that the source becomes.
fn object(args: &PutArgs) -> anyhow::Result<Target> {
    if args.target.is_object() {
        return Ok(args.target.clone());
    }
    let name = args.source.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| {
        super::report::Usage(format!(
            "{} has no name that a key can be made of; write the whole key",
            args.source.display()
        ))
    })?;
    Ok(args.target.for_file(name).map_err(|e| super::report::Usage(e.to_string()))?)
}
