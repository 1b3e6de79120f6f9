//! Promise: an exclusive hold is alone.

use leasehold_core::{Contender, Mode, Standing};

use crate::{
    CaseResult, Failure, TestContext,
    outcome::{ensure, kept_out, let_go, refused, same, take},
};

crate::case::cases![
    a_second_claim_is_held_and_leaves_no_trace,
    a_refusal_says_who_and_for_how_long,
    an_exclusive_hold_keeps_readers_out[SHARED],
    other_names_are_free,
    a_race_has_one_winner,
    a_race_of_one_client_has_one_winner,
];

/// Somebody else's exclusive hold is answered `Held`, and the refused claim is not there afterwards.
pub async fn a_second_claim_is_held_and_leaves_no_trace(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let (name, mine) = (context.name(), context.client().await?);
    let holder = context.claim(&name);
    take(&*one, &holder, "the lock is free").await?;
    for store in [&two, &mine, &one] {
        refused(&**store, &context.claim(&name), "another claim holds it").await?;
    }
    let snapshot = two.inspect(&name).await?;
    same(snapshot.holders.len(), 1, "the number of holders")?;
    ensure(snapshot.waiters.is_empty(), "a refused claim leaves no trace", &snapshot.waiters)?;
    let_go(&*one, &holder).await?;
    take(&*two, &context.claim(&name), "the holder has released").await.map(drop)
}

/// `Held` carries when to ask again, and where the store can say, who holds it and how.
pub async fn a_refusal_says_who_and_for_how_long(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let holder = leasehold_core::Claim { note: Some("the note".into()), ..context.claim(&name) };
    take(&*one, &holder, "the lock is free").await?;
    let busy = refused(&*two, &context.claim(&name), "another claim holds it").await?;
    let sane = !busy.recheck_in.is_zero() && busy.recheck_in <= holder.ttl + context.slack();
    ensure(
        sane,
        format!("recheck_in above zero and at most the holder's {:?}", holder.ttl),
        busy.recheck_in,
    )?;
    let Some(found) = busy.holder else { return Ok(()) };
    same(found.tag, Contender::tag_of(holder.id), "the tag of the holder")?;
    let mode_fits = found.mode.is_none_or(|mode| mode == Mode::Exclusive);
    ensure(mode_fits, "the holder's mode, exclusive", found.mode)?;
    let note_fits = found.note.as_deref().is_none_or(|note| note == "the note");
    ensure(note_fits, "the holder's note", &found.note)
}

/// A reader does not get in beside a writer.
pub async fn an_exclusive_hold_keeps_readers_out(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    take(&*one, &context.claim(&name), "the lock is free").await?;
    let reader = leasehold_core::Claim { mode: Mode::Shared, ..context.claim(&name) };
    kept_out(&*two, &reader, "a writer holds it").await
}

/// Two names are two locks.
pub async fn other_names_are_free(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    take(&*one, &context.claim(&context.name()), "the lock is free").await?;
    take(&*two, &context.claim(&context.name()), "another lock is held, not this").await.map(drop)
}

/// Of claims that meet, exactly one is granted: again and again, by many clients.
pub async fn a_race_has_one_winner(context: &TestContext) -> CaseResult {
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(context.client().await?);
    }
    race(context, &clients).await
}

/// The same within one client, where claims share a connection.
pub async fn a_race_of_one_client_has_one_winner(context: &TestContext) -> CaseResult {
    let client = context.client().await?;
    race(context, &vec![client; 8]).await
}

async fn race(context: &TestContext, clients: &[crate::Client]) -> CaseResult {
    for _ in 0..8 {
        let name = context.name();
        let tasks = clients.iter().cloned().map(|client| {
            let claim = context.claim(&name);
            async move { client.claim(&claim).await }
        });
        let mut standings = Vec::new();
        for standing in context.together(tasks.collect()).await? {
            standings.push(standing?);
        }
        let winners = standings.iter().filter(|standing| matches!(standing, Standing::Granted(_))).count();
        if winners != 1 {
            return Err(Failure::new("one winner of eight", format!("{winners}: {standings:?}")));
        }
    }
    Ok(())
}
