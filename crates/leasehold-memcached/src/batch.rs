//! [`CommandBatch`]: commands that are sent in one piece and answered in one.
//!
//! Keys come from [`Keys`](crate::keys::Keys) alone, so that no name can end a command and begin another.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::reply::Want;

/// Marks the documents of locks among the items of a server that others use too ("LEAS").
const FLAGS: u32 = 0x4c45_4153;

/// Commands, and what each may be answered.
#[derive(Default, Debug)]
pub(crate) struct CommandBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wants: Vec<Want>,
}

/// So that the answer to one command is never taken for that to another.
fn opaque() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl CommandBatch {
    pub(crate) fn new() -> CommandBatch {
        CommandBatch::default()
    }

    /// Value, CAS unique and time left.
    pub(crate) fn look(self, key: &str) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("mg {key} v c t O{opaque}\r\n"))
    }

    /// Stores what is not there. Never `ms`: where that fails it deletes what is there, whatever its mode.
    pub(crate) fn add(self, key: &str, lives: u64, value: &[u8]) -> CommandBatch {
        let size = value.len();
        self.command(Want::Storage, format_args!("add {key} {FLAGS} {lives} {size}\r\n")).data(value)
    }

    /// Stores in place of what has this CAS unique. `lives` is in seconds, or above 30 days the second of the server's
    /// calendar; negative deletes.
    pub(crate) fn cas(self, key: &str, lives: i64, value: &[u8], cas: u64) -> CommandBatch {
        let size = value.len();
        self.command(Want::Storage, format_args!("cas {key} {FLAGS} {lives} {size} {cas}\r\n")).data(value)
    }

    /// Deletes what has this CAS unique.
    pub(crate) fn delete(self, key: &str, cas: u64) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("md {key} C{cas} O{opaque}\r\n"))
    }

    /// Prolongs what has this CAS unique, which gets another. Nothing is allocated, so it works when memory is full. The
    /// item is marked as stale thereby, and stays what it is.
    pub(crate) fn prolong(self, key: &str, cas: u64, lives: u64) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("md {key} C{cas} I T{lives} O{opaque}\r\n"))
    }

    /// The server's counters.
    pub(crate) fn stats(self) -> CommandBatch {
        self.command(Want::Stats, format_args!("stats\r\n"))
    }

    /// The server's settings.
    pub(crate) fn settings(self) -> CommandBatch {
        self.command(Want::Stats, format_args!("stats settings\r\n"))
    }

    /// What follows belongs to the same packet.
    pub(crate) fn then(mut self, other: CommandBatch) -> CommandBatch {
        self.bytes.extend(other.bytes);
        self.wants.extend(other.wants);
        self
    }

    fn command(mut self, want: Want, line: std::fmt::Arguments<'_>) -> CommandBatch {
        // Writing into memory does not fail.
        let _ = self.bytes.write_fmt(line);
        self.wants.push(want);
        self
    }

    fn data(mut self, value: &[u8]) -> CommandBatch {
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let packet = CommandBatch::new().add("k", 30, b"v\r\n").cas("k", -1, b"", 7);
        let text = String::from_utf8(packet.bytes).unwrap();
        assert_eq!(text, "add k 1279607123 30 3\r\nv\r\n\r\ncas k 1279607123 -1 0 7\r\n\r\n");
        assert_eq!(packet.wants, [Want::Storage, Want::Storage]);
        let packet = CommandBatch::new().look("k").delete("k", 7).prolong("k", 8, 30);
        let text = String::from_utf8(packet.bytes).unwrap();
        let [Want::Meta(one), Want::Meta(two), Want::Meta(three)] = packet.wants[..] else { panic!() };
        assert_eq!(text, format!("mg k v c t O{one}\r\nmd k C7 O{two}\r\nmd k C8 I T30 O{three}\r\n"));
    }
}
