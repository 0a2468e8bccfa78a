//! Reused blocks of memory.
//!
//! The allocator gives freed memory back to the system, and every page of a fresh block then faults
//! again: reading through fresh blocks costs more than twice the CPU of reading through these.

use std::sync::{Arc, Mutex, PoisonError};

/// Size of a block in bytes: large enough to make system calls rare, small enough that a block is
/// still in the second-level cache when the socket or the cipher reads it.
pub(super) const BLOCK_SIZE: usize = 64 << 10;

/// Blocks that are not in use, for one source or many. Grows to the most that were ever used at once.
/// Clones share their blocks.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A block, which goes back to its pool when dropped.
pub(super) struct Block {
    bytes: Box<[u8]>,
    filled: usize,
    pool: Pool,
}

impl Pool {
    /// Takes a block, empty.
    pub(super) fn take(&self) -> Block {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; BLOCK_SIZE].into_boxed_slice());
        Block { bytes, filled: 0, pool: self.clone() }
    }

    /// The number of blocks that are not in use.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Block {
    /// The room for at most `most` bytes.
    pub(super) fn room(&mut self, most: u64) -> &mut [u8] {
        let len = usize::try_from(most).unwrap_or(BLOCK_SIZE).min(BLOCK_SIZE);
        &mut self.bytes[..len]
    }

    /// Says that the first `len` bytes hold data.
    pub(super) fn fill(&mut self, len: usize) {
        self.filled = len.min(BLOCK_SIZE);
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_block_is_used_again() {
        let pool = Pool::default();
        let first = pool.take().bytes.as_ptr();
        let mut block = pool.take();
        assert_eq!(block.bytes.as_ptr(), first);
        block.room(3).copy_from_slice(b"abc");
        block.fill(3);
        assert_eq!(bytes::Bytes::from_owner(block), "abc");
        assert_eq!(pool.take().as_ref(), b"");
        assert_eq!(pool.free(), 1);
    }
}
