//! Is the object these bytes? Asked of the store by HEAD, with no download.

use futures::{StreamExt, TryStreamExt, stream};

use super::integrity::{bare, etag_md5, multipart_count};
use crate::Target;
use crate::checksum::{Checksum, ChecksumType, Wanted, hex, md5};
use crate::error::{Error, Mismatch, Step};
use crate::plan::{MAX_PARTS, MIN_PART_SIZE};
use crate::source::{FileSource, SourceError};
use crate::store::{ObjectHead, Store};

/// Sizes of a part in MiB that uploaders use, to be tried where the store does not tell.
const USUAL_MIB: [u64; 14] = [8, 5, 16, 64, 15, 10, 32, 50, 100, 128, 25, 256, 512, 1024];

/// Bytes that one core reads at a time.
const PIECE: u64 = 64 << 20;

/// What proved that an object is these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its checksum.
    Checksum(Checksum),
    /// Its ETag, which is made of MD5s.
    ETag(String),
}

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object is these bytes.
    Same(Proof),
    /// It is not.
    Different(Mismatch),
    /// The store tells nothing that the bytes could be compared with, but the size, which is the same.
    Unknown,
}

/// Compares an object with a file. `part_size` in bytes is what it may have been cut into, where the
/// store does not tell.
///
/// # Errors
/// When the object is not there, or the file can't be read.
pub async fn verify<S: Store>(
    store: &S,
    source: &FileSource,
    target: &Target,
    part_size: u64,
) -> Result<Verdict, Error> {
    let head = store.head_object(target, None).await.map_err(|e| Error::new(Step::Verify, e))?;
    if head.size != source.size() {
        return Ok(Verdict::Different(Mismatch::Size { ours: source.size(), theirs: head.size }));
    }
    let whole = head.checksums.iter().find(|sum| sum.checksum_type() == ChecksumType::FullObject);
    let verdict = match whole {
        Some(theirs) => by_checksum(source, theirs).await?,
        None => by_parts(store, source, target, part_size, &head).await?,
    };
    source.check_unchanged().map_err(|e| Error::new(Step::Verify, e))?;
    Ok(verdict)
}

async fn by_checksum(source: &FileSource, theirs: &Checksum) -> Result<Verdict, Error> {
    // Pieces of a CRC are computed on all cores and combined; a hash goes from end to end.
    let piece = match theirs.algorithm().multipart_type() {
        ChecksumType::FullObject => PIECE,
        ChecksumType::Composite => source.size(),
    };
    let pieces = cut(source.size(), piece);
    let wanted = Wanted { checksum: Some(theirs.algorithm()), ..Wanted::default() };
    let sums = sums(source, &pieces, wanted).await?;
    let sums: Vec<_> = sums.into_iter().filter_map(|sums| sums.checksum).collect();
    let ours = match pieces.as_slice() {
        [_] => sums.into_iter().next(),
        _ => Checksum::of_parts(sums.iter().zip(&pieces).map(|(sum, (start, end))| (sum, end - start))),
    };
    Ok(match ours {
        Some(ours) if ours == *theirs => Verdict::Same(Proof::Checksum(ours)),
        Some(ours) => Verdict::Different(Mismatch::Checksum { ours, theirs: theirs.clone() }),
        None => Verdict::Unknown,
    })
}

/// Compares what is made of the parts' sums: a composite checksum, or an ETag.
async fn by_parts<S: Store>(
    store: &S,
    source: &FileSource,
    target: &Target,
    part_size: u64,
    head: &ObjectHead,
) -> Result<Verdict, Error> {
    let composite = head.checksums.first();
    let etag = head.etag.as_deref().map(bare).filter(|_| !head.encrypted);
    let count = composite
        .and_then(|sum| sum.parts())
        .or_else(|| etag.and_then(multipart_count))
        .filter(|count| (1..=MAX_PARTS).contains(count));
    let single = etag.is_some_and(|etag| etag_md5(etag).is_some());
    let sizes = match count {
        Some(count) => part_sizes(store, source.size(), target, part_size, count).await,
        None if single => vec![source.size()],
        None => return Ok(Verdict::Unknown),
    };
    let mut verdict = Verdict::Unknown;
    for size in sizes {
        let parts = cut(source.size(), size);
        let wanted =
            Wanted { checksum: composite.map(Checksum::algorithm), md5: etag.is_some(), sha256: false };
        let sums = sums(source, &parts, wanted).await?;
        let sized = sums
            .iter()
            .zip(&parts)
            .filter_map(|(sums, (start, end))| Some((sums.checksum.as_ref()?, end - start)));
        let ours = Checksum::of_parts(sized);
        let md5s: Vec<_> = sums.iter().filter_map(|sums| sums.md5).collect();
        let our_etag = match count {
            Some(count) => format!("{}-{count}", hex(&md5(&md5s.concat()))),
            None => md5s.first().map(|md5| hex(md5)).unwrap_or_default(),
        };
        verdict = match (ours, composite, etag) {
            (Some(ours), Some(theirs), _) if ours == *theirs => {
                return Ok(Verdict::Same(Proof::Checksum(ours)));
            }
            (_, None, Some(theirs)) if our_etag == theirs => return Ok(Verdict::Same(Proof::ETag(our_etag))),
            (Some(ours), Some(theirs), _) => {
                Verdict::Different(Mismatch::Checksum { ours, theirs: theirs.clone() })
            }
            (_, _, Some(theirs)) => {
                Verdict::Different(Mismatch::ETag { ours: our_etag, theirs: theirs.to_owned() })
            }
            _ => verdict,
        };
    }
    Ok(verdict)
}

/// The sizes that the parts of an object can have had: what the store says of the first, else the usual.
async fn part_sizes<S: Store>(store: &S, size: u64, target: &Target, part_size: u64, count: u32) -> Vec<u64> {
    if count == 1 {
        return vec![size];
    }
    let makes = |part_size: u64| part_size > 0 && size.div_ceil(part_size) == u64::from(count);
    if let Ok(first) = store.head_object(target, Some(1)).await
        && makes(first.size)
    {
        return vec![first.size];
    }
    // Parts that had to grow do so to whole mebibytes.
    let grown = size.div_ceil(u64::from(MAX_PARTS)).next_multiple_of(1 << 20).max(MIN_PART_SIZE);
    let usual = USUAL_MIB.into_iter().map(|mib| mib << 20);
    let mut sizes = Vec::new();
    for size in [part_size, grown, size.div_ceil(count.into())].into_iter().chain(usual) {
        if makes(size) && !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes
}

fn cut(size: u64, part_size: u64) -> Vec<(u64, u64)> {
    let count = size.div_ceil(part_size.max(1)).max(1);
    (0..count).map(|part| (part * part_size, ((part + 1) * part_size).min(size))).collect()
}

/// What is wanted of each of these ranges, read side by side as fast as the disk allows.
async fn sums(
    source: &FileSource,
    ranges: &[(u64, u64)],
    wanted: Wanted,
) -> Result<Vec<crate::checksum::Sums>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |(start, end): (u64, u64)| {
        let part = source.part(start..end);
        async move { part.sums(wanted).await }
    };
    let sums = stream::iter(ranges.to_vec()).map(read).buffered(threads).try_collect().await;
    sums.map_err(|e| {
        let path = source.path().to_owned();
        Error::new(Step::Verify, SourceError::Read { path, source: e })
    })
}
