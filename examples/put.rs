//! An upload by the library alone: no terminal, no command line.
//!
//! ```sh
//! cargo run --example put -- FILE BUCKET/KEY
//! ```

use s3chunk::Target;
use s3chunk::event::{Event, Observer};
use s3chunk::source::FileSource;
use s3chunk::store::rusoto::{Connection, RusotoStore};
use s3chunk::store::{RetryPolicy, Retrying};
use s3chunk::upload::{Request, put};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Says each part that the store has acknowledged.
struct Parts;

impl Observer for Parts {
    fn event(&self, event: &Event<'_>) {
        if let Event::Stored { part, size } = event {
            println!("part {part}: {size} bytes");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, file, target] = args.as_slice() else { return Err("usage: put FILE BUCKET/KEY".into()) };

    // Which store, and whose credentials: as every AWS tool finds them.
    let (store, stop) = (RusotoStore::connect(&Connection::default()).await?, CancellationToken::new());
    let store = Retrying::new(store, RetryPolicy::default(), Arc::new(Parts), stop.clone());

    let source = FileSource::open(file)?;
    let name = source.path().file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let request = Request::new(target.parse::<Target>()?.for_file(name)?);
    let uploaded = put(&store, &source, &request, &Parts, &stop).await?;
    println!("{} has ETag {:?}", request.target, uploaded.etag);
    Ok(())
}
