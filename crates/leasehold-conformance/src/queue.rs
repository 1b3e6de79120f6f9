//! Promise: a fair queue is served in order of arrival, overtaken by nobody, and not stopped by the dead.

use crate::prelude::*;

cases![
    first_come_first_served [FIFO],
    nobody_overtakes_a_fair_waiter [FIFO],
    a_place_says_how_many_come_first [FIFO],
    a_waiter_that_leaves_lets_the_next_through [FIFO],
    a_silent_waiter_is_skipped [FIFO],
    a_waiter_that_asks_keeps_its_place [FIFO],
    readers_and_writers_are_served_in_order [FIFO, SHARED],
    a_small_take_does_not_overtake_a_large_one [FIFO, PERMITS],
    inspect_shows_the_queue_in_order [FIFO],
];

async fn held_with_queue<const N: usize>(
    test: &Test,
    clients: &[Client],
) -> Result<(Claim, [Claim; N]), Failure> {
    let name = test.name();
    let holder = test.grant(&clients[0], test.claim(&name)).await?;
    let waiters: [Claim; N] = std::array::from_fn(|_| test.fifo(&name));
    for (index, waiter) in waiters.iter().enumerate() {
        queued(&clients[index % clients.len()], waiter, "another holds it").await?;
    }
    Ok((holder, waiters))
}

/// Five waiters of three clients are granted in the order in which they came, however they ask.
pub async fn first_come_first_served(test: &Test, clients: [Client; 3]) -> CaseResult {
    let (mut holder, waiters) = held_with_queue::<5>(test, &clients).await?;
    for next in 0..waiters.len() {
        let_go(&clients[2], &holder).await?;
        for late in (next + 1..waiters.len()).rev() {
            queued(&clients[late % 3], &waiters[late], "others came before it").await?;
        }
        take(&clients[next % 3], &waiters[next], "it is the first in the queue").await?;
        holder = waiters[next].clone();
    }
    Ok(())
}

/// Neither an impatient claim nor one that may be overtaken nor a fair one gets in before a fair waiter.
pub async fn nobody_overtakes_a_fair_waiter(test: &Test, clients: [Client; 2]) -> CaseResult {
    let (holder, [first]) = held_with_queue::<1>(test, &clients).await?;
    let_go(&clients[0], &holder).await?;
    for queueing in [Queueing::No, Queueing::Barging, Queueing::Fifo] {
        let late = Claim { queueing, ..test.claim(&holder.name) };
        kept_out(&clients[1], &late, "a fair waiter came first").await?;
        clients[1].release(&late).await?;
    }
    take(&clients[0], &first, "it is the first in the queue").await.map(drop)
}

/// `ahead`, where the store counts: the holder and the earlier waiters.
pub async fn a_place_says_how_many_come_first(test: &Test, clients: [Client; 2]) -> CaseResult {
    let (_, waiters) = held_with_queue::<3>(test, &clients).await?;
    for (index, waiter) in waiters.iter().enumerate() {
        let busy = queued(&clients[0], waiter, "another holds it").await?;
        let count = busy.ahead.is_none_or(|ahead| ahead as usize == index + 1);
        let expected = format!("{} ahead of waiter {index}: the holder and the earlier ones", index + 1);
        ensure(count, expected, busy.ahead)?;
        ensure(!busy.recheck_in.is_zero(), "a recheck_in above zero", busy.recheck_in)?;
    }
    Ok(())
}

/// The queue closes up when one in the middle, or the first, gives up.
pub async fn a_waiter_that_leaves_lets_the_next_through(test: &Test, clients: [Client; 2]) -> CaseResult {
    let (holder, [first, second, third]) = held_with_queue::<3>(test, &clients).await?;
    let_go(&clients[1], &second).await?;
    let_go(&clients[0], &first).await?;
    queued(&clients[0], &third, "the holder is still there").await?;
    let_go(&clients[0], &holder).await?;
    take(&clients[0], &third, "those before it have left").await.map(drop)
}

/// A waiter that died in the queue does not stop it for longer than its time to live.
pub async fn a_silent_waiter_is_skipped(test: &Test, [one, two, three]: [Client; 3]) -> CaseResult {
    let holder = test.held(&one).await?;
    let name = holder.name.clone();
    let silent = Claim { ttl: test.ttl(), ..test.fifo(&name) };
    queued(&two, &silent, "another holds it").await?;
    let patient = test.fifo(&name);
    queued(&three, &patient, "another holds it").await?;
    let_go(&one, &holder).await?;
    test.wins(&three, &patient, silent.ttl, "the one before it is silent").await.map(drop)
}

/// Asking again keeps a place beyond its time to live; the order stays.
pub async fn a_waiter_that_asks_keeps_its_place(test: &Test, [one, two, three]: [Client; 3]) -> CaseResult {
    let holder = test.held(&one).await?;
    let name = holder.name.clone();
    let first = Claim { ttl: test.ttl() * 4, ..test.fifo(&name) };
    queued(&two, &first, "another holds it").await?;
    let second = test.fifo(&name);
    queued(&three, &second, "another holds it").await?;
    for _ in 0..6 {
        test.sleep(first.ttl / 4).await;
        queued(&two, &first, "another holds it").await?;
    }
    let_go(&one, &holder).await?;
    queued(&three, &second, "the first asked again and kept its place").await?;
    take(&two, &first, "it is the first in the queue").await.map(drop)
}

/// reader (holds), writer, reader: the last reader waits for the writer, though it could share.
pub async fn readers_and_writers_are_served_in_order(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let reader = || Claim { mode: Mode::Shared, ..test.fifo(&name) };
    let (first, writer, second, third) = (reader(), test.fifo(&name), reader(), reader());
    take(&one, &first, "the lock is free").await?;
    queued(&two, &writer, "a reader holds it").await?;
    queued(&one, &second, "a writer came first").await?;
    queued(&two, &third, "a writer came first").await?;
    let_go(&one, &first).await?;
    queued(&one, &second, "the writer came first").await?;
    take(&two, &writer, "it is its turn").await?;
    queued(&one, &second, "the writer holds it").await?;
    let_go(&two, &writer).await?;
    take(&two, &third, "only readers are left").await?;
    take(&one, &second, "only readers are left").await.map(drop)
}

/// One permit is free and the first in the queue wants two: one who wants one waits behind it.
pub async fn a_small_take_does_not_overtake_a_large_one(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let permits = |take| Claim { mode: Mode::Permits { take, of: 3 }, ..test.fifo(&name) };
    let (holder, large, small) = (permits(2), permits(2), permits(1));
    take(&one, &holder, "three are left").await?;
    queued(&two, &large, "one is left").await?;
    queued(&one, &small, "a larger claim came first").await?;
    let_go(&one, &holder).await?;
    take(&one, &small, "there is room for both").await?;
    take(&two, &large, "there is room for both").await.map(drop)
}

/// Waiters, the first first.
pub async fn inspect_shows_the_queue_in_order(test: &Test, clients: [Client; 2]) -> CaseResult {
    let (holder, waiters) = held_with_queue::<4>(test, &clients).await?;
    let snapshot = clients[1].inspect(&holder.name).await?;
    let found: Vec<_> = snapshot.waiters.iter().map(|waiter| waiter.tag).collect();
    same(found, waiters.map(|waiter| Contender::tag_of(waiter.id)).to_vec(), "the tags of the queue in order")
}
