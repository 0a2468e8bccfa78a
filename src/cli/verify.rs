//! `s3chunk verify`.

use serde::Serialize;

use super::args::VerifyArgs;
use super::files::object;
use super::report::{Exit, Object, Report};
use super::signals::Signals;
use super::unfinished::connect;
use crate::error::{Error, Step};
use crate::source::FileSource;
use crate::store::rusoto::Connection;
use crate::upload::{self, Proof, Verdict};

/// A comparison as `--json` prints it.
#[derive(Serialize)]
struct Record<'a> {
    source: &'a str,
    bucket: &'a str,
    key: &'a str,
    size: u64,
    status: &'static str,
    proof: Option<String>,
}

/// Compares a file with an object, and reports it.
pub(super) async fn run(args: &VerifyArgs, base: Connection, report: &Report) -> Exit {
    let signals = Signals::listen(None);
    let source = args.source.display().to_string();
    let target = object(&args.source, &args.target);
    let compared = async {
        let file = FileSource::open(&args.source)?;
        let target = target.as_ref().map_err(|usage| anyhow::anyhow!(usage.clone()))?;
        let customer_key = args.sse_c_key.clone().or(base.customer_key);
        let base = Connection { customer_key, ..base }.to_bucket(target.bucket());
        let store = connect(&args.store, base, report, &signals).await?;
        let verdict = upload::verify(&store, &file, target, args.chunk_size.0).await?;
        let status = match verdict {
            Verdict::Same(_) => "same",
            Verdict::Different(mismatch) => return Err(Error::new(Step::Verify, mismatch).into()),
            Verdict::Unknown => "unknown",
        };
        let proof = match verdict {
            Verdict::Same(Proof::Checksum(sum)) => Some(format!("{} {sum}", sum.algorithm().name())),
            Verdict::Same(Proof::ETag(etag)) => Some(format!("ETag {etag}")),
            _ => None,
        };
        let (bucket, key) = (target.bucket(), target.key());
        let record = Record { source: &source, bucket, key, size: file.size(), status, proof };
        Ok(report_verdict(&record, report))
    };
    match signals.unless(compared).await {
        Ok(exit) => exit,
        Err(error) => {
            let target = target.as_ref().unwrap_or(&args.target);
            report.failure(Object { source: &source, target }, &error, signals.exit())
        }
    }
}

fn report_verdict(record: &Record<'_>, report: &Report) -> Exit {
    let Record { source, bucket, key, .. } = record;
    let Some(proof) = &record.proof else {
        report.result(record, || {
            format!(
                "cannot tell: s3://{bucket}/{key} has the size of {source}, and the store tells nothing else"
            )
        });
        return Exit::Failed;
    };
    report.result(record, || format!("same: s3://{bucket}/{key} is {source}, by its {proof}"));
    Exit::Success
}
