//! Progress on standard error: bars, plain lines, or nothing. Counts bytes that the store has
//! acknowledged, never what lies in some buffer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytesize::ByteSize;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::args::{OutputArgs, PLAIN_INTERVAL, ProgressArg};
use super::text::printable;
use super::track::Track;
use crate::Target;
use crate::event::{Event, Observer};

const TOTAL_BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// Bars of single files at once, beside that of the whole.
const FILE_BARS: usize = 4;

/// What a run shows to a person: the progress of its uploads, and what is worth a word.
pub(super) struct Screen {
    verbose: u8,
    quiet: bool,
    /// Whether there are many uploads, so that their sum is shown.
    many: bool,
    style: Style,
    state: Mutex<State>,
}

enum Style {
    Bars { all: MultiProgress, total: Option<ProgressBar> },
    Plain,
    Nothing,
}

/// The sum of all uploads; where there is one, that one.
struct State {
    name: String,
    files: u64,
    files_done: u64,
    /// Whether there are no more files to be found.
    all_found: bool,
    /// Bytes in all, where that is known.
    total: Option<u64>,
    done: u64,
    /// Bytes that were there before.
    reused: u64,
    parts: Option<u32>,
    parts_done: u32,
    began: Instant,
    /// When the last line was written, and how many tenths were done.
    last: (Instant, u64),
    /// Bars of single files that are shown.
    bars: usize,
    /// Requests that were sent again, by their keys.
    retries: HashMap<String, u64>,
}

impl Screen {
    /// Returns a screen for one upload, or many.
    pub(super) fn new(output: &OutputArgs, many: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match output.progress {
            _ if output.quiet => Style::Nothing,
            ProgressArg::None => Style::Nothing,
            ProgressArg::Plain => Style::Plain,
            ProgressArg::Auto if !terminal => Style::Plain,
            ProgressArg::Auto | ProgressArg::Bar => {
                // Drawn ten times a second at the most: parts may be stored far faster than that.
                let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                Style::Bars { total: many.then(|| total_bar(&all)), all }
            }
        };
        let now = Instant::now();
        Screen {
            verbose: output.verbose,
            quiet: output.quiet,
            many,
            style,
            state: Mutex::new(State {
                name: String::new(),
                files: 0,
                files_done: 0,
                all_found: !many,
                total: many.then_some(0),
                done: 0,
                reused: 0,
                parts: None,
                parts_done: 0,
                began: now,
                last: (now, 0),
                bars: 0,
                retries: HashMap::new(),
            }),
        }
    }

    /// Returns an observer of one upload.
    pub(super) fn track(&self, target: &Target) -> Track<'_> {
        Track::new(self, target)
    }

    /// Takes the bars away, so that the result stands alone.
    pub(super) fn finish(&self) {
        if let Style::Bars { all, total } = &self.style {
            total.iter().for_each(ProgressBar::finish_and_clear);
            let _ = all.clear();
        }
    }

    /// Takes note of a file of so many bytes that is to be uploaded.
    pub(super) fn found(&self, size: u64) {
        let mut state = self.state();
        state.files += 1;
        state.total = state.total.map(|total| total + size);
        self.show_total(&state);
    }

    /// Takes note that there are no more files to be found.
    pub(super) fn all_found(&self) {
        self.state().all_found = true;
        self.plain_line(false);
    }

    /// Takes note that one of many files has ended, in whatever way.
    pub(super) fn file_done(&self) {
        let mut state = self.state();
        state.files_done += 1;
        self.show_total(&state);
    }

    /// Takes note of how the one upload is cut.
    pub(super) fn planned(&self, name: &str, total: Option<u64>, parts: Option<u32>) {
        if self.many {
            return;
        }
        let mut state = self.state();
        name.clone_into(&mut state.name);
        (state.total, state.parts) = (total, parts);
    }

    /// Takes note of a part that is stored.
    pub(super) fn stored(&self, size: u64) {
        let mut state = self.state();
        state.done += size;
        state.parts_done += 1;
        self.show_total(&state);
        drop(state);
        self.plain_line(false);
    }

    /// Takes note of parts that were there before.
    pub(super) fn reused(&self, parts: u32, bytes: u64) {
        let mut state = self.state();
        state.done += bytes;
        state.reused += bytes;
        state.parts_done += parts;
        self.show_total(&state);
    }

    /// Takes note of a file that need not be sent.
    pub(super) fn unchanged(&self, size: u64) {
        self.reused(0, size);
        self.plain_line(false);
    }

    /// Returns a bar for an upload, if one is to be shown: the only one's, or that of a large file while
    /// there are few.
    pub(super) fn bar(&self, parts: Option<u32>) -> Option<ProgressBar> {
        let Style::Bars { all, .. } = &self.style else { return None };
        let mut state = self.state();
        if self.many && (parts == Some(1) || state.bars >= FILE_BARS) {
            return None;
        }
        state.bars += 1;
        Some(all.insert(0, ProgressBar::new(0)))
    }

    /// Takes a bar away.
    pub(super) fn remove(&self, bar: &ProgressBar) {
        if let Style::Bars { all, .. } = &self.style {
            bar.finish_and_clear();
            all.remove(bar);
            self.state().bars -= 1;
        }
    }

    /// Requests of one key that were sent again so far.
    pub(super) fn retries(&self, key: &str) -> u64 {
        self.state().retries.get(key).copied().unwrap_or(0)
    }

    /// Writes a plain line now and then even when nothing new is stored, so that a log shows life.
    pub(super) async fn keep_talking(&self) -> Infallible {
        if !matches!(self.style, Style::Plain) {
            return std::future::pending().await;
        }
        let mut ticks = tokio::time::interval(PLAIN_INTERVAL);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.plain_line(true);
        }
    }

    /// Writes a plain line, if one is due.
    fn plain_line(&self, now_and_then: bool) {
        if !matches!(self.style, Style::Plain) {
            return;
        }
        let mut state = self.state();
        let tenths = state.tenths();
        if tenths > state.last.1 || now_and_then && state.last.0.elapsed() >= PLAIN_INTERVAL {
            state.last = (Instant::now(), tenths);
            let line = if self.many { state.line_of_many() } else { state.line() };
            drop(state);
            self.write(&line);
        }
    }

    fn show_total(&self, state: &State) {
        if let Style::Bars { total: Some(bar), .. } = &self.style {
            bar.set_length(state.total.unwrap_or(0));
            bar.set_position(state.done);
            bar.set_message(state.count());
        }
    }

    /// Says what an event says, where that is worth a word.
    pub(super) fn say(&self, event: &Event<'_>) {
        match words(event) {
            Some((at, line)) if !self.quiet && self.verbose >= at => self.write(&line),
            _ => {}
        }
    }

    /// Writes something else than progress, above the bars where there are any.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.style {
            Style::Bars { all, .. } => all.suspend(write),
            _ => write(),
        }
    }

    fn write(&self, line: &str) {
        self.aside(|| {
            let _ = writeln!(std::io::stderr().lock(), "{}", printable(line));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn total_bar(all: &MultiProgress) -> ProgressBar {
    let bar = all.add(ProgressBar::new(0));
    if let Ok(style) = ProgressStyle::with_template(TOTAL_BAR) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// What an event says to a person, and how many `-v` it takes to be said.
fn words(event: &Event<'_>) -> Option<(u8, String)> {
    Some(match event {
        Event::Planned { .. } => return None,
        Event::Initiated(upload) => (1, format!("started the upload {}", upload.upload_id)),
        Event::Stored { part, size } => (1, format!("stored part {part}, {}", ByteSize(*size))),
        Event::Retrying { key, part, error, wait } => {
            // A short hiccup is nobody's business; a wait that a person would notice is.
            let at = if wait.as_secs() >= 1 { 0 } else { 1 };
            let what = part.map_or(error.operation.to_string(), |part| format!("part {part}"));
            (at, format!("{key}: {what} again in {:.1} s: {error}", wait.as_secs_f64()))
        }
        Event::Comparing { parts } => (0, format!("comparing {parts} stored parts with the file")),
        Event::Resumed { upload, parts, bytes, .. } => {
            let id = &upload.upload_id;
            (0, format!("resuming the upload {id}: {parts} parts, {}, are there", ByteSize(*bytes)))
        }
        Event::Completing => (1, "all parts are stored; completing".to_owned()),
        Event::Aborting(upload) => (0, format!("dropping the upload {}", upload.upload_id)),
        Event::Notice(text) => (0, (*text).to_owned()),
    })
}

/// An observer that says what is worth a word, with no progress to show.
pub(super) struct Notes {
    quiet: bool,
    verbose: u8,
}

impl Notes {
    pub(super) fn new(output: &OutputArgs) -> Self {
        Notes { quiet: output.quiet, verbose: output.verbose }
    }
}

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        match words(event) {
            Some((at, line)) if !self.quiet && self.verbose >= at => {
                let _ = writeln!(std::io::stderr().lock(), "{}", printable(&line));
            }
            _ => {}
        }
    }
}

impl State {
    /// Tenths of all bytes that are done, as far as all are known.
    fn tenths(&self) -> u64 {
        match self.total {
            Some(total) if self.all_found => (self.done * 10).checked_div(total).unwrap_or(10),
            _ => 0,
        }
    }

    fn line(&self) -> String {
        let State { name, done, parts_done, .. } = self;
        let rate = self.rate();
        match (self.total, self.parts) {
            (Some(total), Some(parts)) => {
                let percent = (done * 100).checked_div(total).unwrap_or(100);
                let sizes = format!("{} of {}", ByteSize(*done), ByteSize(total));
                format!("{name}: {percent} %, {sizes}, part {parts_done} of {parts}, {rate}/s")
            }
            _ => format!("{name}: {}, part {parts_done}, {rate}/s", ByteSize(*done)),
        }
    }

    fn line_of_many(&self) -> String {
        let more = if self.all_found { "" } else { "+" };
        let total = ByteSize(self.total.unwrap_or(0));
        format!("{}: {} of {total}{more}, {}/s", self.count(), ByteSize(self.done), self.rate())
    }

    fn count(&self) -> String {
        let more = if self.all_found { "" } else { "+" };
        format!("{} of {}{more} files", self.files_done, self.files)
    }

    fn rate(&self) -> ByteSize {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        ByteSize(((self.done - self.reused) as f64 / seconds) as u64)
    }
}

/// What the store is tried again for is of no upload that the screen could name.
impl Observer for Screen {
    fn event(&self, event: &Event<'_>) {
        if let Event::Retrying { key, .. } = event {
            *self.state().retries.entry((*key).to_owned()).or_default() += 1;
        }
        self.say(event);
    }
}
