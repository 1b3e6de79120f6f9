//! Promise: a renewal prolongs a hold that is there, and never does anything else.

use leasehold_core::{Claim, ClaimId, Queueing, Renewal, Result};

use crate::{
    Client, Scene, Verdict,
    verdict::{ensure, kept_out, let_go, refused, same, take},
};

crate::case::cases![
    a_renewed_hold_lives_on,
    a_renewal_is_counted_from_now,
    a_renewal_never_shortens,
    a_renewal_never_creates,
    a_released_hold_is_not_renewed,
    another_id_renews_nothing,
    a_waiter_is_not_renewed_into_a_hold,
    answers_come_one_a_claim_in_order,
    nothing_is_answered_with_nothing,
    a_renewal_keeps_the_token[FENCING],
];

/// The answer to a renewal of one claim.
pub(crate) async fn renew(store: &Client, claim: &Claim) -> Option<Result<Renewal>> {
    store.renew(std::slice::from_ref(claim)).await.into_iter().next()
}

/// Renews, and fails unless the hold lives on.
pub(crate) async fn renewed(store: &Client, claim: &Claim, expected: &str) -> Verdict {
    let answer = renew(store, claim).await;
    ensure(matches!(answer, Some(Ok(Renewal::Renewed { .. }))), format!("Renewed: {expected}"), answer)
}

/// Renews, and fails unless there is no such hold.
pub(crate) async fn gone(store: &Client, claim: &Claim, expected: &str) -> Verdict {
    let answer = renew(store, claim).await;
    ensure(matches!(answer, Some(Ok(Renewal::Gone(_)))), format!("Gone: {expected}"), answer)
}

/// Renewed every third of its time, a hold outlives it several times.
pub async fn a_renewed_hold_lives_on(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let ttl = scene.ttl() * 4;
    let claim = Claim { ttl, ..scene.claim(&scene.name()) };
    take(&*one, &claim, "the lock is free").await?;
    for _ in 0..8 {
        scene.env().sleep(ttl / 4).await;
        renewed(&one, &claim, "it is renewed in time").await?;
    }
    kept_out(&*two, &scene.claim(&claim.name), "the hold was renewed all the time").await
}

/// After a renewal the hold lasts a whole time to live, not the rest of the old one.
pub async fn a_renewal_is_counted_from_now(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let ttl = scene.ttl() * 2;
    let claim = Claim { ttl, ..scene.claim(&scene.name()) };
    take(&*one, &claim, "the lock is free").await?;
    scene.env().sleep(ttl / 2).await;
    let sent = scene.env().now();
    renewed(&one, &claim, "half of its time is left").await?;
    scene.wins(&two, &scene.claim(&claim.name), ttl, "the hold was renewed once").await?;
    let end = scene.env().now();
    let found = format!("freed {:?} after the renewal was sent", end.since(sent));
    ensure(end >= scene.earliest_end(sent, ttl), format!("the renewed hold lasts {ttl:?}"), found)
}

/// A renewal with a shorter time to live leaves the longer one.
pub async fn a_renewal_never_shortens(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = scene.claim(&scene.name());
    take(&*one, &claim, "the lock is free").await?;
    let short = Claim { ttl: scene.ttl(), ..claim.clone() };
    renewed(&one, &short, "it is held").await?;
    scene.outlive(short.ttl).await;
    kept_out(&*two, &scene.claim(&claim.name), "a renewal may not shorten the hold").await
}

/// What was never claimed is `Gone`, and still free afterwards.
pub async fn a_renewal_never_creates(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = scene.claim(&scene.name());
    gone(&one, &claim, "it was never claimed").await?;
    scene.expect_nothing_left(&two, &claim.name, "after a renewal of what was never claimed").await?;
    take(&*two, &scene.claim(&claim.name), "nobody has claimed it").await.map(drop)
}

/// A renewal that was under way when its hold was released does not bring it back.
pub async fn a_released_hold_is_not_renewed(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = scene.claim(&scene.name());
    take(&*one, &claim, "the lock is free").await?;
    let_go(&*one, &claim).await?;
    gone(&one, &claim, "it was released").await?;
    take(&*two, &scene.claim(&claim.name), "it was released").await.map(drop)
}

/// A foreign id prolongs nothing.
pub async fn another_id_renews_nothing(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let claim = scene.brief(&scene.name());
    take(&*one, &claim, "the lock is free").await?;
    let foreign = Claim { id: ClaimId::mint(scene.env()), ttl: scene.long(), ..claim.clone() };
    gone(&one, &foreign, "another id holds it").await?;
    gone(&two, &foreign, "another id holds it").await?;
    scene.wins(&two, &scene.claim(&claim.name), claim.ttl, "only a foreign id was renewed").await.map(drop)
}

/// Renewing a place in the queue is no hold.
pub async fn a_waiter_is_not_renewed_into_a_hold(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let holder = scene.claim(&scene.name());
    take(&*one, &holder, "the lock is free").await?;
    let waiter = Claim { queueing: Queueing::Barging, ..scene.claim(&holder.name) };
    kept_out(&*two, &waiter, "another holds it").await?;
    gone(&two, &waiter, "it waits and does not hold").await?;
    let_go(&*one, &holder).await?;
    gone(&two, &waiter, "it has not asked again").await
}

/// A batch of many locks: holds, strangers and released ones, each gets its own answer.
pub async fn answers_come_one_a_claim_in_order(scene: &Scene) -> Verdict {
    let store = scene.client().await?;
    let mut claims = Vec::new();
    for index in 0..60 {
        let claim = scene.claim(&scene.name());
        if index % 3 != 1 {
            take(&*store, &claim, "the lock is free").await?;
        }
        if index % 3 == 2 {
            let_go(&*store, &claim).await?;
        }
        claims.push(claim);
    }
    let answers = store.renew(&claims).await;
    same(answers.len(), claims.len(), "the number of answers")?;
    for (index, answer) in answers.into_iter().enumerate() {
        let renewed = matches!(answer?, Renewal::Renewed { .. });
        same(renewed, index % 3 == 0, &format!("whether claim {index} of the batch was renewed"))?;
    }
    Ok(())
}

/// The watchdog of an idle client asks for nothing.
pub async fn nothing_is_answered_with_nothing(scene: &Scene) -> Verdict {
    same(scene.client().await?.renew(&[]).await.len(), 0, "the number of answers to no claims")
}

/// A renewal is no new grant.
pub async fn a_renewal_keeps_the_token(scene: &Scene) -> Verdict {
    let store = scene.client().await?;
    let claim = scene.claim(&scene.name());
    let first = take(&*store, &claim, "the lock is free").await?;
    renewed(&store, &claim, "it is held").await?;
    let again = take(&*store, &claim, "the same id asks again").await?;
    same(again.fence, first.fence, "the token after a renewal")?;
    let_go(&*store, &claim).await?;
    refused_nobody(scene, &store, &claim).await
}

async fn refused_nobody(scene: &Scene, store: &Client, old: &Claim) -> Verdict {
    let next = scene.claim(&old.name);
    take(&**store, &next, "it was released").await?;
    refused(&**store, &scene.claim(&old.name), "it is held again").await.map(drop)
}
