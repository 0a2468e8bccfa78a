//! Where the bytes come from: a file, or a stream, cut into parts that can be read again and again.
//!
//! A [`Part`] of a file names bytes and holds none. Its [`PartReader`] streams them through a few reused
//! blocks, so that memory does not grow with the part, and a retry or a checksum just reads again. A part
//! of a stream holds its bytes.

mod block;
mod child;
mod part;
mod stdin;
mod stream;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use tokio::sync::OwnedSemaphorePermit;

pub use block::Pool;
pub use part::{Part, PartReader};
pub use stream::{DEFAULT_MEMORY, StreamSource};

/// What is to be uploaded.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A file.
    File(&'a FileSource),
    /// A stream.
    Stream(&'a StreamSource),
}

/// A file that is to be uploaded, held open.
pub struct FileSource {
    opened: Arc<Opened>,
    pool: Pool,
}

/// A file as it was when it was opened.
struct Opened {
    path: PathBuf,
    file: File,
    /// `None` for a file of our own, which nobody else can change.
    identity: Option<Identity>,
    /// Bytes read of it by its parts so far.
    read: AtomicU64,
    /// A place among the files of our own, of which there are not many at once.
    _room: Option<OwnedSemaphorePermit>,
}

/// What must not change while a file is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    size: u64,
    modified: Option<SystemTime>,
    /// Device and inode.
    #[cfg(unix)]
    inode: (u64, u64),
}

/// What is wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It can't be opened or looked at.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{} is a folder, not a file", .0.display())]
    Folder(PathBuf),
    /// It is neither a file nor a folder: a pipe, a socket, a device.
    #[error("{} is not a regular file", .0.display())]
    Special(PathBuf),
    /// Its bytes can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A stream can't be read.
    #[error("cannot read {name}")]
    Stream {
        /// What it is.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command can't be started.
    #[error("cannot run {command}")]
    Start {
        /// Its name.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The command that printed the bytes failed, so that they may not be all.
    #[error("{command} failed: {status}")]
    Command {
        /// Its name.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It has not the size that the caller expects.
    #[error("{name} has {found} bytes, and {expected} were expected")]
    Size {
        /// What it is.
        name: String,
        /// The size expected, in words.
        expected: String,
        /// Its size, in words.
        found: String,
    },
    /// It is not what it was when the upload began.
    #[error("{} changed during the upload: {change}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What changed.
        change: Change,
    },
}

/// How a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Change {
    /// Another size.
    #[error("its size was {before} bytes and is {now}")]
    Size {
        /// Size in bytes when it was opened.
        before: u64,
        /// Size in bytes now.
        now: u64,
    },
    /// Written to.
    #[error("it was written to")]
    Modified,
    /// Another file has its name.
    #[error("another file has taken its place")]
    Replaced,
    /// Gone.
    #[error("it is gone")]
    Gone,
}

impl FileSource {
    /// Opens a regular file.
    ///
    /// # Errors
    /// When it is missing, unreadable, a folder, or a special file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        Self::open_with(path, Pool::default())
    }

    /// Opens a regular file that is to be read through the blocks of `pool`.
    ///
    /// # Errors
    /// As [`FileSource::open`].
    pub fn open_with(path: impl Into<PathBuf>, pool: Pool) -> Result<Self, SourceError> {
        let path = path.into();
        // Looked at before it is opened: to open a pipe would wait for its writer.
        let kind = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(source) => return Err(SourceError::Open { path, source }),
        };
        if kind.is_dir() {
            return Err(SourceError::Folder(path));
        }
        if !kind.is_file() {
            return Err(SourceError::Special(path));
        }
        let opened = File::open(&path).and_then(|file| {
            let identity = Identity::of(&file.metadata()?);
            // Files of /proc say that they are empty, and are not.
            let empty = identity.size > 0 || (&file).read(&mut [0])? == 0;
            Ok((file, identity, empty))
        });
        match opened {
            Ok((_, _, false)) => Err(SourceError::Special(path)),
            Ok((file, identity, true)) => {
                let opened =
                    Opened { path, file, identity: Some(identity), read: AtomicU64::new(0), _room: None };
                Ok(FileSource { opened: Arc::new(opened), pool })
            }
            Err(source) => Err(SourceError::Open { path, source }),
        }
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.opened.path
    }

    /// Size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.opened.identity.map_or(0, |identity| identity.size)
    }

    /// Bytes read of it so far by all its parts: more than its size where some were read again.
    pub fn bytes_read(&self) -> u64 {
        self.opened.read.load(Relaxed)
    }

    /// Returns the part that holds these bytes of the file.
    pub fn part(&self, range: Range<u64>) -> Part {
        Part::of(Arc::clone(&self.opened), self.pool.clone(), range)
    }

    /// Checks that the file is still what was opened: its size, its time, and its place.
    ///
    /// # Errors
    /// When it changed in any of these.
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        self.opened.check_unchanged()
    }
}

impl<'a> Source<'a> {
    /// What errors call it.
    pub fn name(&self) -> String {
        match self {
            Source::File(file) => file.path().display().to_string(),
            Source::Stream(stream) => stream.name().to_owned(),
        }
    }

    /// Checks that a file is still what was opened; of a stream there is nothing to check.
    ///
    /// # Errors
    /// As [`FileSource::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        match self {
            Source::File(file) => file.check_unchanged(),
            Source::Stream(_) => Ok(()),
        }
    }

    /// Returns the error of bytes that can't be read.
    pub(crate) fn unreadable(&self, source: io::Error) -> SourceError {
        match self {
            Source::File(file) => SourceError::Read { path: file.path().to_owned(), source },
            Source::Stream(stream) => SourceError::Stream { name: stream.name().to_owned(), source },
        }
    }
}

impl<'a> From<&'a FileSource> for Source<'a> {
    fn from(file: &'a FileSource) -> Self {
        Source::File(file)
    }
}

impl<'a> From<&'a StreamSource> for Source<'a> {
    fn from(stream: &'a StreamSource) -> Self {
        Source::Stream(stream)
    }
}

impl Opened {
    /// Returns a file that is nobody else's.
    fn own(name: &str, file: File, room: OwnedSemaphorePermit) -> Self {
        Opened { path: name.into(), file, identity: None, read: AtomicU64::new(0), _room: Some(room) }
    }

    fn check_unchanged(&self) -> Result<(), SourceError> {
        let Some(identity) = self.identity else { return Ok(()) };
        let changed = |change| SourceError::Changed { path: self.path.clone(), change };
        let read = |source| SourceError::Read { path: self.path.clone(), source };
        let held = Identity::of(&self.file.metadata().map_err(read)?);
        identity.compare(&held).map_err(changed)?;
        let named = match std::fs::metadata(&self.path) {
            Ok(metadata) => Identity::of(&metadata),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(changed(Change::Gone)),
            Err(e) => return Err(read(e)),
        };
        if !identity.same_file(&named) {
            return Err(changed(Change::Replaced));
        }
        identity.compare(&named).map_err(changed)
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Identity {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            },
        }
    }

    fn compare(&self, now: &Identity) -> Result<(), Change> {
        if self.size != now.size {
            return Err(Change::Size { before: self.size, now: now.size });
        }
        if self.modified != now.modified {
            return Err(Change::Modified);
        }
        Ok(())
    }

    #[cfg(unix)]
    fn same_file(&self, other: &Identity) -> bool {
        self.inode == other.inode
    }

    #[cfg(not(unix))]
    fn same_file(&self, _: &Identity) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn change(source: &FileSource) -> Change {
        match source.check_unchanged() {
            Err(SourceError::Changed { change, .. }) => change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let (dir, path) = file(b"x");
        assert!(matches!(FileSource::open(dir.path()), Err(SourceError::Folder(_))));
        assert!(matches!(FileSource::open(path.join("y")), Err(SourceError::Open { .. })));
        #[cfg(target_os = "linux")]
        for special in ["/dev/null", "/proc/version"] {
            assert!(matches!(FileSource::open(special), Err(SourceError::Special(_))), "{special}");
        }
    }

    #[test]
    fn a_change_of_size_time_or_place_is_seen() {
        let (_dir, path) = file(b"12345");
        let source = FileSource::open(&path).unwrap();
        assert!(source.check_unchanged().is_ok());
        let opened = std::fs::metadata(&path).unwrap().modified().unwrap();

        let mut writer = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(b"6").unwrap();
        assert_eq!(change(&source), Change::Size { before: 5, now: 6 });
        writer.set_len(5).unwrap();
        writer.set_modified(opened + std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(change(&source), Change::Modified);
        writer.set_modified(opened).unwrap();
        assert!(source.check_unchanged().is_ok());

        std::fs::rename(&path, path.with_extension("old")).unwrap();
        assert_eq!(change(&source), Change::Gone);
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(change(&source), Change::Replaced);
    }
}
