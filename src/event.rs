//! All that the engine says to a screen: [`Event`]s to an [`Observer`].

use std::time::Duration;

use crate::plan::Plan;
use crate::store::{StoreError, Upload};

/// Something that happened to an upload.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It is known how the source will be cut.
    Planned {
        /// Size of the object in bytes; `None` for a stream whose end nobody knows.
        size: Option<u64>,
        /// The number of parts, 1 for a single request; `None` where it is not known.
        parts: Option<u32>,
    },
    /// Step 1 is done.
    Initiated(&'a Upload),
    /// The store has acknowledged these bytes.
    Stored {
        /// The part's number, from 1; 1 also where the object goes in a single request.
        part: u32,
        /// Its size in bytes.
        size: u64,
    },
    /// A request failed and is sent again.
    Retrying {
        /// The object's key; a listing's prefix.
        key: &'a str,
        /// The part's number, where it carried one.
        part: Option<u32>,
        /// What went wrong.
        error: &'a StoreError,
        /// The wait before it is sent.
        wait: Duration,
    },
    /// The parts of an upload that is there are compared with the source.
    Comparing {
        /// How many there are.
        parts: usize,
    },
    /// An upload is gone on with.
    Resumed {
        /// The upload.
        upload: &'a Upload,
        /// How it was cut.
        plan: &'a Plan,
        /// Its parts that need not be sent again.
        parts: u32,
        /// Their size in bytes.
        bytes: u64,
    },
    /// Every part is stored; step 3 begins.
    Completing,
    /// The upload failed and is being dropped.
    Aborting(&'a Upload),
    /// Something that a person may want to know, in one line.
    Notice(&'a str),
}

/// Who is told of [`Event`]s. Called from the threads that upload, so it must not block for long.
pub trait Observer: Send + Sync {
    /// Takes notice of an event.
    fn event(&self, event: &Event<'_>);
}

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}
