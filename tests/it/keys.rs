//! Keys that are hard to encode arrive as they were typed, byte for byte.

use s3chunk::Target;
use s3chunk::event::Silent;
use s3chunk::store::rusoto::{Addressing, RusotoStore};
use s3chunk::upload::{Request, put};
use tokio_util::sync::CancellationToken;

use crate::support::fault::FaultServer;
use crate::support::{MIB5, connection_to, file};

const KEYS: [&str; 24] = [
    "plain",
    "a b",
    " ",
    "a+b",
    "100%",
    "%2F",
    "a%20b",
    "?x=1&y=2",
    "a#b",
    "a=b;c:d@e,f",
    "'quoted' \"twice\"",
    "back\\slash",
    "<xml>&amp;",
    "é",
    "e\u{301}",
    "ключ/鍵",
    "🚀",
    "/leading",
    "double//slash",
    "trailing/.",
    "./dot",
    "up/../down",
    "bucket/bucket",
    "tab\tand\u{7f}",
];

#[tokio::test]
async fn in_the_path_and_in_three_steps() {
    every_key(Addressing::Path, MIB5 + 1).await;
}

#[tokio::test]
async fn in_the_path_and_in_one_request() {
    every_key(Addressing::Path, 10).await;
}

#[tokio::test]
async fn with_the_bucket_in_the_host() {
    every_key(Addressing::Virtual, 10).await;
}

async fn every_key(addressing: Addressing, size: u64) {
    let (server, file) = (FaultServer::start(), file(size));
    let mut connection = connection_to(&server);
    connection.addressing = addressing;
    if addressing == Addressing::Virtual {
        let port = server.address().port();
        connection.endpoint_url = Some(format!("http://localhost:{port}"));
    }
    let store = RusotoStore::connect(&connection).await.unwrap();
    let longest = "k".repeat(1024);
    for key in KEYS.into_iter().chain([longest.as_str()]) {
        let mut request = Request::new(Target::new("bucket", key).unwrap());
        request.wishes.part_size = MIB5;
        put(&store, &file.source(), &request, &Silent, &CancellationToken::new()).await.unwrap();
        let object = server.object(key).unwrap_or_else(|| panic!("{key:?} did not arrive"));
        assert!(object.bytes.is_some_and(|bytes| bytes == file.bytes), "{key:?}");
    }
    assert!(server.uploads().is_empty());
}
