//! Crashes that lose what the server did not wait for.

use std::process::Command;

use leasehold_core::{Claim, ClaimId, FencingToken, LockName, Standing, Store};
use leasehold_postgres::PostgresStore;
use leasehold_testkit::postgres::Server;

use crate::fixture::{SOON, env, name, runtime, store};

/// The processes that write the server's log of changes unasked.
pub(crate) const WRITERS: &str = "SELECT pid FROM pg_stat_activity
    WHERE backend_type IN ('walwriter', 'background writer', 'checkpointer', 'autovacuum launcher')";

fn claim(text: &str) -> Claim {
    Claim::new(name(text), ClaimId::mint(&env()), SOON * 30)
}

/// Claims a free lock, and answers the token.
async fn take(store: &PostgresStore, claim: &Claim) -> FencingToken {
    let Standing::Granted(grant) = store.claim(claim).await.unwrap() else { panic!("{claim:?} is taken") };
    grant.fence.unwrap()
}

async fn token_of_holder(store: &PostgresStore, name: &LockName) -> Option<FencingToken> {
    store.inspect(name).await.unwrap().holders.first().and_then(|holder| holder.fence)
}

/// The control: a release that no grant has followed is undone by the crash, so commits are lost here; that lock stays shut
/// until its time to live.
#[test]
fn p10_a_grant_keeps_the_release_before_it_though_nobody_waited_for_that() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (one, two) = (store(&server), store(&server));
        let (followed, alone, next) = (claim("followed"), claim("alone"), claim("followed"));
        let (first, undone) = (take(&one, &followed).await, take(&one, &alone).await);
        let writers = server.sql(WRITERS).unwrap();
        let signal = |signal: &str| {
            let sent = Command::new("kill").arg(signal).args(writers.lines()).status();
            assert!(sent.unwrap().success());
        };
        signal("-STOP");
        one.release(&followed).await.unwrap();
        let second = take(&two, &next).await;
        one.release(&alone).await.unwrap();
        server.kill();
        signal("-KILL");
        server.restart().unwrap();
        let looker = store(&server);
        assert_eq!(
            token_of_holder(&looker, &next.name).await,
            Some(second),
            "the grant, and what it follows"
        );
        assert!(second > first);
        assert_eq!(token_of_holder(&looker, &alone.name).await, Some(undone), "the control is undone");
        let again = claim("followed");
        two.release(&next).await.unwrap();
        assert!(take(&looker, &again).await > second);
    });
}
