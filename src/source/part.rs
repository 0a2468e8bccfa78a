//! Some bytes of a file or a stream, readable as often as needed.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use tokio::task::JoinHandle;

use super::Opened;
use super::block::{Block, Pool};
use super::stream::Held;
use crate::checksum::{Pass, Sums, Wanted};

/// Some bytes of a file or a stream. Cheap to clone; reads nothing by itself.
#[derive(Clone)]
pub struct Part {
    place: Place,
    watch: Option<Watch>,
}

/// What is computed of a part's bytes whenever a reader comes to their end.
#[derive(Clone)]
pub(crate) struct Watch {
    wanted: Wanted,
    seen: Arc<Mutex<Sums>>,
}

/// Where the bytes are.
#[derive(Clone)]
enum Place {
    File(InFile),
    Memory(Arc<Held>),
}

#[derive(Clone)]
struct InFile {
    opened: Arc<Opened>,
    pool: Pool,
    range: Range<u64>,
}

impl Part {
    pub(super) fn of(opened: Arc<Opened>, pool: Pool, range: Range<u64>) -> Self {
        Part { place: Place::File(InFile { opened, pool, range }), watch: None }
    }

    /// Returns these bytes.
    pub fn of_bytes(bytes: &'static [u8]) -> Self {
        Part::held(Held::new(vec![Bytes::from_static(bytes)], Sums::default(), None))
    }

    pub(super) fn held(held: Held) -> Self {
        Part { place: Place::Memory(Arc::new(held)), watch: None }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.place {
            Place::File(file) => file.range.end.saturating_sub(file.range.start),
            Place::Memory(held) => held.len,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was read already for what is wanted of its bytes, so that its [`sums`](Part::sums) cost
    /// nothing.
    pub(crate) fn knows(&self, wanted: Wanted) -> bool {
        matches!(&self.place, Place::Memory(held) if held.sums.hold(wanted))
    }

    /// Returns a reader at the part's first byte.
    pub fn reader(&self) -> PartReader {
        let reading = match &self.place {
            Place::File(file) => {
                Reading::File(FileReader { at: file.range.start, file: file.clone(), reading: None })
            }
            Place::Memory(held) => Reading::Memory(Arc::clone(held), 0),
        };
        let watch = self.watch.clone().map(|watch| (Pass::new(watch.wanted), watch));
        PartReader { reading, watch, left: self.len() }
    }

    /// Returns this part, such that what is wanted of its bytes is computed on their way out.
    pub(crate) fn watched(&self, wanted: Wanted) -> (Part, Watch) {
        let watch = Watch { wanted, seen: Arc::default() };
        (Part { place: self.place.clone(), watch: Some(watch.clone()) }, watch)
    }

    /// Reads the part and returns what is wanted of its bytes.
    ///
    /// # Errors
    /// When the file can't be read, or ends before the part does.
    pub async fn sums(&self, wanted: Wanted) -> io::Result<Sums> {
        if wanted.is_nothing() {
            return Ok(Sums::default());
        }
        if let Place::Memory(held) = &self.place
            && held.sums.hold(wanted)
        {
            return Ok(held.sums.only(wanted));
        }
        let _turn = match &self.place {
            Place::File(file) => file.pool.turn().await,
            Place::Memory(_) => None,
        };
        let place = self.place.clone();
        // One hand-over a part: a pass is minutes of work for large parts, and may wait for a disk.
        let pass = move || {
            let mut pass = Pass::new(wanted);
            match place {
                Place::File(InFile { opened, pool, range }) => {
                    let mut block = pool.take();
                    let mut at = range.start;
                    while at < range.end {
                        at += read_at(&opened, &mut block, at, range.end)? as u64;
                        pass.update(block.as_ref());
                    }
                }
                Place::Memory(held) => held.blocks.iter().for_each(|block| pass.update(block)),
            }
            Ok(pass.finish())
        };
        tokio::task::spawn_blocking(pass).await.map_err(io::Error::other)?
    }
}

impl Watch {
    /// What was computed; nothing as long as no reader has come to the end.
    pub(crate) fn sums(&self) -> Sums {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A part's bytes as a stream of blocks, from the first to the last.
///
/// It ends in an error where the file has changed since it was opened.
///
/// What lies in the page cache is read on the spot, since to hand blocks from thread to thread costs
/// half as much again; what must come from a disk is read off the runtime's threads.
pub struct PartReader {
    reading: Reading,
    watch: Option<(Pass, Watch)>,
    /// Bytes still to come.
    left: u64,
}

enum Reading {
    File(FileReader),
    /// Held bytes, and how many of their blocks were given.
    Memory(Arc<Held>, usize),
}

struct FileReader {
    file: InFile,
    at: u64,
    reading: Option<JoinHandle<io::Result<Block>>>,
}

impl Stream for PartReader {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let block = match &mut this.reading {
            Reading::File(file) => ready!(file.poll_next(cx)),
            Reading::Memory(held, given) => {
                let block = held.blocks.get(*given).cloned();
                *given += 1;
                block.map(Ok)
            }
        };
        if let Some(Ok(block)) = &block {
            this.left -= block.len() as u64;
            if let Some((pass, _)) = &mut this.watch {
                pass.update(block);
            }
            if this.left == 0
                && let Some((pass, watch)) = this.watch.take()
            {
                *watch.seen.lock().unwrap_or_else(PoisonError::into_inner) = pass.finish();
            }
        }
        Poll::Ready(block)
    }
}

impl FileReader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self;
        let end = this.file.range.end;
        if this.at >= end {
            return Poll::Ready(None);
        }
        let block = match &mut this.reading {
            Some(reading) => ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten(),
            None => {
                let mut block = this.file.pool.take();
                match read_cached(&this.file.opened, &mut block, this.at, end) {
                    Some(read) => read.map(|_| block),
                    None => {
                        let (opened, at) = (Arc::clone(&this.file.opened), this.at);
                        let read = move || read_at(&opened, &mut block, at, end).map(|_| block);
                        this.reading = Some(tokio::task::spawn_blocking(read));
                        return this.poll_next(cx);
                    }
                }
            }
        };
        this.reading = None;
        let block = block.and_then(|block| {
            // The last block is held back until the file is seen unchanged: without it a request is not
            // whole, and no object comes of it.
            if this.at + block.as_ref().len() as u64 >= end {
                this.file.opened.check_unchanged().map_err(io::Error::other)?;
            }
            Ok(block)
        });
        match block {
            Ok(block) => {
                let bytes = Bytes::from_owner(block);
                this.at += bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes)))
            }
            Err(error) => {
                this.at = end;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

/// Fills a block from offset `at` with what the page cache has.
///
/// `None` where a disk would have to be waited for, or the system can't tell.
#[cfg(target_os = "linux")]
fn read_cached(opened: &Opened, block: &mut Block, at: u64, end: u64) -> Option<io::Result<usize>> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut room = [io::IoSliceMut::new(block.room(end - at))];
    match preadv2(&opened.file, &mut room, at, ReadWriteFlags::NOWAIT) {
        Ok(0) => Some(Err(shorter())),
        Ok(len) => {
            opened.read.fetch_add(len as u64, Relaxed);
            block.fill(len);
            Some(Ok(len))
        }
        Err(Errno::AGAIN | Errno::NOTSUP | Errno::NOSYS | Errno::INTR) => None,
        Err(errno) => Some(Err(errno.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &Opened, _: &mut Block, _: u64, _: u64) -> Option<io::Result<usize>> {
    None
}

/// Fills a block from offset `at`, waiting for the disk where it must.
fn read_at(opened: &Opened, block: &mut Block, at: u64, end: u64) -> io::Result<usize> {
    loop {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&opened.file, block.room(end - at), at);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&opened.file, block.room(end - at), at);
        match read {
            Ok(0) => return Err(shorter()),
            Ok(len) => {
                opened.read.fetch_add(len as u64, Relaxed);
                block.fill(len);
                return Ok(len);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before it should")
}

#[cfg(test)]
mod tests {
    use super::super::FileSource;
    use super::*;
    use crate::checksum::{Algorithm, Checksum};
    use futures::TryStreamExt;

    fn source(bytes: &[u8]) -> (tempfile::TempDir, FileSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        let source = FileSource::open(path).unwrap();
        (dir, source)
    }

    async fn read(part: &Part) -> io::Result<Vec<u8>> {
        part.reader().try_fold(Vec::new(), |all, block| async move { Ok([&all, &block[..]].concat()) }).await
    }

    #[tokio::test]
    async fn a_part_reads_the_same_again() {
        let data: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let (_dir, source) = source(&data);
        let part = source.part(1_000..299_000);
        assert_eq!(part.len(), 298_000);
        for _ in 0..2 {
            assert_eq!(read(&part).await.unwrap(), data[1_000..299_000]);
        }
        let wanted = Wanted { checksum: Some(Algorithm::Crc64Nvme), ..Wanted::default() };
        let sums = part.sums(wanted).await.unwrap();
        assert_eq!(sums.checksum, Some(Checksum::of(Algorithm::Crc64Nvme, &data[1_000..299_000])));
        assert!(read(&source.part(5..5)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_watched_is_computed_by_each_reader_that_comes_to_the_end() {
        let (_dir, source) = source(&[7; 200_000]);
        let wanted = Wanted { checksum: Some(Algorithm::Crc64Nvme), ..Wanted::default() };
        let (part, watch) = source.part(0..200_000).watched(wanted);
        let mut first = part.reader();
        first.try_next().await.unwrap();
        assert_eq!(watch.sums(), Sums::default());
        read(&part).await.unwrap();
        assert_eq!(watch.sums().checksum, Some(Checksum::of(Algorithm::Crc64Nvme, &[7; 200_000])));
    }

    #[tokio::test]
    async fn a_file_that_ends_early_is_an_error_and_no_short_part() {
        let (_dir, source) = source(b"12345");
        let part = source.part(0..6);
        assert_eq!(read(&part).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let wanted = Wanted { md5: true, ..Wanted::default() };
        assert_eq!(part.sums(wanted).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn the_last_block_of_a_file_that_changed_is_never_given() {
        let (dir, source) = source(&[7; 200_000]);
        let part = source.part(0..200_000);
        std::fs::write(dir.path().join("f"), [8; 200_001]).unwrap();
        let mut reader = part.reader();
        let mut given = 0;
        let error = loop {
            match reader.try_next().await {
                Ok(block) => given += block.unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(given < 200_000 && error.to_string().contains("changed"), "{given} bytes, {error}");
    }

    #[test]
    fn a_read_takes_a_few_blocks_however_long_the_part_is() {
        let (_dir, source) = source(&vec![7; 4 << 20]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = source.part(0..4 << 20).reader();
            while reader.try_next().await.unwrap().is_some() {}
        });
        assert!(source.pool.free() <= 2, "{} blocks", source.pool.free());
    }
}
