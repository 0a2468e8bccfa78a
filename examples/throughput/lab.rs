//! The rows of the table: what is done for each, and what it cost.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use procfs::process::{ClearRefs, Process};
use rustix::time::{ClockId, clock_gettime};
use s3chunk::checksum::{Algorithm, Wanted};
use s3chunk::event::Silent;
use s3chunk::plan::DEFAULT_PART_SIZE;
use s3chunk::source::{DEFAULT_MEMORY, FileSource, Pool, Source, StreamSource};
use s3chunk::store::rusoto::{Connection, CredentialSource, Credentials, PayloadSigning, RusotoStore};
use s3chunk::upload::{ChecksumWish, Request, Trailers, Window, put};
use tokio_util::sync::CancellationToken;

use crate::sink::{Sink, read_answer};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Requests in flight at once.
pub(crate) const PLACES: usize = 8;

/// How many small files there are, and their size in bytes.
const SMALL: (usize, usize) = (500, 8 << 10);

/// What a row does.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Reads and writes, and nothing else.
    Floor,
    /// Uploads the file.
    File(ChecksumWish, Trailers, PayloadSigning),
    /// Uploads the file as a stream of unknown length.
    Stream(ChecksumWish),
    /// Uploads many small files through one window.
    Small(ChecksumWish),
}

const CRC: ChecksumWish = ChecksumWish::Algorithm(Algorithm::Crc64Nvme);

/// The rows, from the top; the first is the floor.
pub(crate) const ROWS: &[(&str, Work)] = &[
    ("floor: pread + write, 2 threads", Work::Floor),
    ("no checksum", Work::File(ChecksumWish::None, Trailers::Never, PayloadSigning::Never)),
    ("CRC64NVME in a header", Work::File(CRC, Trailers::Never, PayloadSigning::Never)),
    ("CRC64NVME in a trailer", Work::File(CRC, Trailers::Always, PayloadSigning::Never)),
    ("CRC64NVME, signed payload", Work::File(CRC, Trailers::Never, PayloadSigning::Always)),
    ("MD5", Work::File(ChecksumWish::Md5, Trailers::Never, PayloadSigning::Never)),
    ("500 files of 8 KiB, CRC64NVME", Work::Small(CRC)),
    ("stream, CRC64NVME", Work::Stream(CRC)),
];

/// What a run cost.
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu_per_gib: f64,
    pub(crate) read_per_sent: f64,
    pub(crate) peak_mib: f64,
}

/// All that is needed to run the rows.
pub(crate) struct Lab {
    sink: Sink,
    runtime: tokio::runtime::Runtime,
    process: Process,
    folder: tempfile::TempDir,
    size: u64,
}

impl Lab {
    /// Starts a sink, and writes the files.
    pub(crate) fn open(size: u64) -> Outcome<Self> {
        let (sink, runtime) = (Sink::start()?, tokio::runtime::Runtime::new()?);
        let lab = Lab { sink, runtime, process: Process::myself()?, folder: tempfile::tempdir()?, size };
        let mut random = vec![0; 1 << 20];
        fastrand::fill(&mut random);
        let mut file = File::create(lab.file())?;
        let mut left = size;
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(random.len()).min(random.len());
            file.write_all(&random[..some])?;
            left -= some as u64;
        }
        for number in 0..SMALL.0 {
            std::fs::write(lab.small_file(number), &random[..SMALL.1])?;
        }
        Ok(lab)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("large")
    }

    fn small_file(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("small-{number}"))
    }

    /// Does the row's work three times; of each figure the least is kept, of memory the most.
    pub(crate) fn best_of_three(&self, work: Work) -> Outcome<Cost> {
        let mut best = self.run(work)?;
        for _ in 0..2 {
            let cost = self.run(work)?;
            best = Cost {
                wall: best.wall.min(cost.wall),
                cpu_per_gib: best.cpu_per_gib.min(cost.cpu_per_gib),
                read_per_sent: best.read_per_sent.min(cost.read_per_sent),
                peak_mib: best.peak_mib.max(cost.peak_mib),
            };
        }
        Ok(best)
    }

    fn run(&self, work: Work) -> Outcome<Cost> {
        self.process.clear_refs(ClearRefs::PeakRSS)?;
        // Sockets are not read by read(2) here, so that what is counted is read of files.
        let read = || Ok::<_, procfs::ProcError>(self.process.io()?.rchar);
        let ours = || cpu_time(ClockId::ProcessCPUTime).saturating_sub(self.sink.cpu());
        let (read_before, sent_before) = (read()?, self.sink.bytes());
        let (cpu_before, began) = (ours(), Instant::now());
        self.work(work)?;
        let (wall, cpu) = (began.elapsed(), ours().saturating_sub(cpu_before));
        let sent = self.sink.bytes() - sent_before;
        let expected = match work {
            Work::Small(_) => (SMALL.0 * SMALL.1) as u64,
            _ => self.size,
        };
        if sent < expected {
            return Err(format!("{sent} of {expected} bytes arrived").into());
        }
        Ok(Cost {
            wall: wall.as_secs_f64(),
            cpu_per_gib: cpu.as_secs_f64() / (expected as f64 / f64::from(1 << 30)),
            read_per_sent: (read()? - read_before) as f64 / sent as f64,
            peak_mib: self.process.status()?.vmhwm.unwrap_or(0) as f64 / 1024.0,
        })
    }

    fn work(&self, work: Work) -> Outcome<()> {
        match work {
            Work::Floor => Ok(floor(&File::open(self.file())?, self.size, self.sink.address())?),
            Work::File(checksum, trailers, signing) => {
                let source = FileSource::open(self.file())?;
                self.upload(&[Source::File(&source)], checksum, trailers, signing)
            }
            Work::Stream(checksum) => {
                let file = File::open(self.file())?;
                let stream = StreamSource::new("the file", file, DEFAULT_MEMORY, Wanted::default());
                self.upload(&[Source::Stream(&stream)], checksum, Trailers::Never, PayloadSigning::Never)
            }
            Work::Small(checksum) => {
                let pool = Pool::default();
                let files = (0..SMALL.0).map(|n| FileSource::open_with(self.small_file(n), pool.clone()));
                let files = files.collect::<Result<Vec<_>, _>>()?;
                let sources: Vec<_> = files.iter().map(Source::File).collect();
                self.upload(&sources, checksum, Trailers::Never, PayloadSigning::Never)
            }
        }
    }

    /// Uploads all the sources at once, as far as the window lets them.
    fn upload(
        &self,
        sources: &[Source<'_>],
        checksum: ChecksumWish,
        trailers: Trailers,
        payload_signing: PayloadSigning,
    ) -> Outcome<()> {
        let connection = Connection {
            endpoint_url: Some(format!("http://{}", self.sink.address())),
            region: Some("us-east-1".to_owned()),
            credentials: CredentialSource::Static(Credentials::new("access", "secret", None, None, "sink")),
            payload_signing,
            ..Connection::default()
        };
        self.runtime.block_on(async {
            let (store, stop) = (RusotoStore::connect(&connection).await?, CancellationToken::new());
            let (window, sources) = (Window::new(PLACES), sources.iter().enumerate());
            let uploads = sources.map(async |(number, source)| {
                let target = format!("bucket/key-{number}").parse()?;
                let request = Request { window: window.clone(), checksum, trailers, ..Request::new(target) };
                put(&store, *source, &request, &Silent, &stop).await?;
                Outcome::Ok(())
            });
            futures::stream::iter(uploads).buffer_unordered(2 * PLACES).try_collect().await
        })
    }
}

/// Sends the file's parts by two threads that read 64 KiB and write them, and do nothing else.
fn floor(file: &File, size: u64, sink: SocketAddr) -> io::Result<()> {
    let next = AtomicU64::new(0);
    let send = || {
        let (mut stream, mut block) = (TcpStream::connect(sink)?, vec![0; 64 << 10]);
        stream.set_nodelay(true)?;
        loop {
            let mut at = next.fetch_add(DEFAULT_PART_SIZE, Relaxed);
            let end = size.min(at.saturating_add(DEFAULT_PART_SIZE));
            if at >= end {
                return Ok(());
            }
            write!(stream, "PUT /bucket/floor HTTP/1.1\r\nContent-Length: {}\r\n\r\n", end - at)?;
            while at < end {
                let most = usize::try_from(end - at).unwrap_or(block.len()).min(block.len());
                let read = file.read_at(&mut block[..most], at)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                stream.write_all(&block[..read])?;
                at += read as u64;
            }
            read_answer(&mut stream)?;
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(send), scope.spawn(send)];
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))))
    })
}

/// CPU time that the thread, or the process, has used so far.
pub(crate) fn cpu_time(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
