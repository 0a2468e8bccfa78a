//! What may stand before a store: a TLS server with a certificate of its own, an HTTP proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server on a thread of its own, for as long as the tests run.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// The connections that went through.
    pub(crate) passed: Arc<AtomicUsize>,
}

/// Runs what serves one connection, for each that comes.
fn serve<F>(connection: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Front
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (served, count) = (connection(stream), Arc::clone(&count));
                tokio::spawn(async move {
                    if served.await.is_ok() {
                        count.fetch_add(1, SeqCst);
                    }
                });
            }
        });
    });
    Front { address, passed }
}

/// A certificate authority, as a file in PEM.
pub(crate) struct Authority {
    pub(crate) pem: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    _folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority for tests");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("ca.pem");
        std::fs::write(&pem, certificate.pem()).unwrap();
        Authority { pem, issuer: Issuer::new(params, key), _folder: folder }
    }
}

/// TLS before `store`, with a certificate for `host`.
pub(crate) fn tls(store: SocketAddr, authority: &Authority, host: &str) -> Front {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut inside = acceptor.accept(stream).await?;
            let mut store = TcpStream::connect(store).await?;
            copy_bidirectional(&mut inside, &mut store).await.map(drop)
        }
    })
}

/// An HTTP proxy that wants the user `u` with the password `p`: for tunnels by CONNECT, and for plain
/// requests with the whole address, which go to `store` whatever it says.
pub(crate) fn proxy(store: SocketAddr) -> Front {
    serve(move |mut client| async move {
        let mut server = TcpStream::connect(store).await?;
        loop {
            let head = head(&mut client).await?;
            if !head.to_ascii_lowercase().contains("proxy-authorization: basic dtpw") {
                let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                client.write_all(refusal.as_bytes()).await?;
                return Err(std::io::ErrorKind::PermissionDenied.into());
            }
            if head.starts_with("CONNECT ") {
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
                return copy_bidirectional(&mut client, &mut server).await.map(drop);
            }
            // As a proxy must: the store is sent the path alone.
            let (method, rest) = head.split_once(" http://").unwrap();
            let (_, path) = rest.split_once('/').unwrap();
            server.write_all(format!("{method} /{path}").as_bytes()).await?;
            copy(&mut (&mut client).take(length(&head)), &mut server).await?;
            let answer = self::head(&mut server).await?;
            client.write_all(answer.as_bytes()).await?;
            // The answer to a HEAD tells a length and has no body.
            let length = if method == "HEAD" { 0 } else { length(&answer) };
            copy(&mut (&mut server).take(length), &mut client).await?;
        }
    })
}

/// Reads the head of a request or an answer.
async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// The length of the body behind a head.
fn length(head: &str) -> u64 {
    let lower = head.to_ascii_lowercase();
    let value = lower.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    value.map_or(0, |value| value.trim().parse().unwrap())
}
