//! Promise: readers hold together, a writer alone.

use leasehold_core::{Claim, LockName, Mode};

use crate::{
    CaseResult, TestContext,
    outcome::{ensure, let_go, refused, same, take},
};

crate::case::cases![
    readers_hold_together[SHARED],
    a_writer_waits_for_the_last_reader[SHARED],
    a_reader_that_goes_leaves_the_others[SHARED],
    readers_are_told_apart[SHARED],
];

fn reader(context: &TestContext, name: &LockName) -> Claim {
    Claim { mode: Mode::Shared, ..context.claim(name) }
}

/// Any number of readers is granted, of any client.
pub async fn readers_hold_together(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    for store in [&one, &two, &one, &two] {
        take(&**store, &reader(context, &name), "only readers hold it").await?;
    }
    same(one.inspect(&name).await?.holders.len(), 4, "the number of readers that hold it")
}

/// A writer is refused while one reader is left, and granted after the last.
pub async fn a_writer_waits_for_the_last_reader(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let readers = [reader(context, &name), reader(context, &name)];
    for reader in &readers {
        take(&*one, reader, "only readers hold it").await?;
    }
    let writer = context.claim(&name);
    for reader in &readers {
        refused(&*two, &writer, "a reader holds it").await?;
        let_go(&*one, reader).await?;
    }
    take(&*two, &writer, "the last reader has gone").await.map(drop)
}

/// The release of one reader does not end another's hold.
pub async fn a_reader_that_goes_leaves_the_others(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let name = context.name();
    let (stays, goes) = (reader(context, &name), reader(context, &name));
    take(&*one, &stays, "the lock is free").await?;
    take(&*two, &goes, "a reader holds it").await?;
    let_go(&*two, &goes).await?;
    let renewals = one.renew(std::slice::from_ref(&stays)).await;
    let alive = matches!(renewals[..], [Ok(leasehold_core::Renewal::Renewed { .. })]);
    ensure(alive, "the other reader's hold is renewed", renewals)?;
    refused(&*two, &context.claim(&name), "a reader still holds it").await.map(drop)
}

/// Every reader is in the snapshot, each with its own tag, as a reader.
pub async fn readers_are_told_apart(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let name = context.name();
    let readers = [reader(context, &name), reader(context, &name), reader(context, &name)];
    for reader in &readers {
        take(&*store, reader, "only readers hold it").await?;
    }
    let snapshot = store.inspect(&name).await?;
    let mut found: Vec<_> = snapshot.holders.iter().map(|holder| holder.tag).collect();
    let mut wanted = readers.map(|reader| leasehold_core::Contender::tag_of(reader.id));
    found.sort_unstable();
    wanted.sort_unstable();
    same(found, wanted.to_vec(), "the tags of the readers")?;
    let shared = snapshot.holders.iter().all(|holder| holder.mode == Some(Mode::Shared));
    ensure(shared, "every holder's mode is shared", snapshot.holders)
}
