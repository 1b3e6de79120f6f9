//! Leasehold itself.

use std::sync::Arc;

use leasehold::{Client as Locks, Mutex, MutexGuard, store::Outcome};
use leasehold_core::{Quorum, QuorumOptions, Store};

use super::{Client, work::Held};
use crate::{
    history::What,
    remote::Remote,
    stage::{ASK_TIMEOUT, LOCK, PATIENCE},
    world::world_us,
};

/// How work is done under a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `lease.run(work)`.
    Run,
    /// `lease.check()` before each step.
    Guard,
}

pub(super) async fn run(mut client: Client, style: Style) {
    let scenario = client.stage.cast.scenario;
    let locks = Locks::new(store(&client), client.process.env()).ttl(scenario.ttl).retry_timeout(PATIENCE);
    let mutex = locks.mutex(LOCK).expect("name and terms are those of a constant table");
    for _ in 0..client.stage.cast.rounds {
        round(&mut client, &mutex, style, scenario.gives_up).await;
        client.think().await;
    }
    client.stage.healed(&client).await;
    round(&mut client, &mutex, style, false).await;
    // The client ends with its releases carried out.
    let _ = locks.close(PATIENCE).await;
}

fn store(client: &Client) -> Arc<dyn Store> {
    let remote = |node| Arc::new(Remote::new(&client.process, node, ASK_TIMEOUT)) as Arc<dyn Store>;
    let nodes = &client.stage.nodes;
    if let [node] = &nodes[..] {
        return remote(node);
    }
    let mut options = QuorumOptions::default();
    options.longest_lease = client.stage.cast.scenario.ttl;
    options.node_timeout = ASK_TIMEOUT;
    let quorum = Quorum::new(nodes.iter().map(remote).collect(), options, client.process.env());
    Arc::new(quorum.expect("an odd number of members that can vote"))
}

async fn round(client: &mut Client, mutex: &Mutex, style: Style, gives_up: bool) {
    let (begin, attempt) = (client.process.world().age(), client.ask());
    let env = client.process.env();
    let wait = client.stage.cast.scenario.wait;
    let answer = if gives_up && client.dice.percent(50) {
        // The future is dropped in the middle, wherever it may be.
        let patience = client.dice.span(std::time::Duration::ZERO, ASK_TIMEOUT / 8);
        match env.until(env.now() + patience, mutex.lock()).await {
            Some(guard) => guard.map(Some),
            None => Ok(None),
        }
    } else {
        mutex.try_lock_for(wait).await
    };
    client.waited(attempt, begin);
    match answer {
        Ok(Some(guard)) => hold(client, guard, attempt, style).await,
        Ok(None) => client.record(What::Busy { attempt }),
        Err(error) => client.record(What::Fail { attempt, unknown: error.outcome() == Outcome::Unknown }),
    }
}

async fn hold(client: &mut Client, guard: MutexGuard, attempt: u64, style: Style) {
    let lease = guard.lease().clone();
    let (token, env) = (lease.fencing_token(), client.process.env());
    let deadline_us = Some(world_us(&client.process, lease.deadline()));
    client.record(What::Grant { attempt, token: token.map(|token| token.get()), deadline_us });
    if lease.deadline() <= env.now() {
        client.stage.breach("late grant", format!("attempt {attempt} was granted after its deadline"));
    }
    let spans = client.spans();
    let held = Held { attempt, token, lease: Some(&lease), looks: style == Style::Guard };
    let lost = match style {
        Style::Run => lease.run(client.work(held, spans)).await.is_err(),
        Style::Guard => {
            client.work(held, spans).await;
            lease.check().is_err()
        }
    };
    if lost {
        client.record(What::Lost { attempt });
        drop(guard);
        return;
    }
    client.record(What::Extend { attempt, deadline_us: world_us(&client.process, lease.deadline()) });
    client.record(What::Release { attempt });
    if guard.release().await.is_ok() {
        client.record(What::Released { attempt });
    }
}
