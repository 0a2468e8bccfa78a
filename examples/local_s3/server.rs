//! An S3-compatible server in this process: `s3s-fs`, which keeps objects as files below a folder.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
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
        service.set_access(AsS3Does { folder: folder.to_owned() });
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

/// What S3 does and `s3s-fs` leaves out.
struct AsS3Does {
    folder: PathBuf,
}

#[async_trait]
impl S3Access for AsS3Does {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        if request.credentials().is_none() {
            return Err(s3_error!(AccessDenied));
        }
        let (bucket, key) = match request.s3_path() {
            S3Path::Object { bucket, key } => (bucket, &**key),
            S3Path::Bucket { bucket } => (bucket, ""),
            S3Path::Root => return Ok(()),
        };
        let operation = request.s3_op().name();
        // It would make a bucket that is not there by the way.
        if operation != "CreateBucket" && !self.folder.join(&**bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        // It would keep the checksum of the object that a completed upload replaces.
        if operation == "CompleteMultipartUpload" {
            let encode = |name: &str| URL_SAFE_NO_PAD.encode(name);
            let stale = format!(".bucket-{}.object-{}.internal.json", encode(bucket), encode(key));
            let _ = std::fs::remove_file(self.folder.join(stale));
        }
        Ok(())
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
