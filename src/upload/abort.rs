//! The other ending: an upload that is dropped, and seen to be gone.

use super::Job;
use crate::error::{Error, Left};
use crate::event::Event;
use crate::store::{Kind, Store, StoreError, Upload};

/// How often an upload is aborted at the most. A part that was in flight may be stored after the abort,
/// and then holds the upload ("AbortMultipartUpload", S3 API reference).
const ROUNDS: u32 = 4;

impl<S: Store> Job<'_, S> {
    /// Drops the upload that `error` ended, and says in it what is left.
    pub(super) async fn abort_after(&self, error: Error, upload: &Upload) -> Error {
        self.observer.event(&Event::Aborting(upload));
        Error { left: self.abort(upload).await.map(Box::new), ..error }
    }

    /// Drops an upload. Returns what is left of it, which is nothing where the store agrees that it is
    /// gone.
    pub(super) async fn abort(&self, upload: &Upload) -> Option<Left> {
        let left = |cause| Some(Left { upload: upload.clone(), cause });
        for _ in 0..ROUNDS {
            match self.store.abort_multipart_upload(upload).await {
                Err(error) if !is_gone(&error) => return left(Some(error)),
                _ => {}
            }
            match self.store.list_parts(upload, None).await {
                Err(error) if is_gone(&error) => return None,
                // Not every store lists an upload's parts, nor allows everyone to.
                Err(_) => return None,
                // Some stores answer with an empty list where there is no upload any more.
                Ok(page) if page.parts.is_empty() => return None,
                Ok(_) => {}
            }
        }
        left(None)
    }
}

/// Whether an error says that the upload is not there.
pub(super) fn is_gone(error: &StoreError) -> bool {
    error.kind == Kind::NotFound
}
