//! Lifeguard's local health multiplier: how much a peer distrusts itself.

/// A count from 0, all is well, to [`LocalHealth::MAX`].
///
/// It rises when a probe fails without a word from those who were asked to help, when the peer hears that it is suspected itself, and when it
/// has stood still; it falls with each probe that is answered. Probes become slower with it, and their timeouts longer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct LocalHealth {
    count: u8,
    is_ignored: bool,
}

impl LocalHealth {
    /// At the worst a peer probes at an eighth of its pace.
    pub(super) const MAX: u8 = 7;

    /// One that always says that all is well, if it is not wanted.
    pub(super) fn new(is_wanted: bool) -> LocalHealth {
        LocalHealth { count: 0, is_ignored: !is_wanted }
    }

    pub(super) fn worsen(&mut self, by: usize) {
        if !self.is_ignored {
            self.count = usize::from(self.count).saturating_add(by).min(usize::from(LocalHealth::MAX)) as u8;
        }
    }

    pub(super) fn improve(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    pub(super) fn count(self) -> u8 {
        self.count
    }

    /// A time (milliseconds), stretched.
    pub(super) fn stretch(self, ms: u64) -> u64 {
        ms * (u64::from(self.count) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bounds_and_stretches_times() {
        let mut health = LocalHealth::new(true);
        health.improve();
        assert_eq!((health.count(), health.stretch(500)), (0, 500));
        health.worsen(3);
        assert_eq!((health.count(), health.stretch(500)), (3, 2_000));
        health.worsen(usize::MAX);
        assert_eq!(health.count(), LocalHealth::MAX);
        let mut ignored = LocalHealth::new(false);
        ignored.worsen(3);
        assert_eq!(ignored.count(), 0);
    }
}
