//! Connections: TCP, an HTTP proxy where the environment names one, and TLS.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::tls::{self, Trust};

/// Bytes that the kernel may hold unsent of a connection that has just begun. Without a limit it takes megabytes at
/// once, and what it takes then tells nothing of how fast they get on.
const UNSENT_AT_FIRST: u32 = 128 << 10;

/// Bytes after which a connection has no such limit any more: it costs a fifth of the CPU over TLS.
const BEGUN: u64 = 8 << 20;

/// Makes connections for hyper's pool.
#[derive(Clone)]
pub(super) struct Connector(Arc<Shared>);

struct Shared {
    tcp: HttpConnector<Resolver>,
    proxies: Matcher,
    trust: Trust,
    /// Made at the first connection that needs it: to read the system's certificates takes a while.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    timeout: Duration,
    /// Bytes that all sockets took so far.
    sent: Arc<AtomicU64>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ConnectError {
    message: String,
    /// Whether another try will fare no better, as with a certificate that is not trusted.
    pub(super) lasting: bool,
}

impl ConnectError {
    fn passing(message: String) -> Self {
        ConnectError { message, lasting: false }
    }

    fn lasting(message: String) -> Self {
        ConnectError { message, lasting: true }
    }
}

impl Connector {
    /// Returns a connector that gives up after `timeout`.
    pub(super) fn new(trust: Trust, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // curl's word for "none at all", which the matcher does not know.
        let none = ["NO_PROXY", "no_proxy"]
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|hosts| hosts.trim() == "*"));
        let proxies = if none { Matcher::builder().build() } else { Matcher::from_env() };
        let sent = Arc::default();
        Connector(Arc::new(Shared { tcp, proxies, trust, tls: OnceLock::new(), timeout, sent }))
    }

    /// Bytes that all connections have taken so far.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Relaxed)
    }

    /// Whether a request to `uri` goes by a proxy.
    pub(super) fn is_proxied(&self, uri: &Uri) -> bool {
        self.0.proxies.intercept(uri).is_some()
    }

    /// The credentials that a proxy wants with each plain request to `uri`.
    pub(super) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        let intercept = self.0.proxies.intercept(uri).filter(|_| uri.scheme_str() == Some("http"))?;
        intercept.basic_auth().cloned()
    }

    /// The proxy that requests to `uri` go through, without its credentials.
    pub(super) fn proxy(&self, uri: &Uri) -> Option<String> {
        let proxy = self.0.proxies.intercept(uri)?;
        let host = proxy.uri().host().unwrap_or_default();
        Some(proxy.uri().port_u16().map_or(host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// Whether any certificate is taken.
    pub(super) fn trusts_anyone(&self) -> bool {
        self.0.trust == Trust::Anyone
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Wire>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let dialled = tokio::time::timeout(shared.timeout, shared.dial(uri)).await;
            let late = |_| Err(ConnectError::passing(format!("no answer in {:?}", shared.timeout)));
            dialled.unwrap_or_else(late).map(TokioIo::new).map_err(|error| {
                let message = format!("cannot connect to {host}: {}", error.message);
                ConnectError { message, ..error }
            })
        })
    }
}

impl Shared {
    async fn dial(&self, uri: Uri) -> Result<Wire, ConnectError> {
        let by_proxy = |e: &dyn std::error::Error| ConnectError::passing(format!("the proxy: {}", causes(e)));
        let is_tls = uri.scheme_str() == Some("https");
        let mut tcp = self.tcp.clone();
        let proxy = self.proxies.intercept(&uri);
        let stream = match &proxy {
            Some(proxy) if proxy.uri().scheme_str() != Some("http") => {
                let scheme = proxy.uri().scheme_str().unwrap_or_default();
                let why =
                    format!("the environment names a proxy of scheme {scheme}, and http alone is known");
                return Err(ConnectError::lasting(why));
            }
            Some(proxy) if is_tls => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                tunnel.call(uri.clone()).await.map_err(|e| by_proxy(&e))?
            }
            Some(proxy) => tcp.call(proxy.uri().clone()).await.map_err(|e| by_proxy(&e))?,
            None => tcp.call(uri.clone()).await.map_err(|e| ConnectError::passing(causes(&e)))?,
        };
        let stream = stream.into_inner();
        limit_unsent(&stream, UNSENT_AT_FIRST);
        let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
        let pulse = |tls| Arc::new(Pulse { ends, tls, sent: Arc::clone(&self.sent), ..Pulse::default() });
        if !is_tls {
            return Ok(Wire {
                io: Box::new(stream),
                pulse: pulse(None),
                limited: true,
                proxied: proxy.is_some(),
            });
        }
        let config = self.tls.get_or_init(|| tls::config(&self.trust).map(Arc::new)).clone();
        let config = config.map_err(ConnectError::lasting)?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|e| ConnectError::lasting(e.to_string()))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match inner {
                Some(rustls::Error::InvalidMessage(_)) => ConnectError::lasting(
                    "what answers there speaks no TLS; is it http:// instead of https://?".to_owned(),
                ),
                Some(rustls::Error::InvalidCertificate(_)) => ConnectError::lasting(causes(&error)),
                _ => ConnectError::passing(causes(&error)),
            }
        })?;
        let pulse = pulse(stream.get_ref().1.protocol_version());
        Ok(Wire { io: Box::new(stream), pulse, limited: true, proxied: false })
    }
}

/// Returns an error and its causes in one line, leaving out those that a later one repeats.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        source = cause.source();
    }
    texts.join(": ")
}

/// Looks up host names; `localhost` and what ends in it is this machine, as RFC 6761 has it.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().trim_end_matches('.').to_ascii_lowercase();
        if host == "localhost" || host.ends_with(".localhost") {
            let loopback = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
            return Box::pin(async move { Ok(Vec::from(loopback).into_iter()) });
        }
        let lookup = self.0.call(name);
        Box::pin(async move { Ok(lookup.await?.collect::<Vec<_>>().into_iter()) })
    }
}

/// Returns the addresses of a host, as connections find them.
///
/// # Errors
/// When there are none, or nobody who knows can be asked.
pub(super) async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    let name: Name = host.parse().map_err(io::Error::other)?;
    let found = Resolver(GaiResolver::new()).call(name).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// What moves over a connection, for those who watch it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The addresses of this end and the other.
    ends: Option<(SocketAddr, SocketAddr)>,
    /// The version of TLS, where that is spoken.
    pub(super) tls: Option<ProtocolVersion>,
    bytes: AtomicU64,
    /// What all connections together have taken.
    sent: Arc<AtomicU64>,
    answers: AtomicU64,
}

impl Pulse {
    /// Bytes that the socket has taken and given so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes that the socket has taken and the other end has not acknowledged, where the system tells. On a
    /// slow line the socket takes nothing for a long while, and still gets rid of them.
    #[cfg(target_os = "linux")]
    pub(super) fn unacknowledged(&self) -> Option<u32> {
        let (here, there) = self.ends?;
        let this = procfs::process::Process::myself().ok()?;
        let connections = if here.is_ipv4() { this.tcp() } else { this.tcp6() }.ok()?;
        let ours = connections.into_iter().find(|it| it.local_address == here && it.remote_address == there);
        ours.map(|connection| connection.tx_queue)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn unacknowledged(&self) -> Option<u32> {
        None
    }

    /// Requests that were answered so far.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Notes that a request was answered.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Relaxed);
    }

    fn beat(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// A connection.
pub(super) struct Wire {
    io: Box<dyn Duplex>,
    pulse: Arc<Pulse>,
    /// Whether the kernel may not hold much unsent yet.
    limited: bool,
    proxied: bool,
}

/// A TCP stream, or a TLS session over one.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> &TcpStream;
}

impl Duplex for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Duplex for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Says how many bytes the kernel may hold unsent.
fn limit_unsent(socket: &TcpStream, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, bytes);
}

impl Wire {
    fn took(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = written {
            self.pulse.beat(len);
            self.pulse.sent.fetch_add(len as u64, Relaxed);
            if self.limited && self.pulse.bytes() > BEGUN {
                self.limited = false;
                limit_unsent(self.io.socket(), u32::MAX);
            }
        }
        written
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied).extra(Arc::clone(&self.pulse))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.pulse.beat(buf.filled().len() - before);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.took(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.took(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
