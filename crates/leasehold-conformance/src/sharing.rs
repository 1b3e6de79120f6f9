//! Promise: readers hold together, a writer alone.

use crate::prelude::*;

cases![
    readers_hold_together[SHARED],
    a_writer_waits_for_the_last_reader[SHARED],
    a_reader_that_goes_leaves_the_others[SHARED],
    readers_are_told_apart[SHARED],
];

/// Any number of readers is granted, of any client.
pub async fn readers_hold_together(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    for store in [&one, &two, &one, &two] {
        take(store, &test.reader(&name), "only readers hold it").await?;
    }
    same(one.inspect(&name).await?.holders.len(), 4, "the number of readers that hold it")
}

/// A writer is refused while one reader is left, and granted after the last.
pub async fn a_writer_waits_for_the_last_reader(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let readers = [test.reader(&name), test.reader(&name)];
    for reader in &readers {
        take(&one, reader, "only readers hold it").await?;
    }
    let writer = test.claim(&name);
    for reader in &readers {
        refused(&two, &writer, "a reader holds it").await?;
        let_go(&one, reader).await?;
    }
    take(&two, &writer, "the last reader has gone").await.map(drop)
}

/// The release of one reader does not end another's hold.
pub async fn a_reader_that_goes_leaves_the_others(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let name = test.name();
    let stays = test.grant(&one, test.reader(&name)).await?;
    let goes = test.grant(&two, test.reader(&name)).await?;
    let_go(&two, &goes).await?;
    renewed(&one, &stays, "the other reader's hold").await?;
    refused(&two, &test.claim(&name), "a reader still holds it").await.map(drop)
}

/// Every reader is in the snapshot, each with its own tag, as a reader.
pub async fn readers_are_told_apart(test: &Test, store: Client) -> CaseResult {
    let name = test.name();
    let readers = [test.reader(&name), test.reader(&name), test.reader(&name)];
    for reader in &readers {
        take(&store, reader, "only readers hold it").await?;
    }
    let snapshot = store.inspect(&name).await?;
    let mut found: Vec<_> = snapshot.holders.iter().map(|holder| holder.tag).collect();
    let mut wanted = readers.map(|reader| Contender::tag_of(reader.id));
    found.sort_unstable();
    wanted.sort_unstable();
    same(found, wanted.to_vec(), "the tags of the readers")?;
    let shared = snapshot.holders.iter().all(|holder| holder.mode == Some(Mode::Shared));
    ensure(shared, "every holder's mode is shared", snapshot.holders)
}
