//! Promise: a store identifies its server and for how long it has kept all its data.

use crate::prelude::*;

cases![two_clients_see_one_server, its_calendar_moves_with_ours, a_grant_says_what_is_remembered,];

/// All clients see the same name of the server.
pub async fn two_clients_see_one_server(_: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let (first, second) = (one.server_info().await?, two.server_info().await?);
    same(&second.server, &first.server, "the server's name")?;
    ensure(!first.server.is_empty(), "a name", &first.server)?;
    same(second.lineage, first.lineage, "the lineage of the data")
}

/// The server's calendar runs at the rate of ours, whatever its time is.
pub async fn its_calendar_moves_with_ours(test: &Test, store: Client) -> CaseResult {
    let before = test.now();
    let first = store.server_info().await?;
    let asked = test.now();
    test.sleep(Duration::from_millis(50)).await;
    let between = test.now();
    let second = store.server_info().await?;
    let after = test.now();
    let passed = Duration::from_micros(second.wall_us.saturating_sub(first.wall_us));
    let (least, most) = (between.since(asked), after.since(before));
    let give = Duration::from_millis(2) + test.capability.drift.of(most);
    let fits = passed + give >= least && passed <= most + give;
    ensure(fits, format!("between {least:?} and {most:?} to have passed"), passed)
}

/// A grant reports at least the `remembers_for` of the last server info.
pub async fn a_grant_says_what_is_remembered(test: &Test, store: Client) -> CaseResult {
    let asked = store.server_info().await?.remembers_for;
    let grant = take(&store, &test.claim(&test.name()), "the lock is free").await?;
    let give = Duration::from_millis(2) + test.capability.drift.of(test.slack());
    let remembers = grant.remembers_for.saturating_add(give) >= asked;
    ensure(remembers, format!("at least {asked:?}"), grant.remembers_for)
}
