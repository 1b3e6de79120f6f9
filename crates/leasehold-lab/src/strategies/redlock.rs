//! Redlock as published (Sanfilippo, "Distributed locks with Redis", 2014): all servers at once, a majority, the elapsed
//! time subtracted from the time to live. The validity is not checked again after that.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use leasehold_core::{BoxFuture, Claim, Drift, Standing, Store};

use super::{Client, naive, work::Held};
use crate::{history::EventKind, model::REQUEST_TIMEOUT, virtual_world::SimStore};

pub(super) async fn run(mut client: Client) {
    let open = |server| Arc::new(SimStore::new(&client.process, server, REQUEST_TIMEOUT / 5));
    let members: Vec<Arc<SimStore>> = client.context.servers().iter().map(open).collect();
    for _ in 0..client.config().rounds {
        round(&mut client, &members).await;
        client.think().await;
    }
    client.await_healed().await;
    round(&mut client, &members).await;
}

async fn round(client: &mut Client, members: &[Arc<SimStore>]) {
    let attempt = client.ask();
    let env = client.process.env();
    let ttl = client.scenario().ttl;
    let end = env.now() + client.scenario().wait;
    let claim = loop {
        let (claim, begin) = (naive::claim(client), env.now());
        let votes = all(members.iter().map(|member| granted(member.clone(), claim.clone())).collect()).await;
        let won = votes.into_iter().filter(|vote| *vote).count() > members.len() / 2;
        let validity = ttl.saturating_sub(env.now().since(begin) + Drift::TWO_CLOCKS.of(ttl));
        if won && !validity.is_zero() {
            break claim;
        }
        release(members, &claim).await;
        if env.now() >= end {
            return client.record(EventKind::Busy { attempt });
        }
        let pause = client.rng.span(Duration::from_millis(2), Duration::from_millis(40));
        client.sleep(pause).await;
    };
    client.record(EventKind::Grant { attempt, token: None, deadline_us: None });
    let spans = client.spans();
    client.work(Held { attempt, token: None, lease: None, checks: false }, spans).await;
    client.record(EventKind::Release { attempt });
    release(members, &claim).await;
    client.record(EventKind::Released { attempt });
}

fn granted(member: Arc<SimStore>, claim: Claim) -> BoxFuture<'static, bool> {
    Box::pin(async move { matches!(member.claim(&claim).await, Ok(Standing::Granted(_))) })
}

async fn release(members: &[Arc<SimStore>], claim: &Claim) {
    let one = |member: &Arc<SimStore>| -> BoxFuture<'static, bool> {
        let (member, claim) = (member.clone(), claim.clone());
        Box::pin(async move { member.release(&claim).await.is_ok() })
    };
    all(members.iter().map(one).collect()).await;
}

/// Completes with all answers when the last one has arrived.
async fn all(mut asked: Vec<BoxFuture<'static, bool>>) -> Vec<bool> {
    let mut answers = vec![None; asked.len()];
    poll_fn(|context| {
        for (answer, ask) in answers.iter_mut().zip(&mut asked) {
            if answer.is_none()
                && let Poll::Ready(said) = ask.as_mut().poll(context)
            {
                *answer = Some(said);
            }
        }
        if answers.contains(&None) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}
