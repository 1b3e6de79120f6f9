//! The clients that people write on one server. They take "I was told yes" for "I hold it".

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
    history::What,
    remote::Remote,
    stage::{ASK_TIMEOUT, LOCK},
};

/// How the lock is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// Whoever has it.
    Bare,
    /// If it is ours.
    Compared,
}

pub(super) async fn run(mut client: Client, release: Release, renews: bool) {
    let store = Arc::new(Remote::new(&client.process, &client.stage.nodes[0], ASK_TIMEOUT));
    for _ in 0..client.stage.cast.rounds {
        round(&mut client, &store, release, renews).await;
        client.think().await;
    }
    client.stage.healed(&client).await;
    round(&mut client, &store, release, renews).await;
}

pub(super) fn claim(client: &Client) -> Claim {
    let name = LockName::new(LOCK).expect("a constant that is a name");
    Claim::new(name, ClaimId::mint(&client.process.env()), client.stage.cast.scenario.ttl)
}

async fn round(client: &mut Client, store: &Arc<Remote>, release: Release, renews: bool) {
    let (begin, attempt) = (client.process.world().age(), client.ask());
    let env = client.process.env();
    let end = env.now() + client.stage.cast.scenario.wait;
    let gives_up = client.stage.cast.scenario.gives_up && client.dice.percent(50);
    let (claim, grant) = loop {
        let claim = claim(client);
        // Dropped in the middle, and forgotten.
        let limit = match gives_up {
            true => client.dice.span(Duration::ZERO, ASK_TIMEOUT / 8),
            false => ASK_TIMEOUT * 2,
        };
        let Some(answer) = env.until(env.now() + limit, store.claim(&claim)).await else {
            return client.record(What::Busy { attempt });
        };
        match answer {
            Ok(Standing::Granted(grant)) => break (claim, grant),
            Err(error) if env.now() >= end => {
                let unknown = error.outcome() == Outcome::Unknown;
                return client.record(What::Fail { attempt, unknown });
            }
            Ok(_) if env.now() >= end => return client.record(What::Busy { attempt }),
            _ => {
                let pause = client.dice.span(Duration::from_millis(2), Duration::from_millis(20));
                client.sleep(pause).await;
            }
        }
    };
    client.waited(attempt, begin);
    client.record(What::Grant { attempt, token: grant.fence.map(|token| token.get()), deadline_us: None });
    let works = Arc::new(AtomicBool::new(true));
    if renews {
        watch(client, store, &claim, &works);
    }
    let spans = client.spans();
    client.work(Held { attempt, token: grant.fence, lease: None, looks: false }, spans).await;
    works.store(false, Ordering::Release);
    client.record(What::Release { attempt });
    let released = match release {
        Release::Bare => store.force_release(&claim.name).await.is_ok(),
        Release::Compared => store.release(&claim).await.is_ok(),
    };
    if released {
        client.record(What::Released { attempt });
    }
}

/// Prolongs every third of the time to live, whatever is answered.
fn watch(client: &Client, store: &Arc<Remote>, claim: &Claim, works: &Arc<AtomicBool>) {
    let (env, store, claim, works) = (client.process.env(), store.clone(), claim.clone(), works.clone());
    let third = client.stage.cast.scenario.ttl / 3;
    client.process.env().spawn(async move {
        loop {
            env.sleep(third).await;
            if !works.load(Ordering::Acquire) {
                return;
            }
            // Its answer is not looked at.
            store.renew(std::slice::from_ref(&claim)).await;
        }
    });
}
