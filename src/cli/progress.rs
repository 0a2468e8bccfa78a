//! Progress on standard error: a bar, plain lines, or nothing. Counts bytes that the store has
//! acknowledged, never what lies in some buffer.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::args::{OutputArgs, PLAIN_INTERVAL, ProgressArg};
use super::text::printable;
use crate::Target;
use crate::event::{Event, Observer};

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// An observer that shows events to a person.
pub(super) struct Screen {
    name: String,
    verbose: u8,
    quiet: bool,
    style: Style,
    state: Mutex<State>,
}

enum Style {
    Bar(ProgressBar),
    Plain,
    Nothing,
}

struct State {
    total: u64,
    parts: u32,
    done: u64,
    parts_done: u32,
    /// Bytes that were there before.
    reused: u64,
    /// The parts that were stored since.
    stored: HashSet<u32>,
    began: Instant,
    /// When the last line was written, and how many tenths were done.
    last: (Instant, u64),
}

impl Screen {
    /// Returns a screen for one upload.
    pub(super) fn new(output: &OutputArgs, target: &Target) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match output.progress {
            _ if output.quiet => Style::Nothing,
            ProgressArg::None => Style::Nothing,
            ProgressArg::Plain => Style::Plain,
            ProgressArg::Auto if !terminal => Style::Plain,
            // Drawn ten times a second at the most: parts may be stored far faster than that.
            ProgressArg::Auto | ProgressArg::Bar => {
                Style::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)))
            }
        };
        let now = Instant::now();
        Screen {
            name: printable(target.key().rsplit('/').next().unwrap_or_default()),
            verbose: output.verbose,
            quiet: output.quiet,
            style,
            state: Mutex::new(State {
                total: 0,
                parts: 1,
                done: 0,
                parts_done: 0,
                reused: 0,
                stored: HashSet::new(),
                began: now,
                last: (now, 0),
            }),
        }
    }

    /// Takes the bar away, so that the result stands alone.
    pub(super) fn finish(&self) {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
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
            self.plain_line();
        }
    }

    /// Writes a plain line, if one is due.
    fn plain_line(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tenths = (state.done * 10).checked_div(state.total).unwrap_or(10);
        if tenths > state.last.1 || state.last.0.elapsed() >= PLAIN_INTERVAL {
            state.last = (Instant::now(), tenths);
            let line = state.line(&self.name);
            drop(state);
            self.write(&line);
        }
    }

    fn planned(&self, total: u64, parts: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.total, state.parts) = (total, parts);
        if let Style::Bar(bar) = &self.style {
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_length(total);
            bar.set_message(self.message(&state));
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
        }
    }

    fn stored(&self, part: u32, size: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A part that had to be sent again counts once.
        if !state.stored.insert(part) {
            return;
        }
        state.done += size;
        state.parts_done += 1;
        match &self.style {
            Style::Bar(bar) => {
                bar.set_message(self.message(&state));
                bar.set_position(state.done);
            }
            Style::Plain => {
                drop(state);
                self.plain_line();
            }
            Style::Nothing => {}
        }
    }

    fn reused(&self, parts: u32, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.done, state.parts_done, state.reused) = (bytes, parts, bytes);
        if let Style::Bar(bar) = &self.style {
            bar.set_position(bytes);
            // What was there before says nothing of the rate.
            bar.reset_eta();
        }
    }

    fn message(&self, state: &State) -> String {
        match state.parts {
            1 => self.name.clone(),
            parts => format!("{} part {}/{parts}", self.name, state.parts_done),
        }
    }

    /// Writes a line, above the bar where there is one.
    fn write(&self, line: &str) {
        let write = || {
            let _ = writeln!(std::io::stderr().lock(), "{}", printable(line));
        };
        match &self.style {
            Style::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }
}

/// What an event says to a person, and how many `-v` it takes to be said.
fn words(event: &Event<'_>) -> Option<(u8, String)> {
    Some(match event {
        Event::Planned { .. } => return None,
        Event::Initiated(upload) => (1, format!("started the upload {}", upload.upload_id)),
        Event::Stored { part, size } => (1, format!("stored part {part}, {}", ByteSize(*size))),
        Event::Retrying { part, error, wait } => {
            // A short hiccup is nobody's business; a wait that a person would notice is.
            let at = if wait.as_secs() >= 1 { 0 } else { 1 };
            let what = part.map_or(error.operation.to_string(), |part| format!("part {part}"));
            (at, format!("{what} again in {:.1} s: {error}", wait.as_secs_f64()))
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
    fn line(&self, name: &str) -> String {
        let State { done, total, parts, parts_done, .. } = self;
        let percent = (done * 100).checked_div(*total).unwrap_or(100);
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let rate = ByteSize(((*done - self.reused) as f64 / seconds) as u64);
        let sizes = format!("{} of {}", ByteSize(*done), ByteSize(*total));
        format!("{name}: {percent} %, {sizes}, part {parts_done} of {parts}, {rate}/s")
    }
}

impl Observer for Screen {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { size, parts } => self.planned(size.unwrap_or(0), parts.unwrap_or(0)),
            Event::Resumed { plan, parts, bytes, .. } => {
                self.planned(plan.size(), plan.count());
                self.reused(*parts, *bytes);
            }
            Event::Stored { part, size } => self.stored(*part, *size),
            _ => {}
        }
        match words(event) {
            Some((at, line)) if !self.quiet && self.verbose >= at => self.write(&line),
            _ => {}
        }
    }
}
