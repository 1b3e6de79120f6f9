//! Promise: anybody can see who holds and who waits, and looking changes nothing.

use crate::prelude::*;

cases![
    a_free_lock_is_empty,
    a_holder_is_shown_as_it_is,
    a_waiter_is_shown_as_it_is[FIFO],
    permits_are_shown[PERMITS],
    looking_changes_nothing,
    a_name_comes_back_as_it_was_given,
];

/// A name that nobody has ever used is no error.
pub async fn a_free_lock_is_empty(test: &Test, store: Client) -> CaseResult {
    test.expect_nothing_left(&store, &test.name(), "before anybody has come").await
}

/// Tag, stance, mode, note, token, and how long it lasts.
pub async fn a_holder_is_shown_as_it_is(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = Claim { note: Some("who & why".into()), ..test.claim(&test.name()) };
    let grant = take(&one, &claim, "the lock is free").await?;
    let snapshot = two.inspect(&claim.name).await?;
    let [holder] = &snapshot.holders[..] else {
        return ensure(false, "one holder", snapshot);
    };
    same(holder.tag, Contender::tag_of(claim.id), "the holder's tag")?;
    same(holder.stance, Stance::Holding, "the holder's stance")?;
    same(holder.mode, Some(Mode::Exclusive), "the holder's mode")?;
    let note = test.capability.notes.then_some("who & why");
    same(holder.note.as_deref(), note, "the holder's note")?;
    same(holder.fence, grant.fence, "the holder's token")?;
    let lasts = holder.expires_in.is_none_or(|left| left <= claim.ttl + test.slack() && left > claim.ttl / 2);
    ensure(lasts, format!("expires_in about {:?}", claim.ttl), holder.expires_in)?;
    ensure(holder.age.is_none_or(|age| age <= test.slack()), "an age of next to nothing", holder.age)
}

/// A waiter too.
pub async fn a_waiter_is_shown_as_it_is(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = Claim { queueing: Queueing::Fifo, note: Some("in line".into()), ..test.claim(&holder.name) };
    kept_out(&two, &waiter, "another holds it").await?;
    let snapshot = one.inspect(&holder.name).await?;
    let [shown] = &snapshot.waiters[..] else {
        return ensure(false, "one waiter", snapshot);
    };
    same(shown.tag, Contender::tag_of(waiter.id), "the waiter's tag")?;
    same(shown.stance, Stance::Waiting, "the waiter's stance")?;
    same(shown.mode, Some(Mode::Exclusive), "the waiter's mode")?;
    same(shown.note.as_deref(), Some("in line"), "the waiter's note")
}

/// How many, of how many.
pub async fn permits_are_shown(test: &Test, store: Client) -> CaseResult {
    let claim = test.permits(&test.name(), 2, 5);
    take(&store, &claim, "five are left").await?;
    let modes: Vec<_> = store.inspect(&claim.name).await?.holders.iter().map(|holder| holder.mode).collect();
    same(modes, vec![Some(claim.mode)], "the modes of the holders")
}

/// Not the hold, not the token, not the time left.
pub async fn looking_changes_nothing(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let (kept, claim) = (test.claim(&test.name()), test.brief(&test.name()));
    let grant = take(&one, &kept, "the lock is free").await?;
    take(&one, &claim, "the lock is free").await?;
    for name in [&kept.name, &claim.name].repeat(5) {
        two.inspect(name).await?;
        test.listed(&two, name, &[]).await?;
    }
    let again = take(&one, &kept, "it holds the lock").await?;
    same(again.fence, grant.fence, "the token after all the looking")?;
    test.outlive(claim.ttl).await;
    let name = test.name();
    two.inspect(&name).await?;
    same(test.listed(&two, &name, &[]).await?, vec![], "the locks made by looking")?;
    take(&two, &test.claim(&claim.name), "looking prolongs nothing").await.map(drop)
}

/// Byte for byte.
pub async fn a_name_comes_back_as_it_was_given(test: &Test, store: Client) -> CaseResult {
    let name = test.named(format!("{}/ä b%2F\n{{x}}", test.unique()))?;
    same(store.inspect(&name).await?.name, name, "the name in the snapshot")
}
