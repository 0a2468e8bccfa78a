//! How many parts may be in flight: at most as many as asked for, fewer while the store is overloaded.

/// A limit that halves when the store asks for fewer requests, and grows back one by one.
pub(super) struct Window {
    most: usize,
    now: usize,
    /// Successes since the limit last changed.
    calm: usize,
    throttled: u64,
}

impl Window {
    /// Returns a window of `most` parts; `throttled` is how often the store has complained before.
    pub(super) fn new(most: usize, throttled: u64) -> Self {
        let most = most.max(1);
        Window { most, now: most, calm: 0, throttled }
    }

    /// The parts that may be in flight now.
    pub(super) fn limit(&self) -> usize {
        self.now
    }

    /// Takes note that a part is stored, and of how often the store has complained so far.
    pub(super) fn stored(&mut self, throttled: u64) {
        if throttled > self.throttled {
            self.throttled = throttled;
            self.now = (self.now / 2).max(1);
            self.calm = 0;
            return;
        }
        self.calm += 1;
        if self.calm >= self.now && self.now < self.most {
            self.now += 1;
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_halves_on_a_complaint_and_grows_back_by_and_by() {
        let mut window = Window::new(8, 0);
        window.stored(1);
        assert_eq!(window.limit(), 4);
        // The same complaint again changes nothing.
        (0..4).for_each(|_| window.stored(1));
        assert_eq!(window.limit(), 5);
        (0..100).for_each(|_| window.stored(1));
        assert_eq!(window.limit(), 8);
    }

    proptest! {
        #[test]
        fn it_is_never_shut_and_never_wider_than_asked(most in 0usize..20, complaints in prop::collection::vec(0u64..3, 0..50)) {
            let (mut window, mut throttled) = (Window::new(most, 0), 0);
            for more in complaints {
                throttled += more;
                window.stored(throttled);
                prop_assert!((1..=most.max(1)).contains(&window.limit()));
            }
        }
    }
}
