//! An S3-compatible server in this process: `s3s-fs`, which keeps objects as files below a folder.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;

/// A running server. It serves until the process ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    folder: PathBuf,
}

impl Server {
    /// Starts a server on a free loopback port. Each folder in `folder` is a bucket.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let letters = |count| std::iter::repeat_with(fastrand::alphanumeric).take(count).collect();
        let (access_key, secret_key): (String, String) = (letters(20), letters(40));
        let files = FileSystem::new(folder).map_err(|e| io::Error::other(format!("{e:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(access_key.as_str(), secret_key.as_str()));
        let service = service.build();

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(serve(listener, service)));
        Ok(Server { address, access_key, secret_key, folder: folder.to_owned() })
    }

    /// Makes a bucket, if there is none of that name.
    pub(crate) fn make_bucket(&self, bucket: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.folder.join(bucket))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener, service: S3Service) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            // A connection that breaks is the client's to notice.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
