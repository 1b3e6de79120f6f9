//! Promise: a store says who it is and for how long it has forgotten nothing.

use std::time::Duration;

use crate::{
    Scene, Verdict,
    verdict::{ensure, same, take},
};

crate::case::cases![
    two_clients_see_one_server,
    its_calendar_moves_with_ours,
    a_grant_says_what_is_remembered,
];

/// However many clients ask: the name of the server is the server's.
pub async fn two_clients_see_one_server(scene: &Scene) -> Verdict {
    let [one, two] = scene.clients().await?;
    let (first, second) = (one.server_info().await?, two.server_info().await?);
    same(&second.server, &first.server, "the server's name")?;
    ensure(!first.server.is_empty(), "a name", &first.server)?;
    same(second.lineage, first.lineage, "the lineage of the data")
}

/// Its clock goes on at the rate of ours, whatever the time is there.
pub async fn its_calendar_moves_with_ours(scene: &Scene) -> Verdict {
    let store = scene.client().await?;
    let before = scene.env().now();
    let first = store.server_info().await?;
    let asked = scene.env().now();
    scene.env().sleep(Duration::from_millis(50)).await;
    let between = scene.env().now();
    let second = store.server_info().await?;
    let after = scene.env().now();
    let passed = Duration::from_micros(second.wall_us.saturating_sub(first.wall_us));
    let (least, most) = (between.since(asked), after.since(before));
    let give = Duration::from_millis(2) + scene.capability().drift.of(most);
    let fits = passed + give >= least && passed <= most + give;
    ensure(fits, format!("between {least:?} and {most:?} to have passed"), passed)
}

/// As much as the store says when it is asked, or more, for time has passed.
pub async fn a_grant_says_what_is_remembered(scene: &Scene) -> Verdict {
    let store = scene.client().await?;
    let asked = store.server_info().await?.remembers_for;
    let grant = take(&*store, &scene.claim(&scene.name()), "the lock is free").await?;
    let give = Duration::from_millis(2) + scene.capability().drift.of(scene.slack());
    ensure(
        grant.remembers_for.saturating_add(give) >= asked,
        format!("at least {asked:?}"),
        grant.remembers_for,
    )
}
