//! Promise: what is out of range is refused before anything is done, and what is in range works to the edge.

use crate::prelude::*;

cases![
    the_shortest_and_the_longest_ttl_work,
    a_ttl_out_of_range_is_refused,
    a_note_that_is_too_long_is_refused,
    senseless_permits_are_refused[PERMITS],
    shared_locks_are_refused_where_there_are_none[NO_SHARED],
    permits_are_refused_where_there_are_none[NO_PERMITS],
    a_fair_queue_is_refused_where_there_is_none[NO_FIFO],
    large_semaphores_work[MANY_PERMITS],
    no_more_permits_than_one_claim_may_take[FEW_PERMITS],
];

/// At both ends of the capability.
pub async fn the_shortest_and_the_longest_ttl_work(test: &Test, store: Client) -> CaseResult {
    for ttl in [test.capability.ttl_min, test.capability.ttl_max] {
        let claim = Claim { ttl, ..test.claim(&test.name()) };
        let grant = take(&store, &claim, "the lock is free").await?;
        let half = test.capability.ttl_max / 2;
        let long = ttl < half || grant.valid_for >= half;
        ensure(long, format!("valid for about {ttl:?}"), grant.valid_for)?;
        store.release(&claim).await?;
    }
    Ok(())
}

/// Zero, a little less than the least, a little more than the most, and the largest number there is.
pub async fn a_ttl_out_of_range_is_refused(test: &Test, store: Client) -> CaseResult {
    let capability = &test.capability;
    let less = capability.ttl_min.saturating_sub(Duration::from_nanos(1));
    let more = capability.ttl_max.saturating_add(Duration::from_millis(1));
    for ttl in [Duration::ZERO, less, more, Duration::from_millis(u64::MAX), Duration::MAX] {
        if ttl < capability.ttl_min || ttl > capability.ttl_max {
            refuses(test, &store, Claim { ttl, ..test.claim(&test.name()) }, ErrorKind::Invalid).await?;
        }
    }
    Ok(())
}

async fn refuses(test: &Test, store: &Client, claim: Claim, kind: ErrorKind) -> CaseResult {
    let error = fails(store.claim(&claim).await, kind, "a claim that is out of range")?;
    same(error.outcome(), Outcome::NotApplied, "the outcome of a refused claim")?;
    test.expect_nothing_left(store, &claim.name, "after a claim that was refused").await
}

/// One byte too many.
pub async fn a_note_that_is_too_long_is_refused(test: &Test, store: Client) -> CaseResult {
    let note = Some("x".repeat(Claim::NOTE_BYTES_MAX + 1).into());
    refuses(test, &store, Claim { note, ..test.claim(&test.name()) }, ErrorKind::Invalid).await
}

/// None of some, more than there are, one of none.
pub async fn senseless_permits_are_refused(test: &Test, store: Client) -> CaseResult {
    for (take, of) in [(0, 3), (4, 3), (1, 0), (0, 0), (u32::MAX, 1)] {
        refuses(test, &store, test.permits(&test.name(), take, of), ErrorKind::Invalid).await?;
    }
    Ok(())
}

/// `Unsupported`, and nothing done.
pub async fn shared_locks_are_refused_where_there_are_none(test: &Test, store: Client) -> CaseResult {
    refuses(test, &store, test.reader(&test.name()), ErrorKind::Unsupported).await
}

/// `Unsupported`, and nothing done.
pub async fn permits_are_refused_where_there_are_none(test: &Test, store: Client) -> CaseResult {
    refuses(test, &store, test.permits(&test.name(), 1, 2), ErrorKind::Unsupported).await
}

/// `Unsupported`, and nothing done.
pub async fn a_fair_queue_is_refused_where_there_is_none(test: &Test, store: Client) -> CaseResult {
    refuses(test, &store, test.fifo(&test.name()), ErrorKind::Unsupported).await
}

/// As many as it may take are one claim; one more is `Unsupported`, and nothing done.
pub async fn no_more_permits_than_one_claim_may_take(test: &Test, store: Client) -> CaseResult {
    let (name, most) = (test.name(), test.capability.permits);
    refuses(test, &store, test.permits(&test.name(), most + 1, most + 1), ErrorKind::Unsupported).await?;
    let all = test.grant(&store, test.permits(&name, most, most)).await?;
    refused(&store, &test.permits(&name, 1, most), "none is left").await?;
    renewed(&store, &all, "all of them").await?;
    let_go(&store, &all).await?;
    take(&store, &test.permits(&name, most, most), "all were given back").await.map(drop)
}

/// The sums do not overflow.
pub async fn large_semaphores_work(test: &Test, store: Client) -> CaseResult {
    let name = test.name();
    let permits = |take| test.permits(&name, take, u32::MAX);
    let most = test.grant(&store, permits(u32::MAX - 1)).await?;
    let one = test.grant(&store, permits(1)).await?;
    kept_out(&store, &permits(u32::MAX), "none is left").await?;
    let_go(&store, &most).await?;
    let_go(&store, &one).await?;
    take(&store, &permits(u32::MAX), "all were given back").await.map(drop)
}
