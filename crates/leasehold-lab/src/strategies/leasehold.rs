//! The client of Leasehold.

use std::sync::Arc;

use leasehold::{Client as Locks, Mutex, MutexGuard, store::Outcome};
use leasehold_core::{Quorum, QuorumOptions, Store};

use super::{Client, work::Held};
use crate::{
    checker::Rule,
    history::EventKind,
    model::{LOCK, REQUEST_TIMEOUT, RETRY_TIMEOUT},
    virtual_world::SimStore,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `lease.run(work)`.
    Run,
    /// `lease.check()` before each step.
    Guard,
}

pub(super) async fn run(mut client: Client, style: Style) {
    let scenario = client.scenario();
    let locks =
        Locks::new(store(&client), client.process.env()).ttl(scenario.ttl).retry_timeout(RETRY_TIMEOUT);
    let mutex = locks.mutex(LOCK).expect("name and terms are those of a constant table");
    for _ in 0..client.config().rounds {
        round(&mut client, &mutex, style, scenario.gives_up).await;
        client.think().await;
    }
    client.await_healed().await;
    round(&mut client, &mutex, style, false).await;
    // Pending releases are carried out; an error changes nothing any more.
    let _ = locks.close(RETRY_TIMEOUT).await;
}

fn store(client: &Client) -> Arc<dyn Store> {
    let open = |server| Arc::new(SimStore::new(&client.process, server, REQUEST_TIMEOUT)) as Arc<dyn Store>;
    let servers = client.context.servers();
    if let [server] = servers {
        return open(server);
    }
    let mut options = QuorumOptions::default();
    options.longest_lease = client.scenario().ttl;
    options.node_timeout = REQUEST_TIMEOUT;
    let quorum = Quorum::new(servers.iter().map(open).collect(), options, client.process.env());
    Arc::new(quorum.expect("an odd number of members that can vote"))
}

async fn round(client: &mut Client, mutex: &Mutex, style: Style, gives_up: bool) {
    let (begin, attempt) = (client.process.world().age(), client.ask());
    let env = client.process.env();
    let wait = client.scenario().wait;
    let answer = if gives_up && client.rng.percent(50) {
        // The future is dropped at an arbitrary point.
        let limit = client.rng.span(std::time::Duration::ZERO, REQUEST_TIMEOUT / 8);
        match env.until(env.now() + limit, mutex.lock()).await {
            Some(guard) => guard.map(Some),
            None => Ok(None),
        }
    } else {
        mutex.try_lock_for(wait).await
    };
    client.check_wait(attempt, begin);
    match answer {
        Ok(Some(guard)) => hold(client, guard, attempt, style).await,
        Ok(None) => client.record(EventKind::Busy { attempt }),
        Err(error) => {
            client.record(EventKind::Fail { attempt, unknown: error.outcome() == Outcome::Unknown })
        }
    }
}

async fn hold(client: &mut Client, guard: MutexGuard, attempt: u64, style: Style) {
    let lease = guard.lease().clone();
    let (token, env) = (lease.fencing_token(), client.process.env());
    let deadline_us = Some(client.process.world_us(lease.deadline()));
    client.record(EventKind::Grant { attempt, token: token.map(|token| token.get()), deadline_us });
    if lease.deadline() <= env.now() {
        client
            .context
            .violation(Rule::LateGrant, format!("attempt {attempt} was granted after its deadline"));
    }
    let spans = client.spans();
    let held = Held { attempt, token, lease: Some(&lease), checks: style == Style::Guard };
    let lost = match style {
        Style::Run => lease.run(client.work(held, spans)).await.is_err(),
        Style::Guard => {
            client.work(held, spans).await;
            lease.check().is_err()
        }
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
