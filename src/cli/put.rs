//! `s3chunk put`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use tokio::time::Instant;

use super::args::{FirstBytes, HEAD, PutArgs, Sources};
use super::batch::put_all;
use super::files::object;
use super::receipt::{Outcome, Receipt};
use super::report::{Exit, Object, Report};
use super::session::Session;
use super::signals::Signals;
use crate::Target;
use crate::error::{Cause, Error, Step};
use crate::plan::Plan;
use crate::source::{FileSource, StreamSource};
use crate::store::rusoto::Connection;
use crate::upload;

/// Uploads what the arguments name, and reports it. `words` are the command line, the program's name first.
pub(super) async fn run(args: &PutArgs, words: &[OsString], base: Connection, report: &Report) -> Exit {
    let (sources, target) = match args.what() {
        Ok(what) => what,
        Err(usage) => return report.error(&usage.into(), None),
    };
    let signals = Signals::listen(args.transfer.deadline.map(|deadline| deadline.0));
    let many = args.are_many(sources);
    let session = Session::new(args, words, base.to_bucket(target.bucket()), report, &signals, many);
    match sources {
        Sources::Paths(paths) if many => put_all(&session, paths, &target).await,
        Sources::Paths(paths) => {
            let path = Path::new(paths.first().map_or(OsStr::new(""), OsString::as_os_str));
            let object = object(path, &target).map_err(anyhow::Error::new);
            let named = object.as_ref().unwrap_or(&target).clone();
            let receipt = session.run(async { put_file(&session, path, object?).await }).await;
            finish(&session, &path.display().to_string(), &named, receipt)
        }
        Sources::Stdin | Sources::Command(..) => {
            let name = match sources {
                Sources::Command(program, _) => program.to_string_lossy().into_owned(),
                _ => "-".to_owned(),
            };
            let receipt = session.run(put_stream(&session, sources, &name, &target)).await;
            finish(&session, &name, &target, receipt)
        }
    }
}

/// Uploads a file, or says what would be done.
pub(super) async fn put_file(session: &Session<'_>, path: &Path, target: Target) -> anyhow::Result<Receipt> {
    let began = Instant::now();
    let args = session.args;
    let source = FileSource::open_with(path, session.pool.clone())?;
    let name = path.display().to_string();
    let request = args.request(path, FirstBytes::OfFile(path), target, &session.window)?;
    // Before anything is looked up or sent: a wrong size is the user's, whatever the store.
    let plan = Plan::new(source.size(), request.wishes).map_err(|e| Error::new(Step::Plan, e))?;
    let receipt = |outcome| Receipt::new(&name, &request, outcome, began.elapsed());
    let mut why = None;
    if args.files.skip_unchanged {
        match session.is_unchanged(&source, &request).await? {
            Ok(proof) => return Ok(receipt(Outcome::Unchanged { plan, proof })),
            Err(reason) => why = Some(reason),
        }
    }
    if args.transfer.dry_run {
        session.check_condition(&request).await?;
        let why = why.or(request.resume.then_some("it was not looked for an upload to resume"));
        return Ok(receipt(Outcome::DryRun { plan: Some(plan), why }));
    }
    let store = session.store().await?;
    let track = session.screen.track(&request.target);
    let uploaded = upload::put(store, &source, &request, &track, &session.stop).await?;
    Ok(receipt(Outcome::Uploaded { uploaded, retries: track.retries() }))
}

/// Uploads standard input, or what a command prints.
async fn put_stream(
    session: &Session<'_>,
    sources: Sources<'_>,
    name: &str,
    target: &Target,
) -> anyhow::Result<Receipt> {
    let began = Instant::now();
    let transfer = &session.args.transfer;
    let wished = |head| {
        let key = Path::new(target.key());
        session.args.request(key, FirstBytes::Known(head), target.clone(), &session.window)
    };
    let request = wished(b"")?;
    let size = request.expect.size;
    let plan = Plan::new(size.unwrap_or(0), request.wishes).map_err(|e| Error::new(Step::Plan, e))?;
    let plan = size.map(|_| plan);
    if transfer.dry_run {
        session.check_condition(&request).await?;
        return Ok(Receipt::new(name, &request, Outcome::DryRun { plan, why: None }, began.elapsed()));
    }
    let store = session.store().await?;
    let (memory, wanted) = (transfer.memory(), transfer.wanted_of_stream());
    let source = match sources {
        Sources::Command(program, args) => {
            StreamSource::command(program, args.iter().map(OsString::as_os_str), memory, wanted)
        }
        _ => StreamSource::stdin(memory, wanted),
    }?;
    // Nobody knows how long the first bytes take, and a condition that does not hold needs none.
    let first = async {
        session.check_condition(&request).await?;
        Ok::<_, anyhow::Error>(source.peek(HEAD.min(request.wishes.part_size)).await?)
    };
    let head = tokio::select! {
        head = first => head?,
        () = session.stop.cancelled() => return Err(Error::new(Step::Stop, Cause::Interrupted).into()),
    };
    let request = wished(&head)?;
    let track = session.screen.track(&request.target);
    let uploaded = upload::put(store, &source, &request, &track, &session.stop).await?;
    let outcome = Outcome::Uploaded { uploaded, retries: track.retries() };
    Ok(Receipt::new(name, &request, outcome, began.elapsed()))
}

/// Reports how the one upload of a run ended.
fn finish(session: &Session<'_>, source: &str, target: &Target, receipt: anyhow::Result<Receipt>) -> Exit {
    session.screen.finish();
    match receipt {
        Ok(receipt) => session.report.receipt(&receipt),
        Err(error) => session.failed(Object { source, target }, error),
    }
}
