//! What the tests stand on: stores and servers, files, the command.

pub(crate) mod command;
pub(crate) mod fault;
pub(crate) mod faulty;
pub(crate) mod front;
pub(crate) mod memory;
#[path = "../../../examples/local_s3/server.rs"]
pub(crate) mod server;

use std::path::PathBuf;

use s3chunk::Target;
use s3chunk::source::FileSource;
use s3chunk::store::rusoto::{Connection, CredentialSource, Credentials, RusotoStore, Timeouts};
use tempfile::TempDir;

/// The least size of a part, in bytes.
pub(crate) const MIB5: u64 = 5 << 20;

/// Returns `len` bytes that repeat nowhere near.
pub(crate) fn bytes(len: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(len);
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    random.fill(&mut bytes);
    bytes
}

/// A file in a folder of its own, gone when dropped.
pub(crate) struct TestFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    _folder: TempDir,
}

/// Makes a file of `len` bytes.
pub(crate) fn file(len: u64) -> TestFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.bin");
    let bytes = bytes(len);
    std::fs::write(&path, &bytes).unwrap();
    TestFile { path, bytes, _folder: folder }
}

impl TestFile {
    pub(crate) fn source(&self) -> FileSource {
        FileSource::open(&self.path).unwrap()
    }
}

pub(crate) fn target(text: &str) -> Target {
    text.parse().unwrap()
}

/// A connection to a server that takes these keys.
pub(crate) fn connection(endpoint: String, access_key: &str, secret_key: &str) -> Connection {
    Connection {
        endpoint_url: Some(endpoint),
        region: Some("us-east-1".into()),
        credentials: CredentialSource::Static(Credentials::new(access_key, secret_key, None, None, "test")),
        timeouts: Timeouts::default(),
        ..Connection::default()
    }
}

/// A connection to the fault server.
pub(crate) fn connection_to(server: &fault::FaultServer) -> Connection {
    let personality = server.personality();
    connection(server.endpoint(), &personality.access_key, &personality.secret_key)
}

/// The fault server as a store.
pub(crate) async fn store_of(server: &fault::FaultServer) -> RusotoStore {
    RusotoStore::connect(&connection_to(server)).await.unwrap()
}
