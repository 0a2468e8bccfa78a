//! Whether a store would take an upload, found out by trying: every operation that an upload needs, on a
//! small upload next to the target that is dropped again.
//!
//! [`examine`] is the story. Each check ends in a [`Finding`] on the [`Sheet`], told as soon as it is made.

mod fix;
mod object;
mod sheet;
mod upload;

use tokio_util::sync::CancellationToken;

pub use sheet::{Finding, Sheet, Status};

use crate::Target;
use crate::checksum::{Algorithm, Checksum, Sums, md5, sha256};
use crate::store::{Kind, Store};
use crate::target::{MAX_KEY_BYTES, TargetError};
use fix::Grants;

/// The checks of [`examine`], in their order.
const CHECKS: [&str; 11] = [
    BUCKET,
    LIST_UPLOADS,
    CREATE,
    UPLOAD_PART,
    CHECKSUMS,
    TRAILERS,
    CONTENT_MD5,
    LIST_PARTS,
    ABORT,
    HEAD_OBJECT,
    CONDITIONS,
];

/// The checks that `write` adds to them.
const WRITE_CHECKS: [&str; 4] = [PUT_OBJECT, IF_NONE_MATCH, COMPLETE, DELETE_OBJECT];

const BUCKET: &str = "bucket";
const LIST_UPLOADS: &str = "ListMultipartUploads";
const CREATE: &str = "CreateMultipartUpload";
const UPLOAD_PART: &str = "UploadPart";
const LIST_PARTS: &str = "ListParts";
const HEAD_OBJECT: &str = "HeadObject";
const ABORT: &str = "AbortMultipartUpload";
const CHECKSUMS: &str = "checksums";
const TRAILERS: &str = "trailers";
const CONTENT_MD5: &str = "Content-MD5";
const CONDITIONS: &str = "If-Match";
const PUT_OBJECT: &str = "PutObject";
const IF_NONE_MATCH: &str = "If-None-Match";
const COMPLETE: &str = "CompleteMultipartUpload";
const DELETE_OBJECT: &str = "DeleteObject";

/// What an examination has at hand.
struct Exam<'a, S> {
    store: &'a S,
    /// The object beside the target that never is for long.
    probe: Target,
    grants: Grants,
    sheet: &'a Sheet<'a>,
    stop: &'a CancellationToken,
}

/// Tries all that an upload to `target` needs, a check at a time, and leaves nothing behind. Where `write`
/// says so, objects are made too, and deleted.
///
/// Once `stop` is cancelled, what there is is dropped, and no further check is made.
pub async fn examine<S: Store>(
    store: &S,
    target: &Target,
    write: bool,
    sheet: &Sheet<'_>,
    stop: &CancellationToken,
) {
    let Ok(probe) = beside(target) else {
        return skip(sheet, write, "no key can be made beside the target's");
    };
    let exam = Exam { store, probe, grants: Grants::new(target), sheet, stop };
    let hope = tokio::select! {
        hope = async { exam.bucket().await && exam.listing().await } => hope,
        () = stop.cancelled() => return,
    };
    if hope {
        exam.upload().await;
        tokio::select! {
            () = exam.head_object() => {}
            () = stop.cancelled() => return,
        }
        exam.if_match().await;
        if write && !stop.is_cancelled() {
            exam.objects().await;
        }
    }
    if !stop.is_cancelled() {
        skip(sheet, write, "an earlier check failed");
    }
}

/// Says that what has not been checked yet by [`examine`] can't be, and why.
pub fn skip(sheet: &Sheet<'_>, write: bool, why: &str) {
    sheet.skip(&CHECKS, why);
    if write {
        sheet.skip(&WRITE_CHECKS, why);
    }
}

impl<S: Store> Exam<'_, S> {
    /// Whether the bucket is there. Returns whether it is worth to go on.
    async fn bucket(&self) -> bool {
        let bucket = self.probe.bucket();
        match self.store.head_bucket(bucket).await {
            Ok(head) => {
                let region = head.region.map(|region| format!(", in {region}")).unwrap_or_default();
                self.sheet.ok(BUCKET, format!("{bucket} is there{region}"));
            }
            // The answer to a HEAD has no body that could say why; later ones do.
            Err(error) if error.kind == Kind::Denied => {
                let fix = self.grants.on_bucket(&error, "s3:ListBucket");
                self.sheet.warn(BUCKET, format!("{error}; put does without"), fix);
            }
            Err(error) if error.kind == Kind::Refused => {
                self.sheet.warn(BUCKET, format!("cannot tell: {error}"), "see the checks that follow");
            }
            Err(mut error) => {
                if error.kind == Kind::NotFound {
                    error.code.get_or_insert_with(|| "NoSuchBucket".to_owned());
                }
                self.sheet.fail(BUCKET, &error, self.grants.on_bucket(&error, "s3:ListBucket"));
                return false;
            }
        }
        true
    }
}

/// Returns the address of an object beside the target, which nobody else has.
fn beside(target: &Target) -> Result<Target, TargetError> {
    let mut key = target.key().to_owned();
    let name = format!("s3chunk-doctor-{:016x}", fastrand::u64(..));
    let dot = if target.is_object() { "." } else { "" };
    while key.len() + dot.len() + name.len() > MAX_KEY_BYTES {
        key.pop();
    }
    Target::new(target.bucket(), format!("{key}{dot}{name}"))
}

/// What is sent along with bytes: a checksum, else their MD5; and their SHA-256 for the signature.
fn probe_sums(bytes: &[u8], algorithm: Option<Algorithm>, signed: bool) -> Sums {
    Sums {
        checksum: algorithm.map(|algorithm| Checksum::of(algorithm, bytes)),
        md5: algorithm.is_none().then(|| md5(bytes)),
        sha256: signed.then(|| sha256(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_lies_beside_the_target_and_is_never_the_target() {
        for (key, start) in
            [("", "s3chunk-doctor-"), ("a/", "a/s3chunk-doctor-"), ("a/b", "a/b.s3chunk-doctor-")]
        {
            let target = Target::new("b", key).unwrap();
            assert!(beside(&target).unwrap().key().starts_with(start));
        }
        let long = Target::new("b", "\u{e9}".repeat(512)).unwrap();
        let probe = beside(&long).unwrap();
        assert!(probe.key().len() <= 1024 && probe.key().contains(".s3chunk-doctor-"));
    }
}
