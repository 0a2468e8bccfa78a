//! `s3chunk doctor`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::args::DoctorArgs;
use super::report::{Exit, Report};
use super::signals::Signals;
use super::text::printable;
use crate::doctor::{self, Finding, Sheet, Status};
use crate::error::{Error, Step};
use crate::event::Silent;
use crate::store::rusoto::{Connection, Identity, Origin, Outlook, Reached, RusotoStore};
use crate::store::{Kind, Operation, Retrying, StoreError};

/// How far clocks may be apart, in seconds, before it is worth a word. S3 allows 900.
const CLOCK_TOLERANCE: u64 = 300;

const ENDPOINT: &str = "endpoint";
const DNS: &str = "DNS";
const CONNECTION: &str = "connection";
const CREDENTIALS: &str = "credentials";
const CLOCK: &str = "clock";
const REGION: &str = "region";

/// The checks before the first operation.
const OF_CONNECTION: [&str; 5] = [ENDPOINT, DNS, CONNECTION, CLOCK, CREDENTIALS];

/// Why a check is left out.
const FAILED: &str = "an earlier check failed";

/// A finding as `--json` prints it.
#[derive(Serialize)]
struct Record<'a> {
    check: &'a str,
    status: &'a str,
    detail: &'a str,
    fix: Option<&'a str>,
}

/// Examines a store, and reports each finding as it is made.
pub(super) async fn run(args: &DoctorArgs, base: Connection, report: &Report) -> Exit {
    let signals = Signals::listen(None);
    let sheet = Sheet::new(|finding| show(finding, report));
    if let Err(error) = examine(args, base, &sheet, &signals).await {
        return report.error(&error, signals.exit());
    }
    match (signals.exit(), sheet.failure()) {
        (Some(exit), _) => report.error(&anyhow::anyhow!("interrupted"), Some(exit)),
        (None, Some(error)) => report.error(&Error::new(Step::Diagnose, error).into(), None),
        (None, None) => Exit::Success,
    }
}

async fn examine(
    args: &DoctorArgs,
    base: Connection,
    sheet: &Sheet<'_>,
    signals: &Signals,
) -> anyhow::Result<()> {
    let bucket = args.target.bucket();
    let connection = args.store.connection(base.to_bucket(bucket));
    let store = RusotoStore::connect(&connection).await?;
    let connected = tokio::select! {
        connected = connect(&store, bucket, sheet) => connected,
        () = signals.stop.cancelled() => return Ok(()),
    };
    let Some(outlook) = connected else {
        sheet.skip(&OF_CONNECTION, FAILED);
        sheet.skip(&[REGION], FAILED);
        doctor::skip(sheet, args.write, FAILED);
        return Ok(());
    };
    let stop = signals.stop.clone();
    let retrying = Retrying::new(store.clone(), args.store.retry_policy(), Arc::new(Silent), stop);
    doctor::examine(&retrying, &args.target, args.write, sheet, &signals.stop).await;
    if signals.exit().is_none() {
        region(&outlook, &store.outlook(bucket)?, sheet);
    }
    Ok(())
}

/// Checks all that lies before the first operation. `None` where there can be none.
async fn connect(store: &RusotoStore, bucket: &str, sheet: &Sheet<'_>) -> Option<Outlook> {
    let outlook = match store.outlook(bucket) {
        Ok(outlook) => outlook,
        Err(error) => {
            sheet.fail(ENDPOINT, &error, "use --addressing path, or another bucket");
            return None;
        }
    };
    endpoint(&outlook, sheet);
    if !dns(store, &outlook, sheet).await {
        return None;
    }
    match store.reach(bucket).await {
        Ok(reached) => {
            encryption(&reached, &outlook, sheet);
            clock(&reached, sheet);
        }
        Err(error) => {
            let certificate = error.message.contains("certificate");
            let fix = match error.kind {
                Kind::Refused if certificate => "name its authority's certificate by --ca-bundle",
                _ if outlook.proxy.is_some() => {
                    "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and --endpoint-url"
                }
                _ => "check --endpoint-url, its scheme and port, the network and its firewalls",
            };
            sheet.fail(CONNECTION, &error, fix);
            return None;
        }
    }
    credentials(store, sheet).await.then_some(outlook)
}

fn endpoint(outlook: &Outlook, sheet: &Sheet<'_>) {
    let url = match outlook.url_from {
        Origin::Asked => "as asked for",
        Origin::Variable(name) => name,
        Origin::Surroundings => "from the AWS files",
        Origin::Assumed => "AWS's own",
    };
    let region = match outlook.region_from {
        Origin::Asked => "as asked for",
        Origin::Variable(name) => name,
        Origin::Surroundings => "from the AWS files or the instance",
        Origin::Assumed => "since nothing names another",
    };
    let bucket = if outlook.is_virtual { "host name" } else { "path" };
    let detail =
        format!("{} ({url}), the bucket in the {bucket}, region {} ({region})", outlook.url, outlook.region);
    sheet.ok(ENDPOINT, detail);
}

async fn dns(store: &RusotoStore, outlook: &Outlook, sheet: &Sheet<'_>) -> bool {
    if let Some(proxy) = &outlook.proxy {
        sheet.ok(DNS, format!("left to the proxy {proxy}"));
        return true;
    }
    let host = outlook.host.trim_start_matches('[').trim_end_matches(']');
    if host.parse::<std::net::IpAddr>().is_ok() {
        sheet.ok(DNS, format!("{host} is an address"));
        return true;
    }
    let why = match store.addresses(host).await {
        Ok(found) if !found.is_empty() => {
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            sheet.ok(DNS, format!("{host} is {}", found.join(", ")));
            return true;
        }
        Ok(_) => "it has no address".to_owned(),
        Err(error) => error.to_string(),
    };
    let error = format!("cannot look up {host}: {why}");
    let fix = match outlook.is_virtual {
        true => {
            "check --endpoint-url, --region and this machine's DNS; --addressing path leaves the bucket out of the name"
        }
        false => "check --endpoint-url, --region and this machine's DNS",
    };
    sheet.fail(DNS, &StoreError::new(Operation::HeadBucket, Kind::Temporary, error), fix);
    false
}

fn encryption(reached: &Reached, outlook: &Outlook, sheet: &Sheet<'_>) {
    let proxy = outlook.proxy.as_ref().map(|proxy| format!(", by the proxy {proxy}")).unwrap_or_default();
    match &reached.tls {
        Some(version) if outlook.trusts_anyone => {
            let detail = format!("TLS {version}{proxy}; its certificate is not verified");
            sheet.warn(CONNECTION, detail, "use --ca-bundle in place of --no-verify-ssl");
        }
        Some(version) => sheet.ok(CONNECTION, format!("TLS {version}{proxy}; its certificate is trusted")),
        None => {
            sheet.ok(CONNECTION, format!("plain HTTP{proxy}: not encrypted, but payloads are signed"));
        }
    }
}

fn clock(reached: &Reached, sheet: &Sheet<'_>) {
    let Some(ahead) = reached.clock_ahead else {
        return sheet.skip(&[CLOCK], "the store does not tell the time");
    };
    let seconds = ahead.unsigned_abs();
    let way = if ahead < 0 { "ahead of" } else { "behind" };
    if seconds < CLOCK_TOLERANCE {
        let detail =
            if seconds == 0 { "as the store's".to_owned() } else { format!("{seconds} s {way} the store's") };
        return sheet.ok(CLOCK, detail);
    }
    let apart = humantime::format_duration(Duration::from_secs(seconds));
    let detail = format!("{apart} {way} the store's; s3chunk makes up for it, other tools may not");
    sheet.warn(CLOCK, detail, "set this machine's clock");
}

async fn credentials(store: &RusotoStore, sheet: &Sheet<'_>) -> bool {
    match store.identity().await {
        Ok(None) => sheet.ok(CREDENTIALS, "none: requests are not signed (--no-sign-request)"),
        Ok(Some(Identity { source, access_key_id, expires })) => {
            let who = format!("{access_key_id} from {source}");
            let Some(end) = expires else {
                sheet.ok(CREDENTIALS, who);
                return true;
            };
            let until = humantime::format_rfc3339_seconds(end);
            match end.duration_since(SystemTime::now()) {
                Ok(left) => {
                    let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
                    sheet.ok(CREDENTIALS, format!("{who}, good for {left} yet (until {until})"));
                }
                Err(_) => {
                    let fix = "log in again, or renew the credentials";
                    sheet.warn(CREDENTIALS, format!("{who}, which ended at {until}"), fix);
                }
            }
        }
        Err(error) => {
            let fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a --profile; --no-sign-request does without";
            sheet.fail(CREDENTIALS, &error, fix);
            return false;
        }
    }
    true
}

/// Whether the store sent requests to another region than the one they began with.
fn region(before: &Outlook, after: &Outlook, sheet: &Sheet<'_>) {
    if before.region == after.region && sheet.failure().is_some() {
        return sheet.skip(&[REGION], FAILED);
    }
    if before.region == after.region {
        return sheet.ok(REGION, format!("requests for {} are taken", after.region));
    }
    let detail = format!(
        "the bucket is in {}, and not in {}; requests go there all the same",
        after.region, before.region
    );
    sheet.warn(REGION, detail, format!("use --region {} or AWS_REGION={}", after.region, after.region));
}

fn show(finding: &Finding, report: &Report) {
    let Finding { check, status, detail, fix } = finding;
    let word = match status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "fail",
        Status::Skip => "skip",
    };
    report.record(&Record { check, status: word, detail, fix: fix.as_deref() });
    let mut lines = format!("{word:<5} {check}: {}", printable(detail));
    if let Some(fix) = fix {
        lines.push_str(&format!("\n      {}", printable(fix)));
    }
    match status {
        Status::Ok | Status::Skip => report.line(&lines),
        Status::Warn | Status::Fail => report.insist(&lines),
    }
}
