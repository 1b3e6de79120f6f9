//! Promise: an exclusive hold is alone.

use crate::prelude::*;

cases![
    a_second_claim_is_held_and_leaves_no_trace,
    a_refusal_says_who_and_for_how_long,
    an_exclusive_hold_keeps_readers_out[SHARED],
    other_names_are_free,
    a_race_has_one_winner,
    a_race_of_one_client_has_one_winner,
];

/// Somebody else's exclusive hold is answered `Held`, and the refused claim is not there afterwards.
pub async fn a_second_claim_is_held_and_leaves_no_trace(
    test: &Test,
    [one, two, mine]: [Client; 3],
) -> CaseResult {
    let name = test.name();
    let holder = test.grant(&one, test.claim(&name)).await?;
    for store in [&two, &mine, &one] {
        refused(store, &test.claim(&name), "another claim holds it").await?;
    }
    let snapshot = two.inspect(&name).await?;
    same(snapshot.holders.len(), 1, "the number of holders")?;
    ensure(snapshot.waiters.is_empty(), "a refused claim leaves no trace", &snapshot.waiters)?;
    let_go(&one, &holder).await?;
    take(&two, &test.claim(&name), "the holder has released").await.map(drop)
}

/// `Held` carries when to ask again, and where the store can say, who holds it and how.
pub async fn a_refusal_says_who_and_for_how_long(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let holder = test.grant(&one, Claim { note: Some("the note".into()), ..test.claim(&name) }).await?;
    let busy = refused(&two, &test.claim(&name), "another claim holds it").await?;
    let sane = !busy.recheck_in.is_zero() && busy.recheck_in <= holder.ttl + test.slack();
    let expected = format!("recheck_in above zero and at most the holder's {:?}", holder.ttl);
    ensure(sane, expected, busy.recheck_in)?;
    let Some(found) = busy.holder else { return Ok(()) };
    same(found.tag, Contender::tag_of(holder.id), "the tag of the holder")?;
    let mode_fits = found.mode.is_none_or(|mode| mode == Mode::Exclusive);
    ensure(mode_fits, "the holder's mode, exclusive", found.mode)?;
    let note_fits = found.note.as_deref().is_none_or(|note| note == "the note");
    ensure(note_fits, "the holder's note", &found.note)
}

/// A reader does not get in beside a writer.
pub async fn an_exclusive_hold_keeps_readers_out(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    take(&one, &test.claim(&name), "the lock is free").await?;
    kept_out(&two, &test.reader(&name), "a writer holds it").await
}

/// Two names are two locks.
pub async fn other_names_are_free(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    take(&one, &test.claim(&test.name()), "the lock is free").await?;
    take(&two, &test.claim(&test.name()), "another lock is held, not this").await.map(drop)
}

/// Of claims that meet, exactly one is granted: again and again, by many clients.
pub async fn a_race_has_one_winner(test: &Test, clients: [Client; 8]) -> CaseResult {
    race(test, &clients).await
}

/// The same within one client, where claims share a connection.
pub async fn a_race_of_one_client_has_one_winner(test: &Test, client: Client) -> CaseResult {
    race(test, &std::array::from_fn(|_| client.clone())).await
}

async fn race(test: &Test, clients: &[Client; 8]) -> CaseResult {
    for _ in 0..8 {
        let name = test.name();
        let tasks = clients.iter().cloned().map(|client| {
            let claim = test.claim(&name);
            async move { client.claim(&claim).await }
        });
        let standings: Vec<_> = test.together(tasks).await?.into_iter().collect::<Result<_, _>>()?;
        let winners = standings.iter().filter(|standing| matches!(standing, Standing::Granted(_))).count();
        ensure(winners == 1, "one winner of eight", standings)?;
    }
    Ok(())
}
