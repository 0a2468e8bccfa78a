//! Going on with an upload that somebody left, with no state of our own: the store knows the parts, and
//! the file's bytes say which of them are ours.

use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};

use super::Job;
use super::abort::is_gone;
use super::initiate::Started;
use super::integrity::{ChecksumWish, Integrity, etag_md5};
use super::unfinished::{HeldParts, parts_of, uploads_of};
use crate::checksum::{Algorithm, Wanted};
use crate::error::{Error, Step};
use crate::event::Event;
use crate::plan::{Parts, Plan};
use crate::source::{Part, Source};
use crate::store::{CompletedPart, Kind, ListedUpload, Store, StoreError, Upload};

/// An upload that is there, and those of its parts that hold the source's bytes.
type Found = (Started, Vec<CompletedPart>);

impl<S: Store> Job<'_, S> {
    /// Looks for an upload of this very key to go on with: the newest that holds parts of the source, else
    /// the newest that holds none yet. Others are left alone, and mentioned.
    pub(super) async fn resume(&self, wished: Parts) -> Result<Option<Found>, Error> {
        let failed = |e: StoreError| Error::new(Step::Resume, e);
        let mut uploads = match uploads_of(self.store, &self.request.target).await {
            Ok(uploads) => uploads,
            Err(error) if error.kind == Kind::Refused => {
                let notice =
                    format!("the store lists no unfinished uploads, so there is none to resume: {error}");
                self.observer.event(&Event::Notice(&notice));
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        uploads.sort_by_key(|upload| std::cmp::Reverse(upload.initiated));
        let count = uploads.len();
        let (mut found, mut empty) = (None, None);
        for ListedUpload { upload_id, initiated, .. } in uploads {
            let upload = self.upload(upload_id);
            let held = match parts_of(self.store, &upload).await {
                Ok(held) => held,
                // Somebody has finished or dropped it since it was listed.
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            let Some(integrity) = self.integrity_of(&held) else { continue };
            if held.parts.is_empty() {
                let started = Started {
                    upload,
                    parts: Some(wished),
                    integrity,
                    date: initiated,
                    resumed: true,
                    lost_since: None,
                };
                empty.get_or_insert((started, Vec::new()));
            } else {
                found = self.ours(upload, wished, integrity, initiated, held).await?;
            }
            if found.is_some() {
                break;
            }
        }
        let found = found.or(empty);
        self.mention(count - usize::from(found.is_some()));
        if let Some((Started { upload, parts: Some(parts), .. }, stored)) = &found {
            let plan = &Plan::Multipart(*parts);
            let bytes = stored.iter().map(|part| part.size).sum();
            let parts = u32::try_from(stored.len()).unwrap_or(u32::MAX);
            self.observer.event(&Event::Resumed { upload, plan, parts, bytes });
        }
        Ok(found)
    }

    /// How the parts of an upload are to be checked, as it was started; `None` where that is another way
    /// than the user's.
    fn integrity_of(&self, held: &HeldParts) -> Option<Integrity> {
        let of_parts = || held.parts.iter().find_map(|part| part.checksum.as_ref());
        let confirmed = match held.checksum {
            // Others can make a CRC of the parts' CRCs; we know it of the bytes alone.
            Some((algorithm, kind)) if kind != algorithm.multipart_type() => return None,
            Some((algorithm, _)) => Some(algorithm),
            None => of_parts().map(|sum| sum.algorithm()),
        };
        let wish = match (self.request.checksum, confirmed) {
            (ChecksumWish::Auto, Some(algorithm)) => ChecksumWish::Algorithm(algorithm),
            (wish, confirmed) if confirmed.is_none() || wish.algorithm() == confirmed => wish,
            _ => return None,
        };
        // An upload that was started without a checksum need not take parts with one.
        let without = wish == ChecksumWish::Auto && !held.parts.is_empty();
        let integrity = Integrity::new(wish, confirmed, without, self.store.signs_payload());
        Some(integrity.with_trailers(self.trailers()))
    }

    /// Compares an upload's parts with the source. `None` where not one holds its bytes.
    async fn ours(
        &self,
        upload: Upload,
        wished: Parts,
        integrity: Integrity,
        date: Option<SystemTime>,
        held: HeldParts,
    ) -> Result<Option<Found>, Error> {
        let Source::File(file) = self.source else { return Ok(None) };
        let Some(parts) = fitting(wished, &held.parts) else { return Ok(None) };
        self.observer.event(&Event::Comparing { parts: held.parts.len() });
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let confirmed = integrity.confirmed;
        let compared = held.parts.into_iter().map(|part| {
            let range = parts.range(part.number);
            self.compare(file.part(range), confirmed, part)
        });
        let compared: Vec<_> = stream::iter(compared).buffer_unordered(threads).try_collect().await?;
        let mut stored: Vec<_> = compared.into_iter().flatten().collect();
        // Some stores list a part again each time it was sent.
        stored.sort_unstable_by_key(|part| part.number);
        stored.dedup_by_key(|part| part.number);
        if stored.is_empty() {
            return Ok(None);
        }
        let parts = Some(parts);
        Ok(Some((Started { upload, parts, integrity, date, resumed: true, lost_since: None }, stored)))
    }

    /// Returns a listed part, if it holds the source's bytes: by its checksum, or by the MD5 that its ETag
    /// is.
    async fn compare(
        &self,
        ours: Part,
        confirmed: Option<Algorithm>,
        part: CompletedPart,
    ) -> Result<Option<CompletedPart>, Error> {
        if part.size != ours.len() {
            return Ok(None);
        }
        let by_checksum = part.checksum.as_ref().map(|sum| sum.algorithm());
        // The object's checksum is made of all parts', so it is wanted of this one even where the ETag
        // decides.
        let wanted =
            Wanted { checksum: by_checksum.or(confirmed), md5: by_checksum.is_none(), sha256: false };
        let sums = self.sums(Step::Resume, &ours, wanted).await?;
        let same = match &part.checksum {
            Some(theirs) => sums.checksum.as_ref() == Some(theirs),
            None => sums.md5.is_some() && etag_md5(&part.etag) == sums.md5,
        };
        Ok(same.then_some(CompletedPart { checksum: sums.checksum, ..part }))
    }

    fn mention(&self, others: usize) {
        if others > 0 {
            let uploads = if others == 1 { "upload" } else { "uploads" };
            let notice = format!("{others} other unfinished {uploads} of this key left alone");
            self.observer.event(&Event::Notice(&notice));
        }
    }
}

/// Returns how the source must have been cut for these parts to be its own: every one but the last of
/// the object has the same size.
fn fitting(wished: Parts, listed: &[CompletedPart]) -> Option<Parts> {
    let size = wished.size();
    let of = |part_size: u64| {
        let parts = Parts::of(size, part_size)?;
        let fits = |part: &CompletedPart| {
            let range = parts.range(part.number);
            part.size == range.end - range.start
        };
        listed.iter().all(fits).then_some(parts)
    };
    let largest = listed.iter().map(|part| part.size).max()?;
    of(wished.part_size()).or_else(|| of(largest)).or_else(|| {
        // The last part alone tells the size of the others by its number.
        let last = listed.iter().max_by_key(|part| part.number)?;
        let before = size.checked_sub(last.size)?;
        of(before / u64::from(last.number.checked_sub(1).filter(|before| *before > 0)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn parts(size: u64, part_size: u64) -> Parts {
        Parts::of(size, part_size).unwrap()
    }

    fn listed(sizes: &[(u32, u64)]) -> Vec<CompletedPart> {
        let part = |(number, size): &(u32, u64)| CompletedPart {
            number: *number,
            etag: String::new(),
            size: *size,
            checksum: None,
        };
        sizes.iter().map(part).collect()
    }

    #[test]
    fn the_uploads_own_part_size_is_found() {
        let wished = parts(100 * MIB, 8 * MIB);
        let fit = |sizes: &[(u32, u64)]| fitting(wished, &listed(sizes)).map(|parts| parts.part_size());
        assert_eq!(fit(&[(1, 8 * MIB), (3, 8 * MIB)]), Some(8 * MIB));
        assert_eq!(fit(&[(2, 16 * MIB)]), Some(16 * MIB));
        assert_eq!(fit(&[(1, 16 * MIB), (7, 4 * MIB)]), Some(16 * MIB));
        assert_eq!(fit(&[(7, 4 * MIB)]), Some(16 * MIB));
        assert_eq!(fit(&[(13, 4 * MIB)]), Some(8 * MIB));
    }

    #[test]
    fn parts_of_another_file_fit_nowhere() {
        let wished = parts(100 * MIB, 8 * MIB);
        let fit = |sizes: &[(u32, u64)]| fitting(wished, &listed(sizes));
        assert_eq!(fit(&[(1, 8 * MIB), (2, 9 * MIB)]), None);
        assert_eq!(fit(&[(14, 8 * MIB)]), None);
        assert_eq!(fit(&[(1, 200 * MIB)]), None);
        assert_eq!(fit(&[(0, 8 * MIB)]), None);
        assert_eq!(fit(&[(1, 3)]), None);
    }
}
