//! How many requests at once a line is worth: found out while it is in use.
//!
//! One connection is seldom as fast as the line it runs over: windows, distance and shapers at the other
//! end keep it below. So a [`Window`] starts with few places, and gets twice as many for as long as
//! that makes the bytes flow faster. Later it is tried whether half of them would do as well, since a flow
//! that was only just starting can look like one that gains.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::upload::Window;

/// Places to start with.
pub const FIRST: usize = 8;
/// The most places.
pub const MOST: usize = 64;

/// How often the flow is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Ticks after a change that tell nothing: what is sent then goes into the buffers of new connections.
const SETTLING: u32 = 1;
/// Ticks that are enough to believe a gain.
const GLIMPSE: u32 = 2;
/// How far apart two ticks of a flow may be that has become steady: a flow that starts, and one that first fills
/// the buffers on its way, are not.
const STEADY: f64 = 0.3;
/// Ticks until no gain is believed: a distant store takes a while to be in full flow.
const PATIENCE: u32 = 40;
/// How many times faster the flow must be for twice the places to be worth it.
const GAIN: f64 = 1.3;
/// A flow in bytes a second and place that nothing at the other end holds back, so that more places would just
/// cost more.
const PLENTY: f64 = (128 << 20) as f64;
/// The share of the flow that half the places must keep up to be enough.
const ENOUGH: f64 = 0.9;
/// Ticks between two rounds of trials: lines change.
const REST: u32 = 200;

/// Sizes a window by what `sent`, the bytes that were sent so far, says of the flow. It never ends and is to
/// be dropped with the uploads.
///
/// Where the store asks for fewer requests, the window shrinks by itself and is not widened any more.
pub async fn keep(window: &Window, sent: impl Fn() -> u64) -> Infallible {
    let mut pace = Pace::new(window.limit());
    let mut ticks = interval(TICK);
    // After a stall, one look at the whole of it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut at) = (sent(), ticks.tick().await);
    loop {
        ticks.tick().await;
        let (now, then) = (sent(), Instant::now());
        let seconds = then.duration_since(at).as_secs_f64().max(f64::EPSILON);
        let rate = (now - before) as f64 / seconds;
        (before, at) = (now, then);
        tracing::trace!(rate, full = window.is_full(), limit = window.limit(), "flow");
        if !window.is_throttled()
            && let Some(places) = pace.places(rate, window.is_full())
        {
            tracing::debug!(places, rate, "window");
            window.resize(places);
        }
    }
}

/// What is known of the line.
struct Pace {
    places: usize,
    phase: Phase,
    /// Ticks of this phase, and what they summed up to.
    ticks: u32,
    sum: f64,
    /// The tick before.
    last: f64,
}

/// What the flow, in bytes a second, is looked at for.
#[derive(Clone, Copy)]
enum Phase {
    /// To know it.
    Look,
    /// Whether twice the places make it faster than this.
    More(f64),
    /// To know it, before it is tried whether fewer places would do.
    Settle,
    /// Whether half the places keep it as fast as this.
    Fewer(f64),
    /// Nothing.
    Rest,
}

impl Pace {
    fn new(places: usize) -> Self {
        Pace { places, phase: Phase::Look, ticks: 0, sum: 0.0, last: 0.0 }
    }

    /// Takes note of a tick's flow in bytes a second, and returns the number of places where it changes.
    /// `full` says whether more would be used.
    fn places(&mut self, rate: f64, full: bool) -> Option<usize> {
        // Nothing flows yet, or what is left is too little to tell.
        if rate <= 0.0 || !full {
            return None;
        }
        self.ticks += 1;
        let seen = self.ticks.saturating_sub(SETTLING);
        if seen == 0 {
            return None;
        }
        self.sum += rate;
        let flow = self.sum / f64::from(seen);
        let steady = (rate - self.last).abs() <= STEADY * rate;
        self.last = rate;
        let before = self.places;
        match self.phase {
            Phase::Look if steady || seen >= PATIENCE => self.try_more(if steady { rate } else { flow }),
            Phase::More(base) if seen >= GLIMPSE && flow >= base * GAIN => self.try_more(flow),
            Phase::More(_) if seen >= PATIENCE => self.turn(Phase::Settle, self.places / 2),
            Phase::Settle if seen >= PATIENCE => self.try_fewer(flow),
            Phase::Fewer(base) if seen >= PATIENCE && flow >= base * ENOUGH => self.try_fewer(flow),
            Phase::Fewer(_) if seen >= PATIENCE => self.turn(Phase::Rest, self.places * 2),
            Phase::Rest if seen >= REST => self.turn(Phase::Look, self.places),
            _ => {}
        }
        (self.places != before).then_some(self.places)
    }

    fn try_more(&mut self, flow: f64) {
        match self.places < MOST && flow < PLENTY * self.places as f64 {
            true => self.turn(Phase::More(flow), self.places * 2),
            false => self.turn(Phase::Settle, self.places),
        }
    }

    fn try_fewer(&mut self, flow: f64) {
        match self.places > FIRST {
            true => self.turn(Phase::Fewer(flow), self.places / 2),
            false => self.turn(Phase::Rest, self.places),
        }
    }

    fn turn(&mut self, phase: Phase, places: usize) {
        *self = Pace { places: places.clamp(FIRST, MOST), phase, ticks: 0, sum: 0.0, last: 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes a second that one connection takes.
    const EACH: f64 = 1e6;

    /// The places after each of so many ticks, over a line of so many bytes a second.
    fn places(ticks: u32, line: impl Fn(u32) -> f64) -> Vec<usize> {
        let mut pace = Pace::new(FIRST);
        let flow = |tick, places: usize| (places as f64 * EACH).min(line(tick));
        let tick = |tick| {
            let rate = flow(tick, pace.places);
            pace.places(rate, true);
            pace.places
        };
        (0..ticks).map(tick).collect()
    }

    #[test]
    fn where_each_connection_is_held_back_there_are_soon_many() {
        let places = places(1000, |_| f64::INFINITY);
        assert!(places[5] >= 32, "{:?}", &places[..20]);
        assert_eq!(places[10], MOST);
        // Half of them are tried, and are not enough.
        assert_eq!(places.iter().filter(|places| **places < 32).count(), 5);
        assert_eq!(places.last(), Some(&MOST));
    }

    #[test]
    fn where_a_few_fill_the_line_there_stay_few() {
        let places = places(1000, |_| 8.0 * EACH);
        assert!(places.iter().all(|places| *places <= 2 * FIRST));
        let few = places.iter().filter(|places| **places == FIRST).count();
        assert!(few > 800, "{few} ticks");
    }

    #[test]
    fn where_nothing_holds_a_connection_back_there_are_no_more() {
        let mut pace = Pace::new(FIRST);
        assert!((0..1000).all(|_| pace.places(2.0 * PLENTY * FIRST as f64, true).is_none()));
    }

    #[test]
    fn a_flow_that_first_fills_the_buffers_does_not_deceive() {
        let mut pace = Pace::new(FIRST);
        let flow =
            |tick: u32, places: usize| places as f64 * EACH * (1.0 + 8.0 / f64::from(1 << tick.min(20)));
        let places: Vec<_> = (0..30)
            .map(|tick| {
                pace.places(flow(tick, pace.places), true);
                pace.places
            })
            .collect();
        assert_eq!(places.last(), Some(&MOST), "{places:?}");
    }

    #[test]
    fn a_flow_that_just_starts_deceives_for_a_while() {
        let places = places(600, |tick| (f64::from(tick) * 0.4 * EACH).min(8.0 * EACH));
        assert!(places.iter().any(|places| *places > FIRST));
        assert_eq!(places.last(), Some(&FIRST));
    }

    #[test]
    fn a_line_that_gets_wider_is_found_to_be() {
        let places = places(2000, |tick| if tick < 500 { 8.0 * EACH } else { 100.0 * EACH });
        assert!(!places[..500].contains(&MOST) && places[500..].contains(&MOST));
    }

    #[test]
    fn what_does_not_fill_the_window_tells_nothing() {
        let mut pace = Pace::new(FIRST);
        for _ in 0..1000 {
            assert_eq!(pace.places(EACH, false), None);
            assert_eq!(pace.places(0.0, true), None);
        }
    }
}
