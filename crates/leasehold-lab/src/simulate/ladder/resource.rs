//! [`Resource`]: what the locks are there to protect: a number to which every holder adds one.

use leasehold::{FencingToken, fencing::HighWaterMark};

/// A number that holders read, and write one higher when their work is done.
#[derive(Default, Debug)]
pub(crate) struct Resource {
    value: u64,
    readers: u64,
    gate: HighWaterMark,
    /// Writes that were taken.
    pub(crate) accepted: u64,
    /// Of these, those of somebody after whom another had begun.
    pub(crate) late_accepted: u64,
    /// Writes, and reads, that the gate refused.
    pub(crate) late_refused: u64,
}

/// What a holder read, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Read {
    reader: u64,
    value: u64,
}

impl Resource {
    /// Begins an update.
    pub(crate) fn read(&mut self) -> Read {
        self.readers += 1;
        Read { reader: self.readers, value: self.value }
    }

    /// Ends it. Whoever comes is believed.
    pub(crate) fn write(&mut self, read: Read) {
        self.value = read.value + 1;
        self.accepted += 1;
        self.late_accepted += u64::from(read.reader < self.readers);
    }

    /// Begins an update, with the token first; `None` when it is refused.
    pub(crate) fn read_fenced(&mut self, token: FencingToken) -> Option<Read> {
        if self.gate.claim(token).is_err() {
            self.late_refused += 1;
            return None;
        }
        Some(self.read())
    }

    /// Ends it, if no later holder was here; whether it did.
    pub(crate) fn write_fenced(&mut self, read: Read, token: FencingToken) -> bool {
        let admitted = self.gate.admit(token).is_ok();
        if admitted {
            self.write(read);
        } else {
            self.late_refused += 1;
        }
        admitted
    }

    /// Updates that were taken and are not in the number.
    pub(crate) fn lost_updates(&self) -> u64 {
        self.accepted.saturating_sub(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_between_read_and_write_is_lost_unless_the_late_write_is_refused() {
        let mut plain = Resource::default();
        let (first, second) = (plain.read(), plain.read());
        plain.write(second);
        plain.write(first);
        assert_eq!((plain.accepted, plain.late_accepted, plain.lost_updates()), (2, 1, 1));

        let mut fenced = Resource::default();
        let (old, new) = (FencingToken::new(1).unwrap(), FencingToken::new(2).unwrap());
        let first = fenced.read_fenced(old).unwrap();
        let second = fenced.read_fenced(new).unwrap();
        assert!(!fenced.write_fenced(first, old) && fenced.write_fenced(second, new));
        assert_eq!((fenced.accepted, fenced.late_refused, fenced.lost_updates()), (1, 1, 0));
        assert_eq!(fenced.read_fenced(old), None);
    }
}
