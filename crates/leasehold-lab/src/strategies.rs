//! Clients of the virtual world, one for each [`Strategy`], and the critical section that all of them run.

mod client;
mod leasehold;
mod naive;

use std::sync::Arc;

use crate::{
    model::{REQUEST_TIMEOUT, RETRY_TIMEOUT, Strategy},
    virtual_world::SimStore,
};

pub(crate) use client::Client;

/// The locks of a client.
enum Locks {
    Leasehold(Box<leasehold::Locks>),
    Naive(Arc<SimStore>),
    Redlock(Vec<Arc<SimStore>>),
}

impl Locks {
    fn open(client: &Client) -> Locks {
        let open = |timeout| {
            let servers = client.simulation.servers.iter();
            servers.map(move |server| Arc::new(SimStore::new(&client.process, server, timeout)))
        };
        match client.config().strategy {
            Strategy::Leasehold | Strategy::LeaseholdGuard => {
                let servers = open(REQUEST_TIMEOUT).collect();
                Locks::Leasehold(Box::new(leasehold::Locks::open(client, servers)))
            }
            Strategy::Redlock => Locks::Redlock(open(REQUEST_TIMEOUT / 5).collect()),
            Strategy::BareDelete | Strategy::OwnerChecked | Strategy::Watchdog => {
                Locks::Naive(open(REQUEST_TIMEOUT).next().expect("a world has servers"))
            }
        }
    }

    async fn round(&self, client: &mut Client, is_last: bool) {
        match self {
            Locks::Leasehold(locks) => locks.round(client, is_last).await,
            Locks::Naive(store) => naive::round(client, store).await,
            Locks::Redlock(members) => naive::redlock_round(client, members).await,
        }
    }
}

/// Runs a client to the end of its work.
pub(crate) async fn run(mut client: Client) {
    let locks = Locks::open(&client);
    for _ in 0..client.config().rounds {
        locks.round(&mut client, false).await;
        client.think().await;
    }
    client.await_healed().await;
    locks.round(&mut client, true).await;
    if let Locks::Leasehold(locks) = locks {
        // Pending releases are carried out; an error changes nothing any more.
        let _ = locks.client.close(RETRY_TIMEOUT).await;
    }
    client.simulation.finish(client.number);
}
