//! The client of Leasehold.

use std::{sync::Arc, time::Duration};

use leasehold::{Client as Leasehold, Mutex, MutexGuard, store::Outcome};
use leasehold_core::{Quorum, QuorumOptions, Store};

use super::client::{Client, Held};
use crate::{
    checker::Rule,
    history::EventKind,
    model::{LOCK, REQUEST_TIMEOUT, RETRY_TIMEOUT, Strategy},
    virtual_world::SimStore,
};

pub(super) struct Locks {
    pub(super) client: Leasehold,
    mutex: Mutex,
}

impl Locks {
    pub(super) fn open(client: &Client, servers: Vec<Arc<SimStore>>) -> Locks {
        let (env, ttl) = (client.process.env(), client.scenario().ttl);
        let leasehold = Leasehold::new(store(client, servers), env).ttl(ttl).retry_timeout(RETRY_TIMEOUT);
        let mutex = leasehold.mutex(LOCK).expect("name and terms are those of a constant table");
        Locks { client: leasehold, mutex }
    }

    pub(super) async fn round(&self, client: &mut Client, is_last: bool) {
        let (begin, attempt) = (client.process.world().age(), client.ask());
        let (env, scenario) = (client.process.env(), client.scenario());
        let answer = if scenario.gives_up && !is_last && client.rng.percent(50) {
            // The future is dropped at an arbitrary point.
            let limit = client.rng.span(Duration::ZERO, REQUEST_TIMEOUT / 8);
            let answer = env.until(env.now() + limit, self.mutex.lock()).await;
            answer.map_or(Ok(None), |guard| guard.map(Some))
        } else {
            self.mutex.try_lock_for(scenario.wait).await
        };
        client.check_wait(attempt, begin);
        match answer {
            Ok(Some(guard)) => hold(client, guard, attempt).await,
            Ok(None) => client.record(EventKind::Busy { attempt }),
            Err(error) => {
                client.record(EventKind::Fail { attempt, unknown: error.outcome() == Outcome::Unknown })
            }
        }
    }
}

fn store(client: &Client, mut servers: Vec<Arc<SimStore>>) -> Arc<dyn Store> {
    if servers.len() == 1 {
        return servers.remove(0);
    }
    let mut options = QuorumOptions::default();
    options.longest_lease = client.scenario().ttl;
    options.node_timeout = REQUEST_TIMEOUT;
    let members = servers.into_iter().map(|server| server as Arc<dyn Store>).collect();
    let quorum = Quorum::new(members, options, client.process.env());
    Arc::new(quorum.expect("an odd number of members that can vote"))
}

async fn hold(client: &mut Client, guard: MutexGuard, attempt: u64) {
    let lease = guard.lease().clone();
    let (token, env) = (lease.fencing_token(), client.process.env());
    let deadline_us = Some(client.process.world_us(lease.deadline()));
    client.record(EventKind::Grant { attempt, token: token.map(|token| token.get()), deadline_us });
    if lease.deadline() <= env.now() {
        let text = format!("attempt {attempt} was granted after its deadline");
        client.simulation.violation(Rule::LateGrant, text);
    }
    let spans = client.spans();
    // Either the work checks the lease before each step, or `lease.run` before each poll.
    let checks = client.config().strategy == Strategy::LeaseholdGuard;
    let held = Held { attempt, token, lease: Some(&lease), checks };
    let lost = if checks {
        client.work(held, spans).await;
        lease.check().is_err()
    } else {
        lease.run(client.work(held, spans)).await.is_err()
    };
    if lost {
        client.record(EventKind::Lost { attempt });
        drop(guard);
        return;
    }
    client.record(EventKind::Extend { attempt, deadline_us: client.process.world_us(lease.deadline()) });
    client.record(EventKind::Release { attempt });
    if guard.release().await.is_ok() {
        client.record(EventKind::Released { attempt });
    }
}
