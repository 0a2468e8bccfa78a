//! Uploads that nobody finished: finding them, and what they hold.

use std::time::SystemTime;

use futures::{StreamExt, stream};

use crate::Target;
use crate::checksum::{Algorithm, ChecksumType};
use crate::store::{CompletedPart, ListedUpload, Store, StoreError, Upload};

/// Listings of parts that are asked for at once.
const AT_ONCE: usize = 8;

/// An unfinished upload, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The upload.
    pub upload: Upload,
    /// When it was started, by the store's clock.
    pub initiated: Option<SystemTime>,
    /// What it holds; `None` where the store does not tell.
    pub held: Option<Held>,
}

/// The parts that an unfinished upload holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The number of parts.
    pub parts: u32,
    /// Their bytes.
    pub bytes: u64,
    /// When the bucket's rules will drop it.
    pub abort_date: Option<SystemTime>,
}

/// Returns the unfinished uploads whose key starts with `prefix`, oldest first.
///
/// # Errors
/// When the store does not list uploads, or does not allow it.
pub async fn unfinished<S: Store>(
    store: &S,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<Unfinished>, StoreError> {
    let listed = listed(store, bucket, prefix).await?;
    let with_parts = listed.into_iter().filter_map(|listed| {
        let target = Target::new(bucket, listed.key).ok()?;
        let upload = Upload { target, upload_id: listed.upload_id };
        Some(async move {
            let held = parts_of(store, &upload).await.ok().map(Held::from);
            Unfinished { upload, initiated: listed.initiated, held }
        })
    });
    let mut all: Vec<_> = stream::iter(with_parts).buffered(AT_ONCE).collect().await;
    all.sort_by_key(|unfinished| unfinished.initiated);
    Ok(all)
}

/// Returns the unfinished uploads of exactly this key.
///
/// # Errors
/// When the store does not list uploads, or does not allow it.
pub async fn uploads_of<S: Store>(store: &S, target: &Target) -> Result<Vec<ListedUpload>, StoreError> {
    let mut uploads = listed(store, target.bucket(), target.key()).await?;
    uploads.retain(|upload| upload.key == target.key());
    Ok(uploads)
}

async fn listed<S: Store>(store: &S, bucket: &str, prefix: &str) -> Result<Vec<ListedUpload>, StoreError> {
    let (mut uploads, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_multipart_uploads(bucket, prefix, after.as_ref()).await?;
        // A page that brings nothing new would go round for ever.
        let more = page.uploads.iter().any(|upload| !uploads.contains(upload));
        uploads.extend(page.uploads);
        match page.next {
            Some(next) if more => after = Some(next),
            _ => return Ok(uploads),
        }
    }
}

/// What a store holds of an upload.
#[derive(Debug, Default)]
pub(super) struct HeldParts {
    pub(super) parts: Vec<CompletedPart>,
    /// The checksum that the upload was started with, where the store says it.
    pub(super) checksum: Option<(Algorithm, ChecksumType)>,
    abort_date: Option<SystemTime>,
}

/// Returns every part of an upload, page by page.
pub(super) async fn parts_of<S: Store>(store: &S, upload: &Upload) -> Result<HeldParts, StoreError> {
    let (mut held, mut after) = (HeldParts::default(), None);
    loop {
        let page = store.list_parts(upload, after).await?;
        held.parts.extend(page.parts);
        held.checksum = held.checksum.or(page.checksum);
        held.abort_date = held.abort_date.or(page.abort_date);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(held),
        }
    }
}

impl From<HeldParts> for Held {
    fn from(held: HeldParts) -> Self {
        let parts = u32::try_from(held.parts.len()).unwrap_or(u32::MAX);
        let bytes = held.parts.iter().map(|part| part.size).sum();
        Held { parts, bytes, abort_date: held.abort_date }
    }
}
