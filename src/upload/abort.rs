//! The other ending: an upload that is dropped, and seen to be gone.

use super::Job;
use super::unfinished::{Held, parts_of, uploads_of};
use crate::error::{Error, Fate, Left, Step};
use crate::event::Event;
use crate::store::{Kind, Store, StoreError, Upload};

/// How often an upload is aborted at the most. A part that was in flight may be stored after the abort,
/// and then holds the upload ("AbortMultipartUpload", S3 API reference).
const ROUNDS: u32 = 4;

impl<S: Store> Job<'_, S> {
    /// Drops the upload that `error` ended, or keeps it where that is wanted, and says in the error what
    /// is left.
    pub(super) async fn end(&self, error: Error, upload: &Upload) -> Error {
        let fate = match self.request.resume {
            // It was completed; what is wrong is wrong with the object.
            _ if error.step == Step::Verify => None,
            true => Some(Fate::Kept),
            false => {
                self.observer.event(&Event::Aborting(upload));
                abort(self.store, upload, false).await.err()
            }
        };
        let Some(fate) = fate else { return error };
        let held = parts_of(self.store, upload).await.ok().map(Held::from);
        Error { left: Some(Box::new(Left { upload: upload.clone(), fate, held })), ..error }
    }
}

/// Drops an upload, and makes sure as far as the store lets that it is gone.
///
/// # Errors
/// When it is still there, or may be; and where it `must_be_there`, when it is not.
pub async fn abort<S: Store>(store: &S, upload: &Upload, must_be_there: bool) -> Result<(), Fate> {
    for round in 0..ROUNDS {
        match store.abort_multipart_upload(upload).await {
            Err(error) if !is_gone(&error) || (must_be_there && round == 0 && !error.outcome_unknown()) => {
                return Err(Fate::Stuck(Some(error)));
            }
            _ => {}
        }
        match store.list_parts(upload, None).await {
            Err(error) if is_gone(&error) => return Ok(()),
            // Not every store lists an upload's parts, nor allows everyone to: the abort's answer must do.
            Err(error) if matches!(error.kind, Kind::Refused | Kind::Denied) => return Ok(()),
            Err(error) => return Err(Fate::Stuck(Some(error))),
            // Some stores answer with an empty list where there is no upload any more.
            Ok(page) if page.parts.is_empty() && !is_listed(store, upload).await => return Ok(()),
            Ok(_) => {}
        }
    }
    Err(Fate::Stuck(None))
}

async fn is_listed<S: Store>(store: &S, upload: &Upload) -> bool {
    let listed = uploads_of(store, &upload.target).await;
    listed.is_ok_and(|all| all.iter().any(|listed| listed.upload_id == upload.upload_id))
}

/// Whether an error says that the upload is not there.
pub(super) fn is_gone(error: &StoreError) -> bool {
    error.kind == Kind::NotFound
}
