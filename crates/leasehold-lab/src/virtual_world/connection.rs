//! [`Connection`]: a client's connection to a server, with what the server sends without being asked.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicU64, Ordering},
};

use leasehold_core::Revalidations;

use super::{lock, server::WatchChannel};

pub(super) struct Connection {
    pub(super) client: u32,
    pub(super) revalidations: Revalidations,
    breaks: AtomicU64,
    watches: Mutex<Vec<Weak<WatchChannel>>>,
}

impl Connection {
    pub(super) fn new(client: u32) -> Connection {
        Connection {
            client,
            revalidations: Revalidations::default(),
            breaks: AtomicU64::new(0),
            watches: Mutex::default(),
        }
    }

    pub(super) fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Acquire)
    }

    pub(super) fn watch(&self, channel: &Arc<WatchChannel>) {
        lock(&self.watches).push(Arc::downgrade(channel));
    }

    /// The server has ended: all subscriptions fail.
    pub(super) fn break_off(&self) {
        self.breaks.fetch_add(1, Ordering::AcqRel);
        let watches = std::mem::take(&mut *lock(&self.watches));
        watches.iter().filter_map(Weak::upgrade).for_each(|channel| channel.changed.notify_one());
    }

    /// The server has restarted and may have lost its data.
    pub(super) fn revalidate(&self) {
        self.revalidations.raise();
    }
}
