//! Redlock as it is written down (Sanfilippo, "Distributed locks with Redis", 2014): all servers at once, a majority, the
//! time that passed taken off. Nothing is looked at after that.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use leasehold_core::{BoxFuture, Claim, Drift, Standing, Store};

use super::{Client, naive, work::Held};
use crate::{history::What, remote::Remote, stage::ASK_TIMEOUT};

pub(super) async fn run(mut client: Client) {
    let open = |node| Arc::new(Remote::new(&client.process, node, ASK_TIMEOUT / 5));
    let members: Vec<Arc<Remote>> = client.stage.nodes.iter().map(open).collect();
    for _ in 0..client.stage.cast.rounds {
        round(&mut client, &members).await;
        client.think().await;
    }
    client.stage.healed(&client).await;
    round(&mut client, &members).await;
}

async fn round(client: &mut Client, members: &[Arc<Remote>]) {
    let attempt = client.ask();
    let env = client.process.env();
    let ttl = client.stage.cast.scenario.ttl;
    let end = env.now() + client.stage.cast.scenario.wait;
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
            return client.record(What::Busy { attempt });
        }
        let pause = client.dice.span(Duration::from_millis(2), Duration::from_millis(40));
        client.sleep(pause).await;
    };
    client.record(What::Grant { attempt, token: None, deadline_us: None });
    let spans = client.spans();
    client.work(Held { attempt, token: None, lease: None, looks: false }, spans).await;
    client.record(What::Release { attempt });
    release(members, &claim).await;
    client.record(What::Released { attempt });
}

fn granted(member: Arc<Remote>, claim: Claim) -> BoxFuture<'static, bool> {
    Box::pin(async move { matches!(member.claim(&claim).await, Ok(Standing::Granted(_))) })
}

async fn release(members: &[Arc<Remote>], claim: &Claim) {
    let one = |member: &Arc<Remote>| -> BoxFuture<'static, bool> {
        let (member, claim) = (member.clone(), claim.clone());
        Box::pin(async move { member.release(&claim).await.is_ok() })
    };
    all(members.iter().map(one).collect()).await;
}

/// All answers, when the last has come.
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
