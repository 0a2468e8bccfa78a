//! How much may be in flight: one limit for all the uploads that share a window.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Places for requests that carry data. Clones share their places.
///
/// The limit halves when the store asks for fewer requests, and grows back one by one.
#[derive(Clone, Debug)]
pub struct Window(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The most places, where the store does not complain.
    most: usize,
    /// The places that there are now.
    limit: usize,
    taken: usize,
    /// Successes since the limit last changed.
    calm: usize,
    throttled: u64,
    /// Numbers of those who wait, the first to come first; each is woken when a place may be his.
    queue: VecDeque<(u64, Waker)>,
    next: u64,
    /// Those who wait until nobody else does.
    idlers: Vec<Waker>,
}

/// A place in a [`Window`], free again when dropped.
#[derive(Debug)]
pub struct Place(Window);

impl Window {
    /// Returns a window of `most` places; 0 counts as 1.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Window(Arc::new(Mutex::new(State {
            most,
            limit: most,
            taken: 0,
            calm: 0,
            throttled: 0,
            queue: VecDeque::new(),
            next: 0,
            idlers: Vec::new(),
        })))
    }

    /// Waits for a place. Who comes first is served first.
    pub async fn enter(&self) -> Place {
        let mut turn = Turn { window: self, number: None };
        poll_fn(|cx| {
            let mut state = self.state();
            let first = match (turn.number, state.queue.front()) {
                (None, front) => front.is_none(),
                (Some(number), Some((first, _))) => number == *first,
                (Some(_), None) => true,
            };
            if first && state.taken < state.limit {
                state.taken += 1;
                if turn.number.take().is_some() {
                    state.queue.pop_front();
                }
                state.wake();
                return Poll::Ready(Place(self.clone()));
            }
            match turn.number {
                Some(number) => {
                    let waiting = state.queue.iter_mut().find(|(waiting, _)| *waiting == number);
                    if let Some((_, waker)) = waiting {
                        waker.clone_from(cx.waker());
                    }
                }
                None => {
                    let number = state.next;
                    state.next += 1;
                    state.queue.push_back((number, cx.waker().clone()));
                    turn.number = Some(number);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Returns a place, if one is free that nobody waits for.
    pub fn enter_if_idle(&self) -> Option<Place> {
        let mut state = self.state();
        let idle = state.taken < state.limit && state.queue.is_empty();
        idle.then(|| {
            state.taken += 1;
            Place(self.clone())
        })
    }

    /// Waits until a place is free that nobody waits for.
    pub async fn idle(&self) {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.taken < state.limit && state.queue.is_empty() {
                return Poll::Ready(());
            }
            // Asked again and again by one task, as it is, it must not pile up.
            if !state.idlers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.idlers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether somebody waits for a place, so that more of them would be used.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        !state.queue.is_empty() || (state.taken >= state.limit && !state.idlers.is_empty())
    }

    /// The places that there are now.
    pub fn limit(&self) -> usize {
        self.state().limit
    }

    /// Whether the store has complained, so that the limit was halved.
    pub fn is_throttled(&self) -> bool {
        self.state().throttled > 0
    }

    /// Changes the number of places. Where there are to be fewer, those taken are kept until they are left.
    pub fn resize(&self, most: usize) {
        let mut state = self.state();
        state.most = most.max(1);
        state.limit = state.most;
        state.calm = 0;
        state.wake();
    }

    /// Takes note that something is stored, and of how often the store has complained so far.
    pub(super) fn stored(&self, throttled: u64) {
        let mut state = self.state();
        if throttled > state.throttled {
            state.throttled = throttled;
            state.limit = (state.limit / 2).max(1);
            state.calm = 0;
            return;
        }
        state.calm += 1;
        if state.calm >= state.limit && state.limit < state.most {
            state.limit += 1;
            state.calm = 0;
            state.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Wakes who may have a place now.
    fn wake(&mut self) {
        if self.taken >= self.limit {
            return;
        }
        match self.queue.front() {
            Some((_, waker)) => waker.wake_by_ref(),
            None => self.idlers.drain(..).for_each(Waker::wake),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.taken -= 1;
        state.wake();
    }
}

/// A wait for a place, which must not hold up the queue when nobody waits any more.
struct Turn<'a> {
    window: &'a Window,
    number: Option<u64>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut state = self.window.state();
            state.queue.retain(|(waiting, _)| *waiting != number);
            state.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use proptest::prelude::*;

    #[test]
    fn it_halves_on_a_complaint_and_grows_back_by_and_by() {
        let window = Window::new(8);
        window.stored(1);
        assert_eq!(window.limit(), 4);
        // The same complaint again changes nothing.
        (0..4).for_each(|_| window.stored(1));
        assert_eq!(window.limit(), 5);
        (0..100).for_each(|_| window.stored(1));
        assert_eq!(window.limit(), 8);
    }

    #[test]
    fn who_comes_first_is_served_first_and_who_leaves_makes_room() {
        let window = Window::new(1);
        let place = window.enter().now_or_never().unwrap();
        let (mut second, mut third) = (Box::pin(window.enter()), Box::pin(window.enter()));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        assert!(window.is_full());
        drop(place);
        assert!((&mut third).now_or_never().is_none(), "it is not the third's turn");
        drop(second);
        assert!(third.now_or_never().is_some());
        assert!(!window.is_full());
    }

    #[test]
    fn it_is_idle_while_nobody_waits() {
        let window = Window::new(1);
        assert!(window.idle().now_or_never().is_some());
        let place = window.enter().now_or_never().unwrap();
        let mut waiting = Box::pin(window.enter());
        assert!((&mut waiting).now_or_never().is_none());
        drop(place);
        assert!(window.idle().now_or_never().is_none(), "a place is free that somebody waits for");
        assert!((0..1000).all(|_| window.idle().now_or_never().is_none()));
        assert_eq!(window.state().idlers.len(), 1);
        assert!(window.enter_if_idle().is_none(), "a place is free that somebody waits for");
        let _place = waiting.now_or_never().unwrap();
        assert!(window.enter_if_idle().is_none());
        window.resize(2);
        assert!(window.enter_if_idle().is_some());
        assert!(window.idle().now_or_never().is_some());
    }

    #[test]
    fn it_is_full_for_those_too_who_let_others_go_first() {
        let window = Window::new(1);
        let place = window.enter().now_or_never().unwrap();
        assert!(!window.is_full());
        assert!(window.idle().now_or_never().is_none());
        assert!(window.is_full());
        drop(place);
        assert!(!window.is_full());
    }

    proptest! {
        #[test]
        fn it_is_never_shut_and_never_wider_than_asked(most in 0usize..20, complaints in prop::collection::vec(0u64..3, 0..50)) {
            let (window, mut throttled) = (Window::new(most), 0);
            for more in complaints {
                throttled += more;
                window.stored(throttled);
                prop_assert!((1..=most.max(1)).contains(&window.limit()));
            }
        }
    }
}
