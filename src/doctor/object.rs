//! Objects beside the target: one that must not come about, and where that is asked for, one that is
//! made, completed over and deleted.

use std::collections::BTreeSet;

use super::upload::{ALGORITHM, BYTES};
use super::{COMPLETE, CONDITIONS, DELETE_OBJECT, Exam, IF_NONE_MATCH, PUT_OBJECT, probe_sums};
use crate::checksum::Checksum;
use crate::source::Part;
use crate::store::{
    Attributes, CompleteMultipartUpload, CompletedPart, Condition, Kind, PutObject, Store, StoreError,
    Written,
};
use crate::upload::abort;

/// An ETag that no object has.
const NO_ETAG: &str = "\"00000000000000000000000000000000\"";

/// What to do without conditions.
const WITHOUT: &str = "do not rely on --no-overwrite and --if-match here";

impl<S: Store> Exam<'_, S> {
    /// Whether `If-Match` is honoured: by an object that is made just where it is not.
    pub(super) async fn if_match(&self) {
        let condition = Condition::Matches(NO_ETAG.to_owned());
        let error = match self.put(Some(condition)).await {
            Ok(written) => {
                if self.delete(&[written]).await {
                    self.sheet.warn(CONDITIONS, "ignored: an object was made (and deleted again)", WITHOUT);
                }
                return;
            }
            Err(error) => error,
        };
        // An answer that was lost may have been one of success.
        if error.outcome_unknown() && self.is_there().await && !self.delete(&[Written::default()]).await {
            return;
        }
        match error.kind {
            Kind::Precondition | Kind::NotFound => self.sheet.ok(CONDITIONS, "honoured"),
            Kind::Refused => self.sheet.warn(CONDITIONS, format!("refused: {error}"), WITHOUT),
            Kind::Denied => {
                let fix = self.grants.on_objects(&error, "s3:PutObject and s3:GetObject");
                let too = self.grants.on_bucket(&error, "s3:ListBucket");
                self.sheet.warn(CONDITIONS, format!("cannot tell: {error}"), format!("{fix}, and {too}"));
            }
            _ => self.sheet.warn(CONDITIONS, format!("cannot tell: {error}"), "try again later"),
        }
    }

    /// Makes an object in one request and by an upload, and deletes it.
    pub(super) async fn objects(&self) {
        let mut made = Vec::new();
        match self.put(None).await {
            Ok(written) => {
                made.push(written);
                self.sheet.ok(PUT_OBJECT, "allowed");
            }
            Err(error) => {
                if error.outcome_unknown() {
                    made.push(Written::default());
                }
                self.sheet.fail(PUT_OBJECT, &error, self.grants.on_objects(&error, "s3:PutObject"));
            }
        }
        if !made.is_empty() && !self.stop.is_cancelled() {
            made.extend(self.if_none_match().await);
        }
        self.sheet.skip(&[IF_NONE_MATCH], "no object can be made");
        if !self.stop.is_cancelled() {
            made.extend(self.complete().await);
        }
        if made.is_empty() {
            self.sheet.skip(&[DELETE_OBJECT], "there is nothing to delete");
        } else if self.delete(&made).await {
            self.sheet.ok(DELETE_OBJECT, "allowed; the object is gone");
        }
    }

    /// Whether `If-None-Match` keeps the object that is there. Returns the one made in its place.
    async fn if_none_match(&self) -> Option<Written> {
        match self.put(Some(Condition::Absent)).await {
            Ok(written) => {
                self.sheet.warn(IF_NONE_MATCH, "ignored: an object was made over another", WITHOUT);
                Some(written)
            }
            Err(error) if error.kind == Kind::Precondition => {
                self.sheet.ok(IF_NONE_MATCH, "honoured");
                None
            }
            Err(error) if error.kind == Kind::Refused => {
                self.sheet.warn(IF_NONE_MATCH, format!("refused: {error}"), WITHOUT);
                None
            }
            Err(error) => {
                self.sheet.warn(IF_NONE_MATCH, format!("cannot tell: {error}"), "try again later");
                error.outcome_unknown().then(Written::default)
            }
        }
    }

    /// Completes an upload of one part. Returns the object.
    async fn complete(&self) -> Option<Written> {
        let created = match self.create_with(Some(ALGORITHM)).await {
            Ok(created) => Ok(created),
            Err(_) => self.create_with(None).await,
        };
        let created = created.map_err(|_| self.sheet.skip(&[COMPLETE], "no upload can be started")).ok()?;
        let upload = self.upload_of(created.upload_id);
        let stored = self.send(&upload, 1, self.sums(created.checksum)).await;
        let completed = match stored {
            Ok(part) => {
                let checksum = created.checksum.map(|algorithm| Checksum::of(algorithm, BYTES));
                let etag = part.etag.unwrap_or_default();
                let size = BYTES.len() as u64;
                let part = CompletedPart { number: 1, etag, size, checksum: checksum.clone() };
                let request = CompleteMultipartUpload {
                    upload: upload.clone(),
                    parts: vec![part],
                    size,
                    checksum,
                    condition: None,
                };
                self.store.complete_multipart_upload(&request).await
            }
            Err(error) => Err(error),
        };
        match completed {
            Ok(written) => {
                self.sheet.ok(COMPLETE, "allowed");
                Some(written)
            }
            Err(error) => {
                let _ = abort(self.store, &upload, false).await;
                self.sheet.fail(COMPLETE, &error, self.grants.on_objects(&error, "s3:PutObject"));
                error.outcome_unknown().then(Written::default)
            }
        }
    }

    async fn put(&self, condition: Option<Condition>) -> Result<Written, StoreError> {
        let request = PutObject {
            target: self.probe.clone(),
            body: Part::of_bytes(BYTES),
            trailer: None,
            sums: probe_sums(BYTES, None, self.store.signs_payload()),
            attributes: Attributes::default(),
            condition,
        };
        self.store.put_object(&request).await
    }

    async fn is_there(&self) -> bool {
        !self.store.head_object(&self.probe, None).await.is_err_and(|error| error.kind == Kind::NotFound)
    }

    /// Deletes the probe's object, each of its versions. Returns whether it is gone.
    async fn delete(&self, made: &[Written]) -> bool {
        let versions: BTreeSet<_> = made.iter().map(|written| written.version_id.as_deref()).collect();
        for version_id in versions {
            let Err(error) = self.store.delete_object(&self.probe, version_id).await else { continue };
            let action = version_id.map_or("s3:DeleteObject", |_| "s3:DeleteObjectVersion");
            let version = version_id.map(|id| format!(" --version-id {id}")).unwrap_or_default();
            let (bucket, key) = (self.probe.bucket(), self.probe.key());
            let fix = format!(
                "an object is left: {}, or remove it: aws s3api delete-object --bucket {bucket} --key '{key}'{version}",
                self.grants.on_objects(&error, action),
            );
            self.sheet.fail(DELETE_OBJECT, &error, fix);
            return false;
        }
        true
    }
}
