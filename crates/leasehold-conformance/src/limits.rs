//! Promise: what is out of range is refused before anything is done, and what is in range works to the edge.

use std::time::Duration;

use leasehold_core::{Claim, ErrorKind, Mode, Outcome, Queueing};

use crate::{
    CaseResult, Failure, TestContext,
    outcome::{ensure, let_go, take},
};

crate::case::cases![
    the_shortest_and_the_longest_ttl_work,
    a_ttl_out_of_range_is_refused,
    a_note_that_is_too_long_is_refused,
    senseless_permits_are_refused[PERMITS],
    shared_locks_are_refused_where_there_are_none[NO_SHARED],
    permits_are_refused_where_there_are_none[NO_PERMITS],
    a_fair_queue_is_refused_where_there_is_none[NO_FIFO],
    large_semaphores_work[PERMITS],
];

/// At both ends of the capability.
pub async fn the_shortest_and_the_longest_ttl_work(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    for ttl in [context.capability().ttl_min, context.capability().ttl_max] {
        let claim = Claim { ttl, ..context.claim(&context.name()) };
        let grant = take(&*store, &claim, "the lock is free").await?;
        let half = context.capability().ttl_max / 2;
        let long = ttl < half || grant.valid_for >= half;
        ensure(long, format!("valid for about {ttl:?}"), grant.valid_for)?;
        store.release(&claim).await?;
    }
    Ok(())
}

/// Zero, a little less than the least, a little more than the most, and the largest number there is.
pub async fn a_ttl_out_of_range_is_refused(context: &TestContext) -> CaseResult {
    let capability = context.capability();
    let (less, more) = (
        capability.ttl_min.saturating_sub(Duration::from_nanos(1)),
        capability.ttl_max.saturating_add(Duration::from_millis(1)),
    );
    for ttl in [Duration::ZERO, less, more, Duration::from_millis(u64::MAX), Duration::MAX] {
        if ttl < capability.ttl_min || ttl > capability.ttl_max {
            refuses(context, Claim { ttl, ..context.claim(&context.name()) }, ErrorKind::Invalid).await?;
        }
    }
    Ok(())
}

async fn refuses(context: &TestContext, claim: Claim, kind: ErrorKind) -> CaseResult {
    let store = context.client().await?;
    match store.claim(&claim).await {
        Err(error) if error.kind() == kind && error.outcome() == Outcome::NotApplied => {}
        other => {
            return Err(Failure::new(
                format!("an error of kind {kind:?}, not applied"),
                format!("{other:?}"),
            ));
        }
    }
    context.expect_nothing_left(&store, &claim.name, "after a claim that was refused").await
}

/// One byte too many.
pub async fn a_note_that_is_too_long_is_refused(context: &TestContext) -> CaseResult {
    let note = Some("x".repeat(Claim::NOTE_BYTES_MAX + 1).into());
    refuses(context, Claim { note, ..context.claim(&context.name()) }, ErrorKind::Invalid).await
}

/// None of some, more than there are, one of none.
pub async fn senseless_permits_are_refused(context: &TestContext) -> CaseResult {
    for (take, of) in [(0, 3), (4, 3), (1, 0), (0, 0), (u32::MAX, 1)] {
        let mode = Mode::Permits { take, of };
        refuses(context, Claim { mode, ..context.claim(&context.name()) }, ErrorKind::Invalid).await?;
    }
    Ok(())
}

/// `Unsupported`, and nothing done.
pub async fn shared_locks_are_refused_where_there_are_none(context: &TestContext) -> CaseResult {
    refuses(context, Claim { mode: Mode::Shared, ..context.claim(&context.name()) }, ErrorKind::Unsupported)
        .await
}

/// `Unsupported`, and nothing done.
pub async fn permits_are_refused_where_there_are_none(context: &TestContext) -> CaseResult {
    let mode = Mode::Permits { take: 1, of: 2 };
    refuses(context, Claim { mode, ..context.claim(&context.name()) }, ErrorKind::Unsupported).await
}

/// `Unsupported`, and nothing done.
pub async fn a_fair_queue_is_refused_where_there_is_none(context: &TestContext) -> CaseResult {
    let claim = Claim { queueing: Queueing::Fifo, ..context.claim(&context.name()) };
    refuses(context, claim, ErrorKind::Unsupported).await
}

/// The sums do not overflow.
pub async fn large_semaphores_work(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let name = context.name();
    let permits = |take| Claim { mode: Mode::Permits { take, of: u32::MAX }, ..context.claim(&name) };
    let (most, one) = (permits(u32::MAX - 1), permits(1));
    take(&*store, &most, "all are left").await?;
    take(&*store, &one, "one is left").await?;
    crate::outcome::kept_out(&*store, &permits(u32::MAX), "none is left").await?;
    let_go(&*store, &most).await?;
    let_go(&*store, &one).await?;
    take(&*store, &permits(u32::MAX), "all were given back").await.map(drop)
}
