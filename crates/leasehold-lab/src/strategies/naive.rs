//! Naive clients: a grant counts as held, without a deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use leasehold::FencingToken;
use leasehold_core::{Claim, ClaimId, Drift, LockName, Outcome, Standing, Store};

use super::client::{Client, Held};
use crate::{
    history::EventKind,
    model::{LOCK, REQUEST_TIMEOUT, Strategy},
    virtual_world::SimStore,
};

fn claim(client: &Client) -> Claim {
    let name = LockName::new(LOCK).expect("a constant that is a name");
    Claim::new(name, ClaimId::mint(&client.process.env()), client.scenario().ttl)
}

/// One server is asked, and the lock is deleted, renewed or neither as the strategy says.
pub(super) async fn round(client: &mut Client, store: &Arc<SimStore>) {
    let (begin, attempt) = (client.process.world().age(), client.ask());
    let Some((claim, token)) = acquire(client, store, attempt).await else { return };
    client.check_wait(attempt, begin);
    client.record(EventKind::Grant { attempt, token: token.map(|token| token.get()), deadline_us: None });
    let works = Arc::new(AtomicBool::new(true));
    let strategy = client.config().strategy;
    if strategy == Strategy::Watchdog {
        renew(client, store, &claim, &works);
    }
    let spans = client.spans();
    client.work(Held { attempt, token, lease: None, checks: false }, spans).await;
    works.store(false, Ordering::Release);
    client.record(EventKind::Release { attempt });
    let released = match strategy {
        // Of any holder.
        Strategy::BareDelete => store.force_release(&claim.name).await.is_ok(),
        _ => store.release(&claim).await.is_ok(),
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
) -> Option<(Claim, Option<FencingToken>)> {
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
            _ => client.sleep_between(2, 20).await,
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

/// Redlock as published (Sanfilippo, "Distributed locks with Redis", 2014): all servers at once, a majority, the elapsed
/// time subtracted from the time to live. The validity is not checked again after that.
pub(super) async fn redlock_round(client: &mut Client, members: &[Arc<SimStore>]) {
    let attempt = client.ask();
    let env = client.process.env();
    let ttl = client.scenario().ttl;
    let end = env.now() + client.scenario().wait;
    let claim = loop {
        let (claim, begin) = (claim(client), env.now());
        let votes = join_all(members.iter().map(|member| member.claim(&claim))).await;
        let granted = votes.iter().filter(|vote| matches!(vote, Ok(Standing::Granted(_)))).count();
        let won = granted > members.len() / 2;
        let validity = ttl.saturating_sub(env.now().since(begin) + Drift::TWO_CLOCKS.of(ttl));
        if won && !validity.is_zero() {
            break claim;
        }
        release(members, &claim).await;
        if env.now() >= end {
            return client.record(EventKind::Busy { attempt });
        }
        client.sleep_between(2, 40).await;
    };
    client.record(EventKind::Grant { attempt, token: None, deadline_us: None });
    let spans = client.spans();
    client.work(Held { attempt, token: None, lease: None, checks: false }, spans).await;
    client.record(EventKind::Release { attempt });
    release(members, &claim).await;
    client.record(EventKind::Released { attempt });
}

async fn release(members: &[Arc<SimStore>], claim: &Claim) {
    join_all(members.iter().map(|member| member.release(claim))).await;
}
