//! [`CommandBatch`]: commands that are sent in one piece.
//!
//! Keys come from [`LockKeys`](crate::keys::LockKeys) only, so that no name can end a command and begin another.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::reply::Want;

/// Marks the documents of locks among the items of a server that others use too ("LEAS").
const FLAGS: u32 = 0x4c45_4153;

/// Commands, and the kind of reply to each.
#[derive(Default, Debug)]
pub(crate) struct CommandBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wants: Vec<Want>,
}

/// A number for each command, so that its reply is never taken for that to another.
fn opaque() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl CommandBatch {
    pub(crate) fn new() -> CommandBatch {
        CommandBatch::default()
    }

    /// Reads value, CAS unique and remaining time.
    pub(crate) fn get(self, key: &str) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("mg {key} v c t O{opaque}\r\n"))
    }

    /// Stores an item if there is none. Never `ms`, which deletes a present item when it fails, whatever its mode.
    pub(crate) fn add(self, key: &str, ttl: u64, value: &[u8]) -> CommandBatch {
        let size = value.len();
        self.command(Want::Storage, format_args!("add {key} {FLAGS} {ttl} {size}\r\n")).data(value)
    }

    /// Replaces the item that has this CAS unique. `ttl` is in seconds, or above 30 days the second of the server's
    /// calendar; a negative one deletes.
    pub(crate) fn cas(self, key: &str, ttl: i64, value: &[u8], cas: u64) -> CommandBatch {
        let size = value.len();
        self.command(Want::Storage, format_args!("cas {key} {FLAGS} {ttl} {size} {cas}\r\n")).data(value)
    }

    /// Deletes the item that has this CAS unique.
    pub(crate) fn delete(self, key: &str, cas: u64) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("md {key} C{cas} O{opaque}\r\n"))
    }

    /// Extends the item that has this CAS unique, which gets another. The server allocates nothing, so it works when memory
    /// is full. The item is marked as stale, which changes nothing else.
    pub(crate) fn extend(self, key: &str, cas: u64, ttl: u64) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("md {key} C{cas} I T{ttl} O{opaque}\r\n"))
    }

    /// Reads the server's counters.
    pub(crate) fn stats(self) -> CommandBatch {
        self.command(Want::Stats, format_args!("stats\r\n"))
    }

    /// Reads the server's settings.
    pub(crate) fn settings(self) -> CommandBatch {
        self.command(Want::Stats, format_args!("stats settings\r\n"))
    }

    /// Appends another batch.
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
        let batch = CommandBatch::new().add("k", 30, b"v\r\n").cas("k", -1, b"", 7);
        let text = String::from_utf8(batch.bytes).unwrap();
        assert_eq!(text, "add k 1279607123 30 3\r\nv\r\n\r\ncas k 1279607123 -1 0 7\r\n\r\n");
        assert_eq!(batch.wants, [Want::Storage, Want::Storage]);
        let batch = CommandBatch::new().get("k").delete("k", 7).extend("k", 8, 30);
        let text = String::from_utf8(batch.bytes).unwrap();
        let [Want::Meta(one), Want::Meta(two), Want::Meta(three)] = batch.wants[..] else { panic!() };
        assert_eq!(text, format!("mg k v c t O{one}\r\nmd k C7 O{two}\r\nmd k C8 I T30 O{three}\r\n"));
    }
}
