//! The progress of one upload.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

use super::progress::Screen;
use super::text::printable;
use crate::Target;
use crate::event::{Event, Observer};

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
const STREAM_BAR: &str = "{msg} {spinner} {bytes} {binary_bytes_per_sec}";

/// An observer that shows the events of one upload on a screen.
pub(super) struct Track<'a> {
    screen: &'a Screen,
    key: String,
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    parts: Option<u32>,
    done: u64,
    parts_done: u32,
    /// The parts that were stored.
    stored: HashSet<u32>,
    bar: Option<ProgressBar>,
}

impl<'a> Track<'a> {
    pub(super) fn new(screen: &'a Screen, target: &Target) -> Self {
        Track {
            screen,
            key: target.key().to_owned(),
            name: printable(target.key().rsplit('/').next().unwrap_or_default()),
            state: Mutex::default(),
        }
    }

    /// Requests of this upload that were sent again so far.
    pub(super) fn retries(&self) -> u64 {
        self.screen.retries(&self.key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn planned(&self, total: Option<u64>, parts: Option<u32>) {
        self.screen.planned(&self.name, total, parts);
        let mut state = self.state();
        state.parts = parts;
        if state.bar.is_none() {
            state.bar = self.screen.bar(parts);
        }
        if let Some(bar) = &state.bar {
            let template = if total.is_some() { BAR } else { STREAM_BAR };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_length(total.unwrap_or(0));
            bar.set_message(state.message(&self.name));
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
        }
    }

    fn stored(&self, part: u32, size: u64) {
        let mut state = self.state();
        // A part that had to be sent again counts once.
        if !state.stored.insert(part) {
            return;
        }
        state.done += size;
        state.parts_done += 1;
        if let Some(bar) = &state.bar {
            bar.set_position(state.done);
            bar.set_message(state.message(&self.name));
        }
        drop(state);
        self.screen.stored(size);
    }

    fn reused(&self, parts: u32, bytes: u64) {
        let mut state = self.state();
        (state.done, state.parts_done) = (bytes, parts);
        if let Some(bar) = &state.bar {
            bar.set_position(bytes);
            // What was there before says nothing of the rate.
            bar.reset_eta();
        }
        drop(state);
        self.screen.reused(parts, bytes);
    }
}

impl State {
    fn message(&self, name: &str) -> String {
        match self.parts {
            Some(1) => name.to_owned(),
            Some(parts) => format!("{name} part {}/{parts}", self.parts_done),
            None => format!("{name} part {}", self.parts_done),
        }
    }
}

impl Observer for Track<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { size, parts } => self.planned(*size, *parts),
            Event::Resumed { plan, parts, bytes, .. } => {
                self.planned(Some(plan.size()), Some(plan.count()));
                self.reused(*parts, *bytes);
            }
            Event::Stored { part, size } => self.stored(*part, *size),
            _ => {}
        }
        self.screen.say(event);
    }
}

impl Drop for Track<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.state().bar.take() {
            self.screen.remove(&bar);
        }
    }
}
