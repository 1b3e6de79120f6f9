//! A virtual world with one memory store, and clients of it.

use std::{sync::Arc, time::Duration};

use leasehold::Client;
use leasehold_core::{
    Store,
    env::Virtual,
    layer::{Chaos, Fault, Verb},
    memory::Memory,
};

pub(crate) const TTL: Duration = Duration::from_secs(10);

pub(crate) struct Bench {
    pub(crate) world: Virtual,
    pub(crate) memory: Memory,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        let world = Virtual::new(seed);
        let memory = Memory::new(world.env());
        Bench { world, memory }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Arc::new(self.memory.client()), self.world.env()).ttl(TTL)
    }

    pub(crate) fn chaotic(&self, plan: impl Fn(u64, Verb) -> Fault + Send + Sync + 'static) -> Client {
        let env = self.world.env();
        let chaos = Chaos::new(Arc::new(self.memory.client()), env.clone(), plan);
        Client::new(Arc::new(chaos), env).ttl(TTL)
    }

    /// What is held or waited for, by name.
    pub(crate) fn in_use(&self) -> Vec<String> {
        let snapshots = self.world.block_on(self.memory.list("", 1000)).unwrap();
        snapshots.into_iter().map(|snapshot| snapshot.name.to_string()).collect()
    }

    /// Nothing is held or queued, no claim is cared for, and only the watchdogs of `clients` are left.
    #[track_caller]
    pub(crate) fn assert_clean(&self, clients: &[&Client], context: &str) {
        self.world.settle();
        assert_eq!(self.in_use(), Vec::<String>::new(), "{context}");
        for client in clients {
            assert_eq!(client.claims_alive(), 0, "{context}");
        }
        assert_eq!(self.world.tasks_alive(), clients.len() as u64, "{context}");
    }
}
