//! Promise: what is bound to a client ends with it, as soon as the store can know.

use std::time::Duration;

use leasehold_core::{Claim, ErrorKind, Interest, Liveness, Queueing};

use crate::{
    CaseResult, Client, Failure, TestContext,
    outcome::{ensure, kept_out, queued, take},
    renewal::renewed,
};

crate::case::cases![
    a_closed_client_frees_its_holds [SEES_CLOSE],
    a_closed_client_leaves_the_queue [SEES_CLOSE, FIFO],
    a_dropped_client_frees_its_holds,
    one_client_ends_and_another_lives_on,
    a_closed_client_says_so,
    closing_twice_is_closing_once,
];

/// The next claim is granted at once, long before the time to live.
pub async fn a_closed_client_frees_its_holds(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.held(&one).await?;
    one.close().await?;
    take(&*two, &context.claim(&claim.name), "the holder's client is closed").await.map(drop)
}

/// A place in the queue is bound to the client too.
pub async fn a_closed_client_leaves_the_queue(context: &TestContext) -> CaseResult {
    let [one, two, three] = context.clients().await?;
    let holder = context.held(&one).await?;
    let fifo = || Claim { queueing: Queueing::Fifo, ..context.claim(&holder.name) };
    queued(&*two, &fifo(), "another holds it").await?;
    let next = fifo();
    queued(&*three, &next, "another holds it").await?;
    two.close().await?;
    one.release(&holder).await?;
    take(&*three, &next, "the client before it in the queue is closed").await.map(drop)
}

/// Dropped without `close`: freed at once where the store sees it, else by the end of the time to live.
pub async fn a_dropped_client_frees_its_holds(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let at_once = context.capability().liveness == Liveness::Process;
    let claim = if at_once { context.claim(&context.name()) } else { context.brief(&context.name()) };
    take(&*one, &claim, "the lock is free").await?;
    drop(one);
    let within = if at_once { Duration::ZERO } else { claim.ttl };
    context.expect_win(&two, &context.claim(&claim.name), within, "the holder's client is gone").await
}

/// Sessions are not shared by accident.
pub async fn one_client_ends_and_another_lives_on(context: &TestContext) -> CaseResult {
    let [one, two, three] = context.clients().await?;
    let (dies, lives) = (context.claim(&context.name()), context.claim(&context.name()));
    take(&*one, &dies, "the lock is free").await?;
    take(&*two, &lives, "the lock is free").await?;
    one.close().await?;
    drop(one);
    renewed(&two, &lives, "another client was closed").await?;
    kept_out(&*three, &context.claim(&lives.name), "its holder's client is alive").await
}

/// Every verb of a closed client answers `Closed`; none hangs, none is done.
pub async fn a_closed_client_says_so(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let claim = context.claim(&context.name());
    one.close().await?;
    closed("claim", one.claim(&claim).await)?;
    closed(
        "renew",
        one.renew(std::slice::from_ref(&claim)).await.into_iter().collect::<Result<Vec<_>, _>>(),
    )?;
    closed("release", one.release(&claim).await)?;
    closed("watch", one.watch(&claim.name, Interest::Changes).await.map(|_| "a subscription"))?;
    closed("server_info", one.server_info().await)?;
    closed("inspect", one.inspect(&claim.name).await)?;
    closed("list", one.list(claim.name.as_str(), 1).await)?;
    closed("force_release", one.force_release(&claim.name).await)?;
    context.expect_nothing_left(&two, &claim.name, "after the verbs of a closed client").await
}

fn closed<T: std::fmt::Debug>(verb: &str, answer: leasehold_core::Result<T>) -> CaseResult {
    match answer {
        Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
        other => Err(Failure::new(
            format!("{verb} of a closed client: an error of kind Closed"),
            format!("{other:?}"),
        )),
    }
}

/// The second `close` is answered `Ok`.
pub async fn closing_twice_is_closing_once(context: &TestContext) -> CaseResult {
    let [one, two]: [Client; 2] = context.clients().await?;
    one.close().await?;
    let again = one.close().await;
    ensure(again.is_ok(), "Ok of the second close", again)?;
    take(&*two, &context.claim(&context.name()), "another client is not closed").await.map(drop)
}
