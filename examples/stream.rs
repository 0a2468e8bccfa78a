//! An upload of a stream by the library alone: its end is not known when the upload begins.
//!
//! ```sh
//! seq 10000000 | cargo run --example stream -- BUCKET/KEY
//! ```

use s3chunk::Target;
use s3chunk::checksum::Wanted;
use s3chunk::event::Silent;
use s3chunk::pace;
use s3chunk::source::{DEFAULT_MEMORY, StreamSource};
use s3chunk::store::rusoto::{Connection, RusotoStore};
use s3chunk::store::{RetryPolicy, Retrying};
use s3chunk::upload::{Request, Window, put};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, target] = args.as_slice() else { return Err("usage: stream BUCKET/KEY".into()) };

    let stop = CancellationToken::new();
    let gateway = RusotoStore::connect(&Connection::default()).await?;
    let store = Retrying::new(gateway.clone(), RetryPolicy::default(), Arc::new(Silent), stop.clone());

    // The SHA-256 of all that passes costs little beside the upload, and could be made a condition of the object.
    let source = StreamSource::stdin(DEFAULT_MEMORY, Wanted { sha256: true, ..Wanted::default() })?;
    let mut request = Request::new(target.parse::<Target>()?);
    request.window = Window::new(pace::FIRST);

    // The window is fitted to the line while the upload runs.
    let uploaded = tokio::select! {
        uploaded = put(&store, &source, &request, &Silent, &stop) => uploaded?,
        never = pace::keep(&request.window, || gateway.sent()) => match never {},
    };
    println!("{} has {} bytes in {} parts", request.target, uploaded.size, uploaded.parts);
    Ok(())
}
