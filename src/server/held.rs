//! What may not leave before the log is durable up to some position.

use crate::message::Position;
use std::collections::VecDeque;

/// A queue ordered by position; things of one position keep their order. Almost all arrive in order, at the back.
pub(super) struct Held<T> {
    queue: VecDeque<(Position, T)>,
}

impl<T> Held<T> {
    pub(super) fn new() -> Held<T> {
        Held { queue: VecDeque::new() }
    }

    pub(super) fn push(&mut self, after: Position, thing: T) {
        match self.queue.back() {
            Some((last, _)) if *last > after => {
                let place = self.queue.partition_point(|(position, _)| *position <= after);
                self.queue.insert(place, (after, thing));
            }
            _ => self.queue.push_back((after, thing)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The next thing that may leave, if any.
    pub(super) fn take(&mut self, released: Position) -> Option<T> {
        self.queue.front().filter(|(after, _)| *after <= released)?;
        self.queue.pop_front().map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_leave_in_the_order_of_their_positions_and_none_before_its_own() {
        let mut held = Held::new();
        for (position, name) in [(3, 'a'), (5, 'b'), (3, 'c'), (4, 'd'), (9, 'e'), (5, 'f')] {
            held.push(Position(position), name);
        }
        let mut taken = |released| std::iter::from_fn(|| held.take(Position(released))).collect::<String>();
        assert_eq!(taken(2), "");
        assert_eq!(taken(4), "acd");
        assert_eq!(taken(8), "bf");
        assert_eq!(taken(9), "e");
    }
}
