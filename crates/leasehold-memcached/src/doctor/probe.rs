//! [`Probe`]: the observed state of a server.

use crate::server_info::Stats;

#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) node: String,
    /// `stats`.
    pub(super) stats: Stats,
    /// `stats settings`.
    pub(super) settings: Stats,
    /// The calendar of this machine at the time of the reply, in microseconds.
    pub(super) wall_us: u64,
    /// Whether the client uses no meta commands for writes.
    pub(super) text_only: bool,
}

impl Probe {
    /// The addresses on which the server listens; `None` for all interfaces.
    pub(super) fn interfaces(&self) -> Option<&str> {
        self.settings
            .get("inter")
            .filter(|inter| !matches!(*inter, "NULL" | "(null)" | "" | "0.0.0.0" | "::"))
    }

    pub(super) fn is_local(&self) -> bool {
        let is_local = |address: &str| {
            let host = address.trim().trim_start_matches('[');
            host.starts_with("127.") || host.starts_with("::1") || host.starts_with("localhost")
        };
        let is_socket = self.settings.get("domain_socket").is_some_and(|path| path.starts_with('/'));
        is_socket || self.interfaces().is_some_and(|inter| inter.split(',').all(is_local))
    }

    /// The difference between its calendar and ours in seconds, its unit.
    pub(super) fn skew_s(&self) -> Option<u64> {
        Some(self.stats.count("time")?.abs_diff(self.wall_us / 1_000_000))
    }
}
