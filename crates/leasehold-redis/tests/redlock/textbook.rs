//! Redlock as it is published and as most libraries have it: no fencing, no late restart. The control.

use std::time::Duration;

use crate::fixture::Naive;

/// A client of some servers.
pub(crate) struct Textbook {
    nodes: Vec<Option<Naive>>,
    members: usize,
}

impl Textbook {
    /// Reaches these servers; those that are down are left out, but counted.
    pub(crate) fn at(addresses: &[String], reachable: &[usize]) -> Textbook {
        let node = |(at, address): (usize, &String)| reachable.contains(&at).then(|| Naive::at(address));
        Textbook { nodes: addresses.iter().enumerate().map(node).collect(), members: addresses.len() }
    }

    /// Whether a majority of the configured servers granted.
    pub(crate) fn lock(&mut self, key: &str, value: &str, ttl_ms: u64) -> bool {
        let granted =
            self.nodes.iter_mut().flatten().filter_map(|node| node.lock(key, value, ttl_ms).then_some(()));
        granted.count() > self.members / 2
    }

    /// Until when a lease of this ttl is good, as the published algorithm has it.
    pub(crate) fn validity(ttl: Duration) -> Duration {
        ttl - ttl / 100 - Duration::from_millis(2)
    }
}
