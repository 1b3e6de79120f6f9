//! Ends what is not prolonged in time: holds, places in the queue, and what is left of requests that nobody follows.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{ClaimId, Env};

use crate::{
    client::ClientState,
    error::ServerError,
    in_doubt,
    node_name::NodeKind,
    own_claims::{NodeState, OwnClaims, Turn},
};

/// When the servers cannot be asked, they are asked again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// Works until the client is gone.
pub(crate) async fn run(shared: Weak<ClientState>, registry: Arc<OwnClaims>, env: Env) {
    loop {
        let changed = registry.changed.notified();
        match registry.sleep_until() {
            Some(next) => drop(env.until(next, changed).await),
            None => changed.await,
        }
        let Some(shared) = shared.upgrade() else { return };
        for id in registry.due(env.now()) {
            let shared = shared.clone();
            env.spawn(async move { attend(&shared, id).await });
        }
    }
}

async fn attend(shared: &Arc<ClientState>, id: ClaimId) {
    let Some(mut turn) = shared.registry.known(id).await else { return };
    let ends = match &turn.place {
        NodeState::At(node) => Some(shared.end(node.expires, Duration::ZERO)),
        _ => None,
    };
    // It was prolonged meanwhile.
    if let Some(ends) = ends.filter(|ends| *ends > shared.env.now()) {
        return shared.registry.schedule(id, &mut turn, ends);
    }
    match finish(shared, id, &mut turn).await {
        Ok(()) => shared.registry.forget(id, &mut turn),
        Err(refusal) => {
            if shared.link.refuse_closed().is_err() {
                return shared.registry.forget(id, &mut turn);
            }
            tracing::debug!(error = ?refusal, "what has expired cannot be deleted yet");
            let again = shared.env.now() + AGAIN;
            shared.registry.schedule(id, &mut turn, again);
        }
    }
}

async fn finish(shared: &Arc<ClientState>, id: ClaimId, turn: &mut Turn) -> Result<(), ServerError> {
    let place = turn.place.clone();
    if place == NodeState::Nowhere {
        return Ok(());
    }
    let live = shared.link.ready().await?;
    match place {
        // It has ended with its session.
        NodeState::At(node) if node.owner != 0 && node.owner != live.session => Ok(()),
        NodeState::At(node) => {
            in_doubt::expire(shared, &live, &node).await?;
            if let Some(delay_marker) = node.delay_marker {
                open_later(shared, delay_marker, node.slip.lock_delay);
            }
            Ok(())
        }
        _ => {
            let directory = shared.paths.lock(&turn.lock);
            let nodes = shared.nodes_of(&live, &turn.lock, id).await?;
            for node in nodes.iter().filter(|node| node.kind == NodeKind::Contender) {
                shared.delete(&live, &format!("{directory}/{}", node.name), None).await?;
            }
            Ok(())
        }
    }
}

/// Takes the delay_marker away when the lock-delay is over. Whoever waits does the same when this client is gone by then.
fn open_later(shared: &Arc<ClientState>, delay_marker: String, delay: Duration) {
    let (env, weak) = (shared.env.clone(), Arc::downgrade(shared));
    let opens = env.now() + delay + shared.capability.drift.of(delay);
    env.clone().spawn(async move {
        env.sleep_until(opens).await;
        let Some(shared) = weak.upgrade() else { return };
        if let Ok(live) = shared.link.ready().await {
            // Another client may have been faster.
            let _ = shared.delete(&live, &delay_marker, None).await;
        }
    });
}
