//! `s3chunk list`, `abort` and `clean`: uploads that nobody finished.

use std::sync::Arc;
use std::time::SystemTime;

use bytesize::ByteSize;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::args::{AbortArgs, CleanArgs, ListArgs, StoreArgs};
use super::progress::Notes;
use super::report::{Exit, Report};
use super::signals::Signals;
use crate::error::{Error, Fate, Left, Step};
use crate::store::rusoto::{Connection, RusotoStore};
use crate::store::{Kind, Operation, Retrying, Store, StoreError, Upload};
use crate::upload::{self, Held, Unfinished};

/// An unfinished upload as `--json` prints it.
#[derive(Serialize)]
struct Record<'a> {
    bucket: &'a str,
    key: &'a str,
    upload_id: &'a str,
    initiated: Option<String>,
    parts: Option<u32>,
    bytes: Option<u64>,
    abort_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// Lists unfinished uploads.
pub(super) async fn list(args: &ListArgs, base: Connection, report: &Report) -> Exit {
    let signals = Signals::listen(None);
    let listed = async {
        let store = connect(&args.store, base.to_bucket(args.target.bucket()), report, &signals).await?;
        find(&store, args.target.bucket(), args.target.key()).await
    };
    match signals.unless(listed).await {
        Ok(uploads) => {
            show(&uploads, report);
            Exit::Success
        }
        Err(error) => report.error(&error, signals.exit()),
    }
}

/// Aborts the unfinished uploads of one key.
pub(super) async fn abort(args: &AbortArgs, base: Connection, report: &Report) -> Exit {
    let signals = Signals::listen(None);
    let aborted = async {
        let store = connect(&args.store, base.to_bucket(args.target.bucket()), report, &signals).await?;
        let uploads = match &args.upload_id {
            Some(id) => vec![Upload { target: args.target.clone(), upload_id: id.clone() }],
            None => {
                let found = find(&store, args.target.bucket(), args.target.key()).await?;
                let of_key = found.into_iter().map(|found| found.upload);
                of_key.filter(|upload| upload.target == args.target).collect()
            }
        };
        if uploads.is_empty() {
            let none = "there is no unfinished upload of this key";
            let error = StoreError::new(Operation::ListMultipartUploads, Kind::NotFound, none);
            return Err(Error::new(Step::Abort, error).into());
        }
        // One that is named and not there is an error; one that vanishes after it was listed is not.
        let named = args.upload_id.is_some();
        drop_all(&store, &uploads, named, report).await
    };
    match signals.unless(aborted).await {
        Ok(()) => Exit::Success,
        Err(error) => report.error(&error, signals.exit()),
    }
}

/// Aborts unfinished uploads that were started long ago.
pub(super) async fn clean(args: &CleanArgs, base: Connection, report: &Report) -> Exit {
    let signals = Signals::listen(None);
    let cleaned = async {
        let store = connect(&args.store, base.to_bucket(args.target.bucket()), report, &signals).await?;
        let mut uploads = find(&store, args.target.bucket(), args.target.key()).await?;
        // Both by the store's clock.
        let limit = store.their_time(SystemTime::now()).checked_sub(args.older_than.0);
        uploads
            .retain(|found| found.initiated.zip(limit).is_some_and(|(initiated, limit)| initiated <= limit));
        if args.dry_run {
            for found in &uploads {
                done(&found.upload, "would-abort", report);
            }
            return Ok(());
        }
        let uploads: Vec<_> = uploads.into_iter().map(|found| found.upload).collect();
        drop_all(&store, &uploads, false, report).await
    };
    match signals.unless(cleaned).await {
        Ok(()) => Exit::Success,
        Err(error) => report.error(&error, signals.exit()),
    }
}

/// Connects to the store that the options name.
pub(super) async fn connect(
    args: &StoreArgs,
    base: Connection,
    report: &Report,
    signals: &Signals,
) -> anyhow::Result<Retrying<RusotoStore>> {
    let store = RusotoStore::connect(&args.connection(base)).await?;
    let notes = Arc::new(Notes::new(report.output()));
    Ok(Retrying::new(store, args.retry_policy(), notes, signals.stop.clone()))
}

async fn find(store: &Retrying<RusotoStore>, bucket: &str, prefix: &str) -> anyhow::Result<Vec<Unfinished>> {
    let found = upload::unfinished(store, bucket, prefix).await;
    Ok(found.map_err(|e| Error::new(Step::List, e))?)
}

/// Drops uploads one by one, and goes on where one can't be dropped.
async fn drop_all(
    store: &Retrying<RusotoStore>,
    uploads: &[Upload],
    must_be_there: bool,
    report: &Report,
) -> anyhow::Result<()> {
    let mut failed = None;
    for upload in uploads {
        match upload::abort(store, upload, must_be_there).await {
            Ok(()) => done(upload, "aborted", report),
            Err(fate) => {
                done(upload, "failed", report);
                failed = Some(Left { upload: upload.clone(), fate, held: None });
            }
        }
    }
    match failed {
        None => Ok(()),
        Some(left) => {
            let cause = match &left.fate {
                Fate::Stuck(Some(cause)) => cause.clone(),
                _ => {
                    let kept = "the store takes the abort and keeps the parts";
                    StoreError::new(Operation::AbortMultipartUpload, Kind::Temporary, kept)
                }
            };
            let is_gone = cause.kind == Kind::NotFound;
            let error = Error::new(Step::Abort, cause);
            Err(Error { left: (!is_gone).then(|| Box::new(left)), ..error }.into())
        }
    }
}

fn done(upload: &Upload, status: &'static str, report: &Report) {
    let Upload { target, upload_id } = upload;
    let record = Record {
        bucket: target.bucket(),
        key: target.key(),
        upload_id,
        initiated: None,
        parts: None,
        bytes: None,
        abort_date: None,
        status: Some(status),
    };
    let what = status.replace('-', " ");
    report.result(&record, || format!("{what} the upload {upload_id} of {target}"));
}

fn show(uploads: &[Unfinished], report: &Report) {
    let date = |at: Option<SystemTime>| at.map(|at| humantime::format_rfc3339_seconds(at).to_string());
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "STARTED",
        "PARTS",
        "SIZE",
        "DROPPED",
        "UPLOAD ID",
        "KEY",
    ]);
    for found in uploads {
        let Unfinished { upload, initiated, held } = found;
        let abort_date = held.and_then(|held: Held| held.abort_date);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            or_dash(date(*initiated)),
            or_dash(held.map(|held| held.parts.to_string())),
            or_dash(held.map(|held| ByteSize(held.bytes).to_string())),
            or_dash(date(abort_date)),
            upload.upload_id.clone(),
            upload.target.key().to_owned(),
        ]);
        report.record(&Record {
            bucket: upload.target.bucket(),
            key: upload.target.key(),
            upload_id: &upload.upload_id,
            initiated: date(*initiated),
            parts: held.map(|held| held.parts),
            bytes: held.map(|held| held.bytes),
            abort_date: date(abort_date),
            status: None,
        });
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if !uploads.is_empty() {
        report.line(&table.trim_fmt());
    }
}
