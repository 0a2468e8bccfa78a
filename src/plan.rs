//! How a file is cut: S3's limits, and from a size and the user's wishes a [`Plan`].
//!
//! Pure arithmetic. The limits are those of "Amazon S3 multipart upload limits" in the S3 user guide.

use std::ops::Range;

/// One mebibyte in bytes.
const MIB: u64 = 1 << 20;
/// The least size of a part in bytes, but for the last part of an upload.
pub const MIN_PART_SIZE: u64 = 5 * MIB;
/// The greatest size in bytes of a part, and of an object that is put in a single request.
pub const MAX_PART_SIZE: u64 = 5 << 30;
/// The most parts that an upload can have; part numbers run from 1 to this.
pub const MAX_PARTS: u32 = 10_000;
/// The greatest size of an object in bytes: 10,000 parts of 5 GiB, some 48.8 TiB.
pub const MAX_OBJECT_SIZE: u64 = MAX_PARTS as u64 * MAX_PART_SIZE;
/// The size of a part in bytes where the user has no wish.
pub const DEFAULT_PART_SIZE: u64 = 8 * MIB;

/// What the user wants of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Size of a part in bytes; grown where [`Wishes::max_parts`] would not do. A source of at most
    /// this size goes in a single request.
    pub part_size: u64,
    /// The most parts that the store takes, 1 to [`MAX_PARTS`].
    pub max_parts: u32,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes { part_size: DEFAULT_PART_SIZE, max_parts: MAX_PARTS }
    }
}

/// How a source of a known size is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// One PutObject of this many bytes.
    Single {
        /// Size of the object in bytes.
        size: u64,
    },
    /// Initiate, upload the parts, complete.
    Multipart(Parts),
}

/// The parts of a multipart upload: all of one size but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    size: u64,
    part_size: u64,
}

/// Why there is no plan. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A part size of nothing.
    #[error("a chunk size of 0 sends nothing")]
    ZeroPartSize,
    /// Several parts would be needed, and S3 refuses parts that small.
    #[error(
        "S3 takes no part below 5 MiB ({MIN_PART_SIZE} bytes) but the last, and {part_size} bytes would make several"
    )]
    PartTooSmall {
        /// The part size asked for.
        part_size: u64,
    },
    /// S3 refuses parts, and single requests, that large.
    #[error("S3 takes at most 5 GiB ({MAX_PART_SIZE} bytes) in one request, not {part_size} bytes")]
    PartTooLarge {
        /// The part size asked for.
        part_size: u64,
    },
    /// Not even the largest parts would do.
    #[error("{size} bytes need more than {max_parts} parts of 5 GiB; the most is {largest} bytes")]
    ObjectTooLarge {
        /// The source's size.
        size: u64,
        /// The most parts that were allowed.
        max_parts: u32,
        /// The largest source that would fit.
        largest: u64,
    },
    /// A stream went on after the last part that was allowed.
    #[error("the stream goes on after {max_parts} parts, which hold {size} bytes")]
    StreamTooLong {
        /// The most parts that were allowed.
        max_parts: u32,
        /// Their size in bytes.
        size: u64,
    },
    /// A limit of parts outside 1..=[`MAX_PARTS`].
    #[error("a limit of {max_parts} parts is outside 1 to {MAX_PARTS}")]
    MaxParts {
        /// The limit asked for.
        max_parts: u32,
    },
}

impl Wishes {
    /// Returns the size in bytes of the next part of a stream whose end nobody knows, after `sent` bytes:
    /// the part size that is wished for, later a share of what was sent, so that the limit of parts is
    /// no limit of the stream for long. Whole mebibytes where it has grown.
    ///
    /// With a share of one in 1,000, a stream of 8 MiB parts passes 80 GB in parts below 80 MB, and
    /// 10,000 parts hold some 17 TiB; where the size is known beforehand, even parts hold
    /// [`MAX_OBJECT_SIZE`].
    pub fn next_part_size(&self, sent: u64) -> u64 {
        let share = sent / u64::from((self.max_parts / 10).max(1));
        self.part_size.max(share.next_multiple_of(MIB)).min(MAX_PART_SIZE)
    }
}

impl Plan {
    /// Plans the upload of `size` bytes.
    ///
    /// # Errors
    /// When S3's limits and the wishes leave no way; each error names the limit.
    pub fn new(size: u64, wishes: Wishes) -> Result<Self, PlanError> {
        let Wishes { part_size, max_parts } = wishes;
        if part_size == 0 {
            return Err(PlanError::ZeroPartSize);
        }
        if part_size > MAX_PART_SIZE {
            return Err(PlanError::PartTooLarge { part_size });
        }
        if !(1..=MAX_PARTS).contains(&max_parts) {
            return Err(PlanError::MaxParts { max_parts });
        }
        if size <= part_size {
            return Ok(Plan::Single { size });
        }
        if part_size < MIN_PART_SIZE {
            return Err(PlanError::PartTooSmall { part_size });
        }
        let largest = u64::from(max_parts) * MAX_PART_SIZE;
        if size > largest {
            return Err(PlanError::ObjectTooLarge { size, max_parts, largest });
        }
        // Whole mebibytes keep grown parts aligned with the blocks of files and stores.
        let needed = size.div_ceil(max_parts.into()).next_multiple_of(MIB);
        let part_size = if size.div_ceil(part_size) > max_parts.into() { needed } else { part_size };
        Ok(Plan::Multipart(Parts { size, part_size: part_size.min(MAX_PART_SIZE) }))
    }

    /// Size of the object in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Plan::Single { size } => *size,
            Plan::Multipart(parts) => parts.size,
        }
    }

    /// How many requests carry data: 1, or the number of parts.
    pub fn count(&self) -> u32 {
        match self {
            Plan::Single { .. } => 1,
            Plan::Multipart(parts) => parts.count(),
        }
    }
}

impl Parts {
    /// Returns the parts of an upload that already exists, where their sizes are S3's to take.
    ///
    /// `None` unless `size` bytes in parts of `part_size` bytes are a multipart upload within S3's limits.
    pub fn of(size: u64, part_size: u64) -> Option<Self> {
        let parts = Parts { size, part_size };
        let sound = (MIN_PART_SIZE..=MAX_PART_SIZE).contains(&part_size)
            && size > 0
            && size.div_ceil(part_size) <= MAX_PARTS.into();
        sound.then_some(parts)
    }

    /// Size of the object in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Size of every part but the last, in bytes.
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    /// The number of parts, 1 to [`MAX_PARTS`].
    pub fn count(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    /// The part numbers, from 1.
    pub fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.count()
    }

    /// The bytes of part `number`; empty for a number that the plan does not have.
    pub fn range(&self, number: u32) -> Range<u64> {
        let start = u64::from(number.saturating_sub(1)).saturating_mul(self.part_size).min(self.size);
        let end = u64::from(number).saturating_mul(self.part_size).min(self.size);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(part_size: u64) -> Wishes {
        Wishes { part_size, ..Wishes::default() }
    }

    fn parts(size: u64, wishes: Wishes) -> Parts {
        match Plan::new(size, wishes) {
            Ok(Plan::Multipart(parts)) => parts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn up_to_one_chunk_goes_in_a_single_request() {
        let chunk = DEFAULT_PART_SIZE;
        for size in [0, 1, chunk - 1, chunk] {
            assert_eq!(Plan::new(size, wish(chunk)), Ok(Plan::Single { size }));
        }
        assert_eq!(parts(chunk + 1, wish(chunk)).count(), 2);
        assert_eq!(parts(chunk + 1, wish(chunk)).range(2), chunk..chunk + 1);
    }

    #[test]
    fn parts_below_five_mebibytes_are_refused_where_there_are_several() {
        let small = MIN_PART_SIZE - 1;
        assert_eq!(Plan::new(small, wish(small)), Ok(Plan::Single { size: small }));
        assert_eq!(Plan::new(small + 1, wish(small)), Err(PlanError::PartTooSmall { part_size: small }));
        assert_eq!(parts(2 * MIN_PART_SIZE, wish(MIN_PART_SIZE)).count(), 2);
    }

    #[test]
    fn parts_above_five_gibibytes_are_refused_always() {
        assert!(Plan::new(1, wish(MAX_PART_SIZE)).is_ok());
        let part_size = MAX_PART_SIZE + 1;
        assert_eq!(Plan::new(1, wish(part_size)), Err(PlanError::PartTooLarge { part_size }));
        assert_eq!(Plan::new(1, wish(0)), Err(PlanError::ZeroPartSize));
    }

    #[test]
    fn parts_grow_just_where_ten_thousand_would_not_do() {
        let fits = MAX_PARTS as u64 * DEFAULT_PART_SIZE;
        assert_eq!(parts(fits, Wishes::default()).part_size(), DEFAULT_PART_SIZE);
        assert_eq!(parts(fits, Wishes::default()).count(), MAX_PARTS);
        assert_eq!(parts(fits + 1, Wishes::default()).part_size(), 9 * MIB);
    }

    #[test]
    fn the_largest_object_fits_and_one_byte_more_does_not() {
        let largest = parts(MAX_OBJECT_SIZE, Wishes::default());
        assert_eq!((largest.count(), largest.part_size()), (MAX_PARTS, MAX_PART_SIZE));
        assert!(matches!(
            Plan::new(MAX_OBJECT_SIZE + 1, Wishes::default()),
            Err(PlanError::ObjectTooLarge { largest: MAX_OBJECT_SIZE, .. })
        ));
    }

    #[test]
    fn the_parts_of_a_stream_grow_late_and_far_enough() {
        let largest = |wishes: Wishes| {
            let sizes = (0..wishes.max_parts).scan(0, |sent, _| {
                let size = wishes.next_part_size(*sent);
                *sent += size;
                Some(size)
            });
            sizes.collect::<Vec<_>>()
        };
        let sizes = largest(Wishes::default());
        assert!(sizes.is_sorted());
        assert!(sizes[..1000].iter().all(|size| *size == DEFAULT_PART_SIZE));
        assert_eq!(sizes.last(), Some(&MAX_PART_SIZE));
        assert!(sizes.iter().sum::<u64>() > 17 << 40);
        // A store that takes fewer parts gets larger ones sooner.
        let few = largest(Wishes { max_parts: 1000, ..Wishes::default() });
        assert!(few.iter().sum::<u64>() > 1 << 40);
        let equal = largest(Wishes { part_size: MAX_PART_SIZE, ..Wishes::default() });
        assert_eq!(equal.iter().sum::<u64>(), MAX_OBJECT_SIZE);
    }

    #[test]
    fn fewer_parts_make_larger_ones() {
        let wishes = Wishes { part_size: MIN_PART_SIZE, max_parts: 3 };
        assert_eq!(parts(100 * MIB, wishes).part_size(), 34 * MIB);
        let none = Wishes { max_parts: 0, ..wishes };
        assert_eq!(Plan::new(1, none), Err(PlanError::MaxParts { max_parts: 0 }));
    }

    proptest! {
        #[test]
        fn the_parts_cover_every_byte_once_within_the_limits(
            size in 0..=MAX_OBJECT_SIZE,
            part_size in MIN_PART_SIZE..=MAX_PART_SIZE,
            max_parts in 1..=MAX_PARTS,
        ) {
            match Plan::new(size, Wishes { part_size, max_parts }) {
                Ok(Plan::Single { size: whole }) => prop_assert!(whole == size && size <= part_size),
                Ok(Plan::Multipart(parts)) => {
                    prop_assert!(parts.count() <= max_parts);
                    prop_assert!(parts.part_size() >= part_size && parts.part_size() <= MAX_PART_SIZE);
                    let mut end = 0;
                    for number in parts.numbers() {
                        let range = parts.range(number);
                        prop_assert!(range.start == end && range.end > range.start);
                        end = range.end;
                    }
                    prop_assert_eq!(end, size);
                    prop_assert!(parts.range(parts.count() + 1).is_empty());
                }
                Err(PlanError::ObjectTooLarge { largest, .. }) => prop_assert!(size > largest),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
