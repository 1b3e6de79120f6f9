//! Promise: a hold can be changed in place (mode, note, binding, time to live), and an amendment never makes one.

use crate::prelude::*;

cases![
    an_amendment_never_creates,
    an_expired_hold_cannot_be_amended,
    a_waiter_cannot_be_amended_into_a_hold,
    the_note_changes[NOTES],
    the_note_can_be_taken_away[NOTES],
    a_downgrade_lets_readers_in[SHARED],
    an_upgrade_is_granted_only_alone[SHARED],
    an_amendment_is_the_same_grant[SHARED],
    an_amendment_prolongs,
    permits_can_be_given_back_in_part[PERMITS],
    permits_never_grow_in_place[PERMITS],
];

fn amend(claim: &Claim) -> Claim {
    Claim { intent: Intent::Amend, ..claim.clone() }
}

async fn gone(store: &Client, claim: &Claim, why: &str) -> CaseResult {
    let standing = store.claim(&amend(claim)).await?;
    ensure(matches!(standing, Standing::Gone(_)), format!("Gone: {why}"), standing)
}

/// On a free lock it is `Gone`, and the lock stays free.
pub async fn an_amendment_never_creates(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.claim(&test.name());
    gone(&one, &claim, "it was never held").await?;
    test.expect_nothing_left(&two, &claim.name, "after an amendment of nothing").await?;
    take(&two, &test.claim(&claim.name), "nobody holds it").await?;
    gone(&one, &claim, "another holds it").await
}

/// Nor does it revive what has expired.
pub async fn an_expired_hold_cannot_be_amended(test: &Test, store: Client) -> CaseResult {
    let claim = test.held_briefly(&store).await?;
    test.outlive(claim.ttl).await;
    gone(&store, &claim, "it has expired").await?;
    test.expect_nothing_left(&store, &claim.name, "after an amendment that came too late").await
}

/// A place in the queue is no hold.
pub async fn a_waiter_cannot_be_amended_into_a_hold(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let holder = test.held(&one).await?;
    let waiter = test.barging(&holder.name);
    kept_out(&two, &waiter, "another holds it").await?;
    kept_out(&two, &amend(&waiter), "it waits and does not hold").await?;
    let_go(&one, &holder).await?;
    kept_out(&two, &amend(&waiter), "an amendment never makes a hold").await
}

async fn shown_note(store: &Client, name: &LockName) -> Result<Option<String>, Failure> {
    let holder = store.inspect(name).await?.holders.into_iter().next();
    Ok(holder.and_then(|holder| holder.note).map(|note| note.to_string()))
}

/// Everybody sees the new note.
pub async fn the_note_changes(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { note: Some("old".into()), ..test.claim(&test.name()) }).await?;
    same(shown_note(&two, &claim.name).await?, Some("old".into()), "the note")?;
    let long = "π\n\0\"\\ ".repeat(400);
    for note in ["new", "", &long] {
        let noted = Claim { note: Some(note.into()), ..amend(&claim) };
        take(&one, &noted, "it holds the lock").await?;
        same(shown_note(&two, &claim.name).await?, Some(note.into()), "the note")?;
    }
    Ok(())
}

/// A claim without a note takes the old one away.
pub async fn the_note_can_be_taken_away(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { note: Some("old".into()), ..test.claim(&test.name()) }).await?;
    take(&one, &Claim { note: None, ..amend(&claim) }, "it holds the lock").await?;
    same(shown_note(&two, &claim.name).await?, None, "the note")
}

/// A writer that becomes a reader never lets go in between.
pub async fn a_downgrade_lets_readers_in(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let writer = test.held(&one).await?;
    let reader = test.reader(&writer.name);
    refused(&two, &reader, "a writer holds it").await?;
    take(&one, &Claim { mode: Mode::Shared, ..amend(&writer) }, "a downgrade is always granted").await?;
    take(&two, &reader, "only readers hold it").await?;
    refused(&two, &test.claim(&writer.name), "readers hold it").await.map(drop)
}

/// With another reader beside it, it is `Held` and stays a reader; alone, it is granted.
pub async fn an_upgrade_is_granted_only_alone(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let mine = test.grant(&one, test.reader(&name)).await?;
    let other = test.grant(&two, test.reader(&name)).await?;
    let upgrade = Claim { mode: Mode::Exclusive, ..amend(&mine) };
    refused(&one, &upgrade, "another reader holds it").await?;
    renewed(&one, &mine, "a refused upgrade leaves the reader's hold").await?;
    let third = test.grant(&two, test.reader(&name)).await?;
    for reader in [&other, &third] {
        let_go(&two, reader).await?;
    }
    take(&one, &upgrade, "it is alone").await?;
    refused(&two, &test.reader(&name), "a writer holds it").await.map(drop)
}

/// Down and up again: one hold, one token.
pub async fn an_amendment_is_the_same_grant(test: &Test, store: Client) -> CaseResult {
    let claim = test.claim(&test.name());
    let first = take(&store, &claim, "the lock is free").await?;
    for mode in [Mode::Shared, Mode::Exclusive, Mode::Shared] {
        let amended = take(&store, &Claim { mode, ..amend(&claim) }, "it is alone").await?;
        same(amended.fence, first.fence, "the token of the amended hold")?;
    }
    same(store.inspect(&claim.name).await?.holders.len(), 1, "the number of holders")
}

/// A longer time to live counts from the amendment.
pub async fn an_amendment_prolongs(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.held_briefly(&one).await?;
    take(&one, &Claim { ttl: test.long(), ..amend(&claim) }, "it holds the lock").await?;
    test.outlive(claim.ttl).await;
    refused(&two, &test.claim(&claim.name), "the amendment made it last longer").await.map(drop)
}

/// Three of three become one of three: two are free.
pub async fn permits_can_be_given_back_in_part(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let permits = |take| test.permits(&name, take, 3);
    let all = test.grant(&one, permits(3)).await?;
    refused(&two, &permits(1), "none is left").await?;
    take(&one, &Claim { mode: Mode::Permits { take: 1, of: 3 }, ..amend(&all) }, "it gives back two").await?;
    take(&two, &permits(2), "two were given back").await?;
    refused(&two, &permits(1), "none is left").await.map(drop)
}

/// One of three becomes two of three for nobody whose others are taken, and the hold stays as it is.
pub async fn permits_never_grow_in_place(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let permits = |take| test.permits(&name, take, 3);
    let mine = test.grant(&one, permits(1)).await?;
    let other = test.grant(&two, permits(2)).await?;
    refused(&one, &Claim { mode: Mode::Permits { take: 2, of: 3 }, ..amend(&mine) }, "none is left").await?;
    renewed(&one, &mine, "a refused change leaves the hold").await?;
    let_go(&two, &other).await?;
    take(&two, &permits(2), "it has one").await.map(drop)
}
