//! [`Probe`]: what was seen of the server.

use std::collections::HashMap;

/// What a server answered to one command.
#[derive(Clone, Default, Debug)]
pub(super) struct Reading(pub(super) HashMap<String, String>);

impl Reading {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn is(&self, key: &str, value: &str) -> bool {
        self.get(key) == Some(value)
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

/// What was seen of the server.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) node: String,
    /// `stats`.
    pub(super) stats: Reading,
    /// `stats settings`.
    pub(super) settings: Reading,
    /// This machine's calendar when it answered, in microseconds.
    pub(super) wall_us: u64,
    /// Whether the client does without the meta commands.
    pub(super) text_only: bool,
}

impl Probe {
    /// The addresses on which it listens; `None` when these are all of its machine.
    pub(super) fn interfaces(&self) -> Option<&str> {
        self.settings
            .get("inter")
            .filter(|inter| !matches!(*inter, "NULL" | "(null)" | "" | "0.0.0.0" | "::"))
    }

    /// Whether nobody but its own machine can reach it.
    pub(super) fn is_local(&self) -> bool {
        let is_local = |address: &str| {
            let host = address.trim().trim_start_matches('[');
            host.starts_with("127.") || host.starts_with("::1") || host.starts_with("localhost")
        };
        let is_socket = self.settings.get("domain_socket").is_some_and(|path| path.starts_with('/'));
        is_socket || self.interfaces().is_some_and(|inter| inter.split(',').all(is_local))
    }

    /// How far its calendar is from ours, in seconds: it counts whole_seconds ones, and is told to once a second.
    pub(super) fn skew_s(&self) -> Option<u64> {
        Some(self.stats.number("time")?.abs_diff(self.wall_us / 1_000_000))
    }
}
