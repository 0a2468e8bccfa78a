//! Reused blocks of memory.
//!
//! The allocator gives freed memory back to the system, and every page of a fresh block then faults
//! again: reading through fresh blocks costs more than twice the CPU of reading through these.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Size of a block in bytes: large enough to make system calls rare, small enough that a block is
/// still in the second-level cache when the socket or the cipher reads it.
pub(super) const BLOCK_SIZE: usize = 64 << 10;

/// Passes at the same time, at the least: a disk is faster when it is asked for several things at once.
const LEAST_PASSES: usize = 4;

/// Blocks that are not in use, for one source or many. Grows to the most that were ever used at once.
/// Clones share their blocks.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    free: Mutex<Vec<Box<[u8]>>>,
    passes: Semaphore,
}

impl Default for Pool {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let passes = Semaphore::new(cores.max(LEAST_PASSES));
        Pool(Arc::new(Shared { free: Mutex::default(), passes }))
    }
}

/// A block, which goes back to its pool when dropped.
pub(super) struct Block {
    bytes: Box<[u8]>,
    filled: usize,
    pool: Pool,
}

impl Pool {
    /// Takes a block, empty.
    pub(super) fn take(&self) -> Block {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; BLOCK_SIZE].into_boxed_slice());
        Block { bytes, filled: 0, pool: self.clone() }
    }

    /// Waits for a turn to read a part from end to end. There are about as many as cores: more threads would
    /// read no faster, and each costs memory.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.passes.acquire().await.ok()
    }

    /// The number of blocks, of 64 KiB each, that are not in use. While nothing is read these are all that were
    /// ever made, since none is given back to the system before the pool is dropped.
    pub fn free(&self) -> usize {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner).len()
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
        self.pool.0.free.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
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
