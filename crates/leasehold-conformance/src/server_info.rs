//! Promise: a store identifies its server and for how long it has kept all its data.

use std::time::Duration;

use crate::{
    CaseResult, TestContext,
    outcome::{ensure, same, take},
};

crate::case::cases![
    two_clients_see_one_server,
    its_calendar_moves_with_ours,
    a_grant_says_what_is_remembered,
];

/// All clients see the same name of the server.
pub async fn two_clients_see_one_server(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let (first, second) = (one.server_info().await?, two.server_info().await?);
    same(&second.server, &first.server, "the server's name")?;
    ensure(!first.server.is_empty(), "a name", &first.server)?;
    same(second.lineage, first.lineage, "the lineage of the data")
}

/// The server's calendar runs at the rate of ours, whatever its time is.
pub async fn its_calendar_moves_with_ours(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let before = context.env().now();
    let first = store.server_info().await?;
    let asked = context.env().now();
    context.env().sleep(Duration::from_millis(50)).await;
    let between = context.env().now();
    let second = store.server_info().await?;
    let after = context.env().now();
    let passed = Duration::from_micros(second.wall_us.saturating_sub(first.wall_us));
    let (least, most) = (between.since(asked), after.since(before));
    let give = Duration::from_millis(2) + context.capability().drift.of(most);
    let fits = passed + give >= least && passed <= most + give;
    ensure(fits, format!("between {least:?} and {most:?} to have passed"), passed)
}

/// A grant reports at least the `remembers_for` of the last server info.
pub async fn a_grant_says_what_is_remembered(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let asked = store.server_info().await?.remembers_for;
    let grant = take(&*store, &context.claim(&context.name()), "the lock is free").await?;
    let give = Duration::from_millis(2) + context.capability().drift.of(context.slack());
    ensure(
        grant.remembers_for.saturating_add(give) >= asked,
        format!("at least {asked:?}"),
        grant.remembers_for,
    )
}
