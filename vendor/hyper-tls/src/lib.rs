//! A stand-in for `hyper-tls`.
//!
//! rusoto_core 0.48 does not compile without a TLS feature, though its own HTTP client, the only
//! user of that feature, can be left unused. This crate gives it the type that it names. No
//! connection is ever made: the connector refuses, and its connection type has no values.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::future::{ready, Ready};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::client::connect::{Connected, Connection, HttpConnector};
use hyper::Uri;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

/// A connector that refuses every connection.
#[derive(Clone, Debug)]
pub struct HttpsConnector<T>(PhantomData<fn() -> T>);

impl HttpsConnector<HttpConnector> {
    /// Returns the connector.
    #[allow(clippy::new_without_default)] // hyper-tls has `new` alone
    pub fn new() -> Self {
        HttpsConnector(PhantomData)
    }
}

impl<T> Service<Uri> for HttpsConnector<T> {
    type Response = Never;
    type Error = io::Error;
    type Future = Ready<io::Result<Never>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(Err(io::Error::other("rusoto's own HTTP client is not used here")))
    }
}

/// A connection that cannot exist.
pub struct Never(Infallible);

impl Connection for Never {
    fn connected(&self) -> Connected {
        match self.0 {}
    }
}

impl AsyncRead for Never {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

impl AsyncWrite for Never {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
