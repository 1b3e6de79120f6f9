//! Members of a quorum: what they say of their memory, and what they keep.

use std::{process::Command, sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Grant, Standing, Store,
    backend::{BackendEntry, QuorumMembership, Registry},
    url::ParsedUrl,
};
use leasehold_postgres::BACKEND;
use leasehold_testkit::postgres::Server;

use crate::{
    durability::WRITERS,
    fixture::{SOON, env, name, runtime, store},
    servers::{cut_off, follower},
};

static STORES: Registry =
    Registry(&[BackendEntry { title: "", feature: "", schemes: &[], backend: Some(&BACKEND) }]);
const MEMBERSHIP: QuorumMembership = QuorumMembership { members: 3, longest_lease: SOON };
/// No server of a test runs for that long: only an operator's word makes a memory longer.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server, and the standbys that may take its place, as one member.
fn place(servers: &[&Server]) -> ParsedUrl {
    let hosts: Vec<String> = servers.iter().map(|server| server.address().to_string()).collect();
    let url = format!("postgres://locks:pw@{}/postgres?timeout=5s", hosts.join(","));
    ParsedUrl::parse(&url, &STORES).unwrap()
}

async fn member(place: &ParsedUrl) -> Arc<dyn Store> {
    (BACKEND.open)(place, Some(MEMBERSHIP), &env()).await.unwrap()
}

/// Gives it its vote.
async fn promote(place: &ParsedUrl) {
    let promote = BACKEND.promote.expect("it can lose its vote");
    assert!(promote(place, MEMBERSHIP, &env()).await.unwrap());
}

/// The grant of a free lock, by the server that answers next.
async fn grant(store: &dyn Store, text: &str) -> Grant {
    let env = env();
    let claim = Claim::new(name(text), ClaimId::mint(&env), SOON * 30);
    let answered = env.within(SOON, async {
        loop {
            match store.claim(&claim).await {
                Ok(Standing::Granted(grant)) => return grant,
                Err(error) if error.is_transient() => {}
                other => panic!("{text} is not free: {other:?}"),
            }
        }
    });
    answered.await.expect("an answer")
}

/// The control is no member: it takes what was lost for free, and says that it forgets nothing.
#[test]
fn p16_a_promoted_standby_says_that_it_may_have_forgotten_and_a_server_that_comes_back_does_not() {
    let primary = Server::builder().with("fsync=on").start().unwrap();
    let standby = follower(&primary);
    runtime().block_on(async {
        let place = place(&[&primary, &standby]);
        let voter = member(&place).await;
        assert!(grant(&*voter, "first").await.remembers_for < DAY, "it may have lost its data before");
        promote(&place).await;
        assert!(grant(&*voter, "second").await.remembers_for > DAY);
        primary.kill();
        primary.restart().unwrap();
        assert!(grant(&*voter, "third").await.remembers_for > DAY, "it has lost nothing");
        assert!(voter.server_info().await.unwrap().remembers_for > DAY);
        cut_off(&standby, &primary);
        grant(&*voter, "orders").await;
        primary.kill();
        standby.sql("SELECT pg_promote()").unwrap();
        let forgotten = grant(&*voter, "orders").await.remembers_for;
        assert!(forgotten < SOON, "{forgotten:?}");
        assert!(voter.server_info().await.unwrap().remembers_for < DAY);
        assert_eq!(grant(&store(&standby), "control").await.remembers_for, Duration::MAX);
    });
}

/// A killed process loses nothing there; it cannot be told from a machine that was.
#[test]
fn a_member_that_does_not_sync_has_forgotten_what_was_before_its_start() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let place = place(&[&server]);
        promote(&place).await;
        let voter = member(&place).await;
        assert!(grant(&*voter, "before").await.remembers_for > DAY);
        server.kill();
        server.restart().unwrap();
        assert!(grant(&*voter, "after").await.remembers_for < DAY);
    });
}

/// The control is no member, and its grant is gone with the server.
#[test]
fn a_member_waits_for_its_commits_where_nobody_else_does() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (voter, naive) = (member(&place(&[&server])).await, store(&server));
        naive.server_info().await.unwrap();
        server.sql("ALTER ROLE locks SET synchronous_commit = off").unwrap();
        server
            .sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'locks'")
            .unwrap();
        grant(&*voter, "warm").await;
        grant(&naive, "warm too").await;
        let writers = server.sql(WRITERS).unwrap();
        let signal = |signal: &str| {
            let sent = Command::new("kill").arg(signal).args(writers.lines()).status();
            assert!(sent.unwrap().success());
        };
        signal("-STOP");
        grant(&*voter, "kept").await;
        grant(&naive, "lost").await;
        server.kill();
        signal("-KILL");
        server.restart().unwrap();
        let held = server.sql("SELECT name FROM leasehold.locks WHERE name IN ('kept', 'lost')").unwrap();
        assert_eq!(
            held,
            format!("\\x{}", "kept".bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
        );
    });
}
