//! Who runs: the highest priority that is ready, in turns within it.

use hakoniwa_abi::{PRIORITIES, TASKS};

/// How long a task runs before the next of its priority does, in nanoseconds.
pub const SLICE: u64 = 10_000_000;

/// The tasks that are ready, a bit each, by priority, and whose turn was last.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    ready: [u64; PRIORITIES],
    turn: [usize; PRIORITIES],
}

impl Queues {
    /// A task became ready.
    pub fn add(&mut self, slot: usize, priority: usize) {
        if let Some(queue) = self.ready.get_mut(priority) {
            *queue |= 1 << slot;
        }
    }

    /// A task is not ready any more.
    pub fn remove(&mut self, slot: usize) {
        for queue in &mut self.ready {
            *queue &= !(1 << slot);
        }
    }

    /// The ready tasks of the highest priority that has any.
    pub fn top(&self) -> u64 {
        self.ready.iter().rev().copied().find(|q| *q != 0).unwrap_or(0)
    }

    /// A task got its turn out of order.
    pub fn took(&mut self, slot: usize, priority: usize) {
        if let Some(turn) = self.turn.get_mut(priority) {
            *turn = slot;
        }
    }

    /// Gives the next of them its turn.
    pub fn take_turn(&mut self) -> Option<usize> {
        let (queue, turn) = self.ready.iter().zip(&mut self.turn).rev().find(|(queue, _)| **queue != 0)?;
        *turn = after(*queue, *turn)?;
        Some(*turn)
    }
}

/// The first bit above `last`, or from the bottom if there is none: everybody's turn comes.
pub fn after(bits: u64, last: usize) -> Option<usize> {
    if bits == 0 {
        return None;
    }
    let above = if last + 1 < TASKS { bits & !0 << (last + 1) } else { 0 };
    let from = if above != 0 { above } else { bits };
    Some(from.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_priority_comes_first() {
        let mut queues = Queues::default();
        queues.add(3, 1);
        queues.add(5, 4);
        assert_eq!(queues.top(), 1 << 5);
        queues.remove(5);
        assert_eq!(queues.top(), 1 << 3);
    }

    #[test]
    fn equals_take_turns() {
        let bits = 0b1011 | 1 << 63;
        let mut turn = 0;
        let order: [usize; 5] = core::array::from_fn(|_| {
            turn = after(bits, turn).unwrap();
            turn
        });
        assert_eq!(order, [1, 3, 63, 0, 1]);
        assert_eq!(after(0, 5), None);
    }
}
