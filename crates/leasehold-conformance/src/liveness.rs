//! Promise: what is bound to a client ends with it, as soon as the store can know.

use crate::prelude::*;

cases![
    a_closed_client_frees_its_holds [SEES_CLOSE],
    a_closed_client_leaves_the_queue [SEES_CLOSE, FIFO],
    a_dropped_client_frees_its_holds,
    one_client_ends_and_another_lives_on,
    a_closed_client_says_so,
    closing_twice_is_closing_once,
];

/// The next claim is granted at once, long before the time to live.
pub async fn a_closed_client_frees_its_holds(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held(&one).await?;
    one.close().await?;
    take(&two, &test.claim(&claim.name), "the holder's client is closed").await.map(drop)
}

/// A place in the queue is bound to the client too.
pub async fn a_closed_client_leaves_the_queue(test: &Test, [one, two, three]: [Client; 3]) -> CaseResult {
    let holder = test.held(&one).await?;
    let fifo = || test.fifo(&holder.name);
    queued(&two, &fifo(), "another holds it").await?;
    let next = fifo();
    queued(&three, &next, "another holds it").await?;
    two.close().await?;
    one.release(&holder).await?;
    take(&three, &next, "the client before it in the queue is closed").await.map(drop)
}

/// Dropped without `close`: freed at once where the store sees it, else by the end of the time to live.
pub async fn a_dropped_client_frees_its_holds(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, test.mortal(&test.name())).await?;
    drop(one);
    let successor = test.claim(&claim.name);
    test.wins(&two, &successor, test.freed_within(&claim), "the holder's client is gone").await.map(drop)
}

/// Sessions are not shared by accident.
pub async fn one_client_ends_and_another_lives_on(test: &Test, [one, two, three]: [Client; 3]) -> CaseResult {
    test.held(&one).await?;
    let lives = test.held(&two).await?;
    one.close().await?;
    drop(one);
    renewed(&two, &lives, "another client was closed").await?;
    kept_out(&three, &test.claim(&lives.name), "its holder's client is alive").await
}

/// Every verb of a closed client answers `Closed`; none hangs, none is done.
pub async fn a_closed_client_says_so(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.claim(&test.name());
    one.close().await?;
    closed("claim", one.claim(&claim).await)?;
    closed("renew", renew(&*one, &claim).await)?;
    closed("release", one.release(&claim).await)?;
    closed("watch", one.watch(&claim.name, Interest::Changes).await.map(|_| "a subscription"))?;
    closed("server_info", one.server_info().await)?;
    closed("inspect", one.inspect(&claim.name).await)?;
    closed("list", one.list(claim.name.as_str(), 1).await)?;
    closed("force_release", one.force_release(&claim.name).await)?;
    test.expect_nothing_left(&two, &claim.name, "after the verbs of a closed client").await
}

fn closed<T: std::fmt::Debug>(verb: &str, answer: leasehold_core::Result<T>) -> CaseResult {
    fails(answer, ErrorKind::Closed, &format!("{verb} of a closed client")).map(drop)
}

/// The second `close` is answered `Ok`.
pub async fn closing_twice_is_closing_once(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    one.close().await?;
    let again = one.close().await;
    ensure(again.is_ok(), "Ok of the second close", again)?;
    take(&two, &test.claim(&test.name()), "another client is not closed").await.map(drop)
}
