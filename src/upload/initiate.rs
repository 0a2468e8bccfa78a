//! Step 1: CreateMultipartUpload, and what the store confirms of the checksum.

use std::time::SystemTime;

use super::abort::abort;
use super::integrity::{Integrity, refuses_checksum};
use super::unfinished::uploads_of;
use super::{ChecksumWish, Job};
use crate::checksum::Algorithm;
use crate::error::{Cause, Error, Step};
use crate::event::Event;
use crate::plan::Parts;
use crate::store::{CreateMultipartUpload, Created, Store, StoreError, Upload};

/// An upload that has begun.
pub(super) struct Started {
    pub(super) upload: Upload,
    /// How the source is cut; `None` for a stream whose end nobody knows.
    pub(super) parts: Option<Parts>,
    pub(super) integrity: Integrity,
    /// When it began, by the store's clock.
    pub(super) date: Option<SystemTime>,
    /// Whether somebody else, or an earlier run, began it.
    pub(super) resumed: bool,
    /// When an earlier try to begin it was lost on its way, by our clock.
    pub(super) lost_since: Option<SystemTime>,
}

impl<S: Store> Job<'_, S> {
    /// Starts the upload. It is waited for even when somebody asks to stop: an upload whose id is not
    /// known could not be dropped.
    pub(super) async fn initiate(&self, parts: Option<Parts>) -> Result<Started, Error> {
        if self.stop.is_cancelled() {
            return Err(Error::new(Step::Stop, Cause::Interrupted));
        }
        let wish = self.request.checksum;
        let mut created = self.create(wish.algorithm()).await;
        let refused = wish == ChecksumWish::Auto && created.as_ref().is_err_and(refuses_checksum);
        if refused {
            created = self.create(None).await;
        }
        let created = match created {
            Ok(created) => created,
            Err(error) => {
                if let Some(since) = error.unknown_since {
                    self.drop_lost_uploads(None, since).await;
                }
                return Err(Error::new(Step::Initiate, error));
            }
        };
        let upload = self.upload(created.upload_id);
        self.observer.event(&Event::Initiated(&upload));
        if let (ChecksumWish::Algorithm(algorithm), None) = (wish, created.checksum) {
            self.unconfirmed(algorithm);
        }
        if created.bare {
            self.mention_bare();
        }
        let sign = self.store.signs_payload();
        let integrity = Integrity::new(wish, created.checksum, refused, sign).with_trailers(self.trailers());
        let (date, lost_since) = (created.date, created.lost_since);
        Ok(Started { upload, parts, integrity, date, resumed: false, lost_since })
    }

    /// Says that the store does not confirm the checksum that was asked for.
    pub(super) fn unconfirmed(&self, algorithm: Algorithm) {
        let notice = format!("the store does not confirm {}, and may not check it", algorithm.name());
        self.observer.event(&Event::Notice(&notice));
    }

    /// Says that the store does not tell of the encryption that was asked for.
    pub(super) fn mention_bare(&self) {
        let notice = "the store does not say that it encrypts, as was asked, and may not";
        self.observer.event(&Event::Notice(notice));
    }

    async fn create(&self, checksum: Option<Algorithm>) -> Result<Created, StoreError> {
        let request = CreateMultipartUpload {
            target: self.request.target.clone(),
            attributes: self.request.attributes.clone(),
            checksum,
        };
        self.store.create_multipart_upload(&request).await
    }

    /// Drops the uploads that lost answers may have left: those of this very key, but ours, that began
    /// since the first try and have no part. Best called late: somebody else's has parts by then.
    pub(super) async fn drop_lost_uploads(&self, ours: Option<&Upload>, since: SystemTime) {
        let Ok(uploads) = uploads_of(self.store, &self.request.target).await else {
            let notice = "an earlier try may have started an upload that cannot be looked for here";
            return self.observer.event(&Event::Notice(notice));
        };
        let since = self.store.their_time(since);
        for listed in uploads {
            let upload = self.upload(listed.upload_id);
            let lost = listed.initiated.is_some_and(|initiated| initiated >= since);
            if lost && ours != Some(&upload) && self.has_no_part(&upload).await {
                // Whoever may not drop it will not hear more of it than this.
                let _ = abort(self.store, &upload, false).await;
            }
        }
    }

    async fn has_no_part(&self, upload: &Upload) -> bool {
        self.store.list_parts(upload, None).await.is_ok_and(|page| page.parts.is_empty())
    }
}
