//! s3chunk uploads files to S3 and its kin, in parts, and finishes.
//!
//! A file of more than one chunk goes in S3's three steps: **initiate** (CreateMultipartUpload),
//! **upload part** (UploadPart, many at once), **complete** (CompleteMultipartUpload). A smaller one goes
//! in a single PutObject. Whatever fails, nothing is left behind.
//!
//! To read the code, follow one upload:
//!
//! 1. [`target`]: where the object goes; [`access_point`], where the bucket is named by one.
//! 2. [`plan`]: S3's limits, and how a size becomes parts.
//! 3. [`source`]: the file; a part of it streams through a few reused blocks, again and again if need be.
//! 4. [`checksum`]: what a pass over a part computes, and how the parts' values make the object's.
//! 5. [`upload`]: the engine. [`upload::put`] is the whole story; each step has a file of its name.
//! 6. [`store`]: what the engine asks of a store, in plain types; trying again; and, in `store::rusoto`,
//!    the gateway that makes it HTTP.
//! 7. [`pace`]: how many requests at once a line is worth.
//! 8. [`event`] and [`error`]: what the engine says while it runs, and when it fails.
//! 9. [`doctor`]: whether a store would take an upload, found out by a small one that is dropped again.
//! 10. `cli`: the command, on top of all this.
//!
//! ```no_run
//! # #[cfg(feature = "rusoto")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use s3chunk::source::FileSource;
//! use s3chunk::store::rusoto::{Connection, RusotoStore};
//! use s3chunk::upload::{Request, put};
//! use tokio_util::sync::CancellationToken;
//!
//! let store = RusotoStore::connect(&Connection::default()).await?;
//! let source = FileSource::open("backup.tar")?;
//! let request = Request::new("bucket/backup.tar".parse()?);
//! let uploaded =
//!     put(&store, &source, &request, &s3chunk::event::Silent, &CancellationToken::new()).await?;
//! assert_eq!(uploaded.size, source.size());
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod access_point;
pub mod checksum;
#[cfg(feature = "cli")]
pub mod cli;
pub mod doctor;
pub mod error;
pub mod event;
pub mod pace;
pub mod plan;
pub mod source;
pub mod store;
pub mod target;
pub mod upload;

pub use error::Error;
pub use target::Target;
