//! Naive clients of one server: a grant counts as held, without a deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, LockName, Outcome, Standing, Store};

use super::{Client, work::Held};
use crate::{
    history::EventKind,
    model::{LOCK, REQUEST_TIMEOUT},
    virtual_world::SimStore,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// Deletes the lock of any holder.
    Bare,
    /// Deletes the client's own lock alone.
    Compared,
}

pub(super) async fn run(mut client: Client, release: Release, renews: bool) {
    let store = Arc::new(SimStore::new(&client.process, &client.context.servers()[0], REQUEST_TIMEOUT));
    for _ in 0..client.config().rounds {
        round(&mut client, &store, release, renews).await;
        client.think().await;
    }
    client.await_healed().await;
    round(&mut client, &store, release, renews).await;
}

pub(super) fn claim(client: &Client) -> Claim {
    let name = LockName::new(LOCK).expect("a constant that is a name");
    Claim::new(name, ClaimId::mint(&client.process.env()), client.scenario().ttl)
}

async fn round(client: &mut Client, store: &Arc<SimStore>, release: Release, renews: bool) {
    let (begin, attempt) = (client.process.world().age(), client.ask());
    let Some((claim, token)) = acquire(client, store, attempt).await else { return };
    client.check_wait(attempt, begin);
    client.record(EventKind::Grant { attempt, token: token.map(|token| token.get()), deadline_us: None });
    let works = Arc::new(AtomicBool::new(true));
    if renews {
        renew(client, store, &claim, &works);
    }
    let spans = client.spans();
    client.work(Held { attempt, token, lease: None, checks: false }, spans).await;
    works.store(false, Ordering::Release);
    client.record(EventKind::Release { attempt });
    let released = match release {
        Release::Bare => store.force_release(&claim.name).await.is_ok(),
        Release::Compared => store.release(&claim).await.is_ok(),
    };
    if released {
        client.record(EventKind::Released { attempt });
    }
}

/// Asks for the lock until it is granted; `None`: the client gave up, which is in the history.
async fn acquire(
    client: &mut Client,
    store: &Arc<SimStore>,
    attempt: u64,
) -> Option<(Claim, Option<leasehold::FencingToken>)> {
    let env = client.process.env();
    let end = env.now() + client.scenario().wait;
    let gives_up = client.scenario().gives_up && client.rng.percent(50);
    loop {
        let claim = claim(client);
        // A client that gives up drops its request and forgets it.
        let limit = match gives_up {
            true => client.rng.span(Duration::ZERO, REQUEST_TIMEOUT / 8),
            false => REQUEST_TIMEOUT * 2,
        };
        let answer = env.until(env.now() + limit, store.claim(&claim)).await;
        match answer {
            Some(Ok(Standing::Granted(grant))) => return Some((claim, grant.fence)),
            Some(Err(error)) if env.now() >= end => {
                let unknown = error.outcome() == Outcome::Unknown;
                client.record(EventKind::Fail { attempt, unknown });
                return None;
            }
            None => break,
            Some(Ok(_)) if env.now() >= end => break,
            _ => {
                let pause = client.rng.span(Duration::from_millis(2), Duration::from_millis(20));
                client.sleep(pause).await;
            }
        }
    }
    client.record(EventKind::Busy { attempt });
    None
}

fn renew(client: &Client, store: &Arc<SimStore>, claim: &Claim, works: &Arc<AtomicBool>) {
    let (env, store, claim, works) = (client.process.env(), store.clone(), claim.clone(), works.clone());
    let third = client.scenario().ttl / 3;
    client.process.env().spawn(async move {
        loop {
            env.sleep(third).await;
            if !works.load(Ordering::Acquire) {
                return;
            }
            store.renew(std::slice::from_ref(&claim)).await;
        }
    });
}
