//! Bytes that come once: standard input, or what a command prints. A part of them is held until it is
//! stored, since nobody can read it again.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::block::{BLOCK_SIZE, Block, Pool};
use super::child::Child;
use super::part::Part;
use super::stdin::open;
use super::{Opened, SourceError};
use crate::checksum::{Pass, Sums, Wanted};

/// Bytes of a stream that are held at once where the user has no wish.
pub const DEFAULT_MEMORY: u64 = 128 << 20;

/// Files at once that hold parts which the memory can't.
const ASIDE: usize = 4;

/// A stream of bytes that can be read once.
///
/// The parts that are held take no more memory than was allowed; one that is larger than all of it goes
/// through a file in the system's temporary folder, where there are at most four at once.
pub struct StreamSource {
    name: String,
    reader: Arc<Mutex<Reader>>,
    pool: Pool,
    /// Blocks that may still be held, and the most that may.
    room: Arc<Semaphore>,
    most: u32,
    /// Parts that may still be put aside in a file.
    aside: Arc<Semaphore>,
    taken: AtomicU64,
    child: Option<Child>,
}

struct Reader {
    input: Box<dyn Read + Send>,
    /// What was read to see whether there is more.
    ahead: Option<Block>,
    ended: bool,
    /// Sums of the whole stream.
    whole: Pass,
}

/// Some bytes of a stream, held until nobody needs them any more.
pub(super) struct Held {
    pub(super) blocks: Vec<Bytes>,
    pub(super) len: u64,
    /// What was computed of them while they were read.
    pub(super) sums: Sums,
    _room: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) fn new(blocks: Vec<Bytes>, sums: Sums, room: Option<OwnedSemaphorePermit>) -> Self {
        let len = blocks.iter().map(|block| block.len() as u64).sum();
        Held { blocks, len, sums, _room: room }
    }
}

impl StreamSource {
    /// Returns a stream that errors call `name`, of which at most `memory` bytes are held, though at least
    /// one block of 64 KiB. The whole stream's sums are computed as `wanted`.
    pub fn new(
        name: impl Into<String>,
        input: impl Read + Send + 'static,
        memory: u64,
        wanted: Wanted,
    ) -> Self {
        let most = u32::try_from(memory / BLOCK_SIZE as u64).unwrap_or(u32::MAX).max(1);
        let reader = Reader { input: Box::new(input), ahead: None, ended: false, whole: Pass::new(wanted) };
        StreamSource {
            name: name.into(),
            reader: Arc::new(Mutex::new(reader)),
            pool: Pool::default(),
            room: Arc::new(Semaphore::new(most as usize)),
            most,
            aside: Arc::new(Semaphore::new(ASIDE)),
            taken: AtomicU64::new(0),
            child: None,
        }
    }

    /// Returns standard input.
    ///
    /// # Errors
    /// When there is none.
    pub fn stdin(memory: u64, wanted: Wanted) -> Result<Self, SourceError> {
        let name = "standard input";
        let input = open().map_err(|source| SourceError::Stream { name: name.into(), source })?;
        Ok(StreamSource::new(name, input, memory, wanted))
    }

    /// Starts a command and returns what it prints. It is killed when the stream is dropped.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn command<'a>(
        program: &'a std::ffi::OsStr,
        args: impl IntoIterator<Item = &'a std::ffi::OsStr>,
        memory: u64,
        wanted: Wanted,
    ) -> Result<Self, SourceError> {
        let (child, output) = Child::start(program, args)?;
        let name = child.name().to_owned();
        Ok(StreamSource { child: Some(child), ..StreamSource::new(name, output, memory, wanted) })
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes that were read of it so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Reads the next `size` bytes, once there is memory for them. The part is shorter, or empty, where
    /// the stream ends. While it is read, its sums are computed as `wanted`.
    ///
    /// # Errors
    /// When the stream can't be read, or a part that is larger than the memory can't be put aside.
    pub async fn next(&self, size: u64, wanted: Wanted) -> Result<Part, SourceError> {
        let blocks = size.div_ceil(BLOCK_SIZE as u64);
        let part = match u32::try_from(blocks) {
            Ok(blocks) if blocks <= self.most => {
                let room = Arc::clone(&self.room).acquire_many_owned(blocks.max(1)).await;
                let room = room.map_err(|closed| self.unreadable(io::Error::other(closed)))?;
                let pool = self.pool.clone();
                self.read(move |reader| reader.hold(&pool, size, wanted, room)).await?
            }
            _ => {
                let room = Arc::clone(&self.aside).acquire_owned().await;
                let room = room.map_err(|closed| self.unreadable(io::Error::other(closed)))?;
                let (pool, name) = (self.pool.clone(), self.name.clone());
                self.read(move |reader| reader.put_aside(&pool, size, &name, room)).await?
            }
        };
        self.taken.fetch_add(part.len(), Relaxed);
        Ok(part)
    }

    /// Returns the first bytes of what is still to be read, at most `most` of them, fewer where the stream ends.
    ///
    /// # Errors
    /// When the stream can't be read.
    pub async fn peek(&self, most: u64) -> Result<Vec<u8>, SourceError> {
        let pool = self.pool.clone();
        self.read(move |reader| {
            Ok(reader.look(&pool, most)?.map_or_else(Vec::new, |block| block.as_ref().to_vec()))
        })
        .await
    }

    /// Whether nothing comes after what was read. Waits until something does, or the end.
    ///
    /// # Errors
    /// When the stream can't be read.
    pub async fn is_at_end(&self) -> Result<bool, SourceError> {
        let pool = self.pool.clone();
        self.read(move |reader| Ok(reader.look(&pool, 1)?.is_none())).await
    }

    /// Waits, after the end, for the command that printed the stream, and returns the whole stream's sums.
    ///
    /// # Errors
    /// When the command failed.
    pub async fn finish(&self) -> Result<Sums, SourceError> {
        if let Some(child) = &self.child {
            child.finish().await?;
        }
        self.read(|reader| Ok(std::mem::replace(&mut reader.whole, Pass::new(Wanted::default())).finish()))
            .await
    }

    /// Reads off the runtime's threads: nobody knows how long a writer takes.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SourceError> {
        let reader = Arc::clone(&self.reader);
        let read = move || read(&mut reader.lock().unwrap_or_else(PoisonError::into_inner));
        let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
        read.map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> SourceError {
        SourceError::Stream { name: self.name.clone(), source }
    }
}

impl Reader {
    /// Reads up to `size` bytes into blocks.
    fn hold(
        &mut self,
        pool: &Pool,
        size: u64,
        wanted: Wanted,
        room: OwnedSemaphorePermit,
    ) -> io::Result<Part> {
        let mut pass = Pass::new(wanted);
        let (mut blocks, mut len) = (Vec::new(), 0);
        while let Some(block) = self.block(pool, size - len)? {
            pass.update(block.as_ref());
            len += block.as_ref().len() as u64;
            blocks.push(Bytes::from_owner(block));
        }
        Ok(Part::held(Held::new(blocks, pass.finish(), Some(room))))
    }

    /// Reads up to `size` bytes into a file that is gone when nobody needs it any more.
    fn put_aside(
        &mut self,
        pool: &Pool,
        size: u64,
        name: &str,
        room: OwnedSemaphorePermit,
    ) -> io::Result<Part> {
        let explain = |error: io::Error| {
            let folder = std::env::temp_dir();
            let what = format!("a part of {size} bytes cannot be put aside in {}", folder.display());
            io::Error::new(error.kind(), format!("{what}: {error}"))
        };
        let mut file = tempfile::tempfile().map_err(explain)?;
        let mut len = 0;
        while let Some(block) = self.block(pool, size - len)? {
            file.write_all(block.as_ref()).map_err(explain)?;
            len += block.as_ref().len() as u64;
        }
        Ok(Part::of(Arc::new(Opened::own(name, file, room)), pool.clone(), 0..len))
    }

    /// Reads a block that is full unless the stream ends, or `most` bytes are fewer; `None` for no byte.
    fn block(&mut self, pool: &Pool, most: u64) -> io::Result<Option<Block>> {
        if most == 0 {
            return Ok(None);
        }
        let block = match self.ahead.take() {
            Some(block) => block,
            None => self.fill(pool.take(), most)?,
        };
        if block.as_ref().is_empty() {
            return Ok(None);
        }
        self.whole.update(block.as_ref());
        Ok(Some(block))
    }

    /// Returns what comes next, at most `most` bytes of it, or what was looked at before; `None` at the end.
    fn look(&mut self, pool: &Pool, most: u64) -> io::Result<Option<&Block>> {
        if self.ahead.is_none() {
            let block = self.fill(pool.take(), most)?;
            self.ahead = (!block.as_ref().is_empty()).then_some(block);
        }
        Ok(self.ahead.as_ref())
    }

    fn fill(&mut self, mut block: Block, most: u64) -> io::Result<Block> {
        let room = block.room(most);
        let mut len = 0;
        while len < room.len() && !self.ended {
            match self.input.read(&mut room[len..]) {
                Ok(0) => self.ended = true,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        block.fill(len);
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, Checksum};
    use futures::TryStreamExt;

    const CRC: Wanted = Wanted { checksum: Some(Algorithm::Crc64Nvme), md5: false, sha256: false };

    fn stream(data: &[u8], memory: u64) -> StreamSource {
        StreamSource::new("test", io::Cursor::new(data.to_vec()), memory, Wanted::default())
    }

    async fn read(part: &Part) -> Vec<u8> {
        let all =
            part.reader().try_fold(Vec::new(), |all, block| async move { Ok([&all, &block[..]].concat()) });
        all.await.unwrap()
    }

    fn data(len: u32) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[tokio::test]
    async fn a_stream_is_cut_and_each_part_can_be_read_again() {
        let data = data(300_000);
        let stream = stream(&data, DEFAULT_MEMORY);
        let first = stream.next(200_000, CRC).await.unwrap();
        assert!(!stream.is_at_end().await.unwrap());
        let second = stream.next(200_000, CRC).await.unwrap();
        assert!(stream.is_at_end().await.unwrap());
        assert!(stream.next(200_000, CRC).await.unwrap().is_empty());
        for _ in 0..2 {
            assert_eq!([read(&first).await, read(&second).await].concat(), data);
        }
        let sums = first.sums(CRC).await.unwrap();
        assert_eq!(sums.checksum, Some(Checksum::of(Algorithm::Crc64Nvme, &data[..200_000])));
        assert_eq!(stream.taken(), 300_000);
    }

    #[tokio::test]
    async fn sums_that_were_not_foreseen_are_computed_later() {
        let part = stream(&data(100_000), DEFAULT_MEMORY).next(100_000, CRC).await.unwrap();
        let wanted = Wanted { md5: true, ..CRC };
        assert_eq!(part.sums(wanted).await.unwrap().md5, Some(crate::checksum::md5(&data(100_000))));
        assert_eq!(part.sums(CRC).await.unwrap().md5, None);
    }

    #[tokio::test]
    async fn a_part_waits_until_there_is_memory_for_it() {
        let stream = stream(&data(300_000), 128 << 10);
        let first = stream.next(128 << 10, CRC).await.unwrap();
        let second = stream.next(128 << 10, CRC);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(second.await.unwrap().len(), 128 << 10);
    }

    #[tokio::test]
    async fn a_part_larger_than_the_memory_goes_through_a_file() {
        let stream = stream(&data(300_000), 128 << 10);
        let first = stream.next(250_000, CRC).await.unwrap();
        let second = stream.next(250_000, CRC).await.unwrap();
        assert_eq!([read(&first).await, read(&second).await].concat(), data(300_000));
        assert_eq!(
            first.sums(CRC).await.unwrap().checksum,
            Some(Checksum::of(Algorithm::Crc64Nvme, &data(250_000)))
        );
        assert!(stream.pool.free() <= 2, "{} blocks", stream.pool.free());
    }

    #[tokio::test]
    async fn no_more_than_a_few_parts_are_put_aside_at_once() {
        let stream = stream(&data(300_000), 1);
        let mut aside = Vec::new();
        for _ in 0..ASIDE {
            aside.push(stream.next(66_000, CRC).await.unwrap());
        }
        let next = stream.next(66_000, CRC);
        tokio::pin!(next);
        assert!(futures::poll!(&mut next).is_pending());
        aside.pop();
        assert_eq!(next.await.unwrap().len(), 300_000 - 4 * 66_000);
    }

    #[tokio::test]
    async fn the_whole_streams_sums_are_those_of_its_parts_in_order() {
        let wanted = Wanted { sha256: true, ..Wanted::default() };
        let stream = StreamSource::new("test", io::Cursor::new(data(300_000)), 1 << 20, wanted);
        stream.next(70_000, CRC).await.unwrap();
        assert!(!stream.is_at_end().await.unwrap());
        while !stream.next(100_000, CRC).await.unwrap().is_empty() {}
        assert_eq!(stream.finish().await.unwrap().sha256, Some(crate::checksum::sha256(&data(300_000))));
    }
}
