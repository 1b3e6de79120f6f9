//! [`Counter`]: the protected resource. Holders read it and write it back one higher; it checks fencing tokens as its
//! [`Fence`] demands.

use std::fmt;

use clap::ValueEnum;

use crate::model::name_of;

/// Use of fencing tokens by a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
pub enum Fence {
    /// Tokens are ignored.
    None,
    /// A write with a lower token than that of an earlier write is refused. A read followed by a write of a later holder
    /// still loses updates.
    OnWrite,
    /// The token is also presented on the first access, before the value is read.
    ByClaim,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name_of(self))
    }
}

/// A number behind a fence.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    fence: Fence,
    value: u64,
    /// The highest token presented.
    mark: Option<u64>,
    reads: u64,
    lost: u64,
}

impl Counter {
    /// A counter at 0.
    pub const fn new(fence: Fence) -> Counter {
        Counter { fence, value: 0, mark: None, reads: 0, lost: 0 }
    }

    /// Reads the value; `None`: the token is refused.
    pub fn read(&mut self, token: Option<u64>) -> Option<u64> {
        if self.fence == Fence::ByClaim && !self.admits(token) {
            return None;
        }
        self.reads += 1;
        Some(self.value)
    }

    /// Writes a value; `false`: the token is refused.
    pub fn write(&mut self, token: Option<u64>, value: u64) -> bool {
        if self.fence != Fence::None && !self.admits(token) {
            return false;
        }
        self.lost += u64::from(value != self.value + 1);
        self.value = value;
        true
    }

    fn admits(&mut self, token: Option<u64>) -> bool {
        let admitted = token >= self.mark;
        if admitted {
            self.mark = token;
        }
        admitted
    }

    /// The value.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// How often it was read.
    pub const fn reads(&self) -> u64 {
        self.reads
    }

    /// Accepted writes that overwrote an update.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_counter_refuses_the_late_from_the_claim_on_and_others_do_not() {
        let at = |fence| {
            let mut counter = Counter::new(fence);
            assert_eq!(counter.read(Some(41)), Some(0));
            assert_eq!(counter.read(Some(42)), Some(0));
            let late = counter.write(Some(41), 1);
            assert!(counter.write(Some(42), 1));
            (late, counter.write(Some(41), 2), counter.read(Some(41)).is_some(), counter.lost())
        };
        assert_eq!(at(Fence::ByClaim), (false, false, false, 0));
        assert_eq!(
            at(Fence::OnWrite),
            (true, false, true, 1),
            "one lost: the late one came before the write"
        );
        assert_eq!(at(Fence::None), (true, true, true, 1));
    }
}
