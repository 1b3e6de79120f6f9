//! Promise: a renewal prolongs a hold that is there, and never does anything else.

use crate::prelude::*;

cases![
    a_renewed_hold_lives_on,
    a_renewal_is_counted_from_now,
    a_renewal_never_shortens,
    a_renewal_never_creates,
    a_released_hold_is_not_renewed,
    another_id_renews_nothing,
    a_waiter_is_not_renewed_into_a_hold,
    answers_come_one_a_claim_in_order,
    a_renewal_out_of_range_is_refused_alone,
    nothing_is_answered_with_nothing,
    a_renewal_keeps_the_token[FENCING],
    a_renewal_shortens_no_other_hold[SHARED],
];

/// Renewed every third of its time, a hold outlives it several times.
pub async fn a_renewed_hold_lives_on(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let ttl = test.ttl() * 4;
    let claim = test.grant(&one, Claim { ttl, ..test.claim(&test.name()) }).await?;
    for _ in 0..8 {
        test.sleep(ttl / 4).await;
        renewed(&one, &claim, "it is renewed in time").await?;
    }
    kept_out(&two, &test.claim(&claim.name), "the hold was renewed all the time").await
}

/// After a renewal the hold lasts a whole time to live, not the rest of the old one.
pub async fn a_renewal_is_counted_from_now(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let ttl = test.ttl() * 2;
    let claim = test.grant(&one, Claim { ttl, ..test.claim(&test.name()) }).await?;
    test.sleep(ttl / 2).await;
    let sent = test.now();
    renewed(&one, &claim, "half of its time is left").await?;
    test.wins(&two, &test.claim(&claim.name), ttl, "the hold was renewed once").await?;
    test.expect_not_early(sent, ttl)
}

/// A renewal with a shorter time to live leaves the longer one, that of the grant and that of an earlier renewal.
pub async fn a_renewal_never_shortens(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    let short = Claim { ttl: test.ttl(), ..claim.clone() };
    let long = Claim { ttl: (claim.ttl * 2).min(test.capability.ttl_max), ..claim.clone() };
    for renewal in [&short, &long, &short] {
        renewed(&one, renewal, "it is held").await?;
    }
    test.outlive(short.ttl).await;
    kept_out(&two, &test.claim(&claim.name), "a renewal may not shorten the hold").await
}

/// The renewal of a claim that was never made answers `Gone`, and makes no hold.
pub async fn a_renewal_never_creates(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.claim(&test.name());
    gone(&one, &claim, "it was never claimed").await?;
    test.expect_nothing_left(&two, &claim.name, "after a renewal of what was never claimed").await?;
    take(&two, &test.claim(&claim.name), "nobody has claimed it").await.map(drop)
}

/// A renewal that was under way when its hold was released does not bring it back.
pub async fn a_released_hold_is_not_renewed(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    let_go(&one, &claim).await?;
    gone(&one, &claim, "it was released").await?;
    take(&two, &test.claim(&claim.name), "it was released").await.map(drop)
}

/// A foreign id prolongs nothing.
pub async fn another_id_renews_nothing(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held_briefly(&one).await?;
    let foreign = Claim { id: ClaimId::mint(&test.env), ttl: test.long(), ..claim.clone() };
    gone(&one, &foreign, "another id holds it").await?;
    gone(&two, &foreign, "another id holds it").await?;
    test.wins(&two, &test.claim(&claim.name), claim.ttl, "only a foreign id was renewed").await.map(drop)
}

/// Renewing a place in the queue is no hold.
pub async fn a_waiter_is_not_renewed_into_a_hold(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = test.barging(&holder.name);
    kept_out(&two, &waiter, "another holds it").await?;
    gone(&two, &waiter, "it waits and does not hold").await?;
    let_go(&one, &holder).await?;
    gone(&two, &waiter, "it has not asked again").await
}

/// A batch of many locks: holds, strangers and released ones, each gets its own answer.
pub async fn answers_come_one_a_claim_in_order(test: &Test, store: Client) -> CaseResult {
    let mut claims = Vec::new();
    for index in 0..60 {
        let claim = test.claim(&test.name());
        if index % 3 != 1 {
            take(&store, &claim, "the lock is free").await?;
        }
        if index % 3 == 2 {
            let_go(&store, &claim).await?;
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

/// One of a batch that asks for more than the store can keep changes nothing, and the others are renewed.
pub async fn a_renewal_out_of_range_is_refused_alone(test: &Test, store: Client) -> CaseResult {
    let claims = [test.held(&store).await?, test.held(&store).await?, test.held(&store).await?];
    let [first, middle, last] = claims.clone();
    let more = test.capability.ttl_max.saturating_add(Duration::from_millis(1));
    let answers = store.renew(&[first, Claim { ttl: more, ..middle }, last]).await;
    for (at, answer) in answers.into_iter().enumerate() {
        if at == 1 {
            fails(answer, ErrorKind::Invalid, "a renewal that is out of range")?;
        } else {
            same(
                matches!(answer?, Renewal::Renewed { .. }),
                true,
                "whether the renewal beside it succeeded",
            )?;
        }
    }
    renewed(&store, &claims[1], "it was refused before anything was done").await
}

/// The watchdog of an idle client asks for nothing.
pub async fn nothing_is_answered_with_nothing(_: &Test, store: Client) -> CaseResult {
    same(store.renew(&[]).await.len(), 0, "the number of answers to no claims")
}

/// A renewal is no new grant.
pub async fn a_renewal_keeps_the_token(test: &Test, store: Client) -> CaseResult {
    let claim = test.claim(&test.name());
    let first = take(&store, &claim, "the lock is free").await?;
    renewed(&store, &claim, "it is held").await?;
    let again = take(&store, &claim, "the same id asks again").await?;
    same(again.fence, first.fence, "the token after a renewal")?;
    let_go(&store, &claim).await?;
    take(&store, &test.claim(&claim.name), "it was released").await?;
    refused(&store, &test.claim(&claim.name), "it is held again").await.map(drop)
}

/// Readers share the lock, and each keeps it for its own time.
pub async fn a_renewal_shortens_no_other_hold(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let long = test.grant(&one, test.reader(&name)).await?;
    let brief = Claim { mode: Mode::Shared, ..test.brief(&name) };
    take(&two, &brief, "only readers hold it").await?;
    renewed(&two, &brief, "it holds").await?;
    test.outlive(brief.ttl).await;
    refused(&two, &test.claim(&name), "the other reader holds it").await?;
    renewed(&one, &long, "its time is not over").await
}
