//! Round trips are exact, so they are counted, by a proxy in front of the server.
//!
//! The proxy delivers everything late: what is sent before the first answer can be there counts as one.

use std::time::Duration;

use leasehold_core::{Busy, Interest, Queueing, Standing, Store};
use leasehold_testkit::{proxy::Proxy, zookeeper::Server};

use crate::{
    common,
    fixture::{claim, run, store},
    naive::Naive,
};

/// A session so long that no ping comes between.
const QUIET: &str = "session=120000";

fn behind_a_proxy() -> (Server, Proxy, String) {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    proxy.delay(Duration::from_millis(25));
    let words = format!("servers={} {QUIET}", proxy.address());
    (server, proxy, words)
}

#[test]
fn lock_and_unlock_are_one_round_trip_each() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&words).await);
        // The node of the lock is there, and with something in it the servers do not take it away.
        Naive::at(&server.address()).await.make("/x/kept").await;
        store.release(&claim(&env, "x", 120_000)).await.unwrap();
        for _ in 0..5 {
            let mine = claim(&env, "x", 120_000);
            proxy.reset_counters();
            assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)));
            assert_eq!(proxy.round_trips(), 1, "to lock");
            store.release(&mine).await.unwrap();
            assert_eq!(proxy.round_trips(), 2, "to unlock");
        }
    });
}

#[test]
fn a_busy_try_names_the_holder() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let env = common::env();
        let (holder, other) =
            (store(&format!("servers={} {QUIET}", server.address())).await, store(&words).await);
        let mine = leasehold_core::Claim { note: Some("me".into()), ..claim(&env, "x", 120_000) };
        assert!(matches!(holder.claim(&mine).await.unwrap(), Standing::Granted(_)));
        proxy.reset_counters();
        let Standing::Held(Busy { holder: Some(shown), .. }) =
            other.claim(&claim(&env, "x", 120_000)).await.unwrap()
        else {
            panic!("somebody else holds it");
        };
        assert_eq!(shown.note.as_deref(), Some("me"));
        assert!(proxy.round_trips() <= 3, "its place, who is there, and its place given up");
    });
}

#[test]
fn a_hand_over_is_a_push_and_one_round_trip() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let env = common::env();
        let (holder, waiter) =
            (store(&format!("servers={} {QUIET}", server.address())).await, store(&words).await);
        let mine = claim(&env, "x", 120_000);
        assert!(matches!(holder.claim(&mine).await.unwrap(), Standing::Granted(_)));
        let mut theirs = claim(&env, "x", 120_000);
        theirs.queueing = Queueing::Fifo;
        let mut wake = waiter.watch(&theirs.name, Interest::Turn(theirs.id)).await.unwrap();
        assert!(matches!(waiter.claim(&theirs).await.unwrap(), Standing::Waiting(_)));
        proxy.reset_counters();
        holder.release(&mine).await.unwrap();
        wake.wait().await.unwrap();
        assert!(matches!(waiter.claim(&theirs).await.unwrap(), Standing::Granted(_)));
        // The push is no answer to a request.
        assert_eq!(proxy.round_trips(), 1);
    });
}

/// One that lives by its session is only looked at; all of them are asked for together.
#[test]
fn a_hundred_holds_are_renewed_without_a_write() {
    let (_server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&words).await);
        let claims: Vec<_> = (0..100).map(|at| claim(&env, &format!("lock {at}"), 120_000)).collect();
        for claim in &claims {
            assert!(matches!(store.claim(claim).await.unwrap(), Standing::Granted(_)));
        }
        proxy.reset_counters();
        for answer in store.renew(&claims).await {
            let leasehold_core::Renewal::Renewed { valid_for } = answer.unwrap() else {
                panic!("it is held")
            };
            assert!(valid_for > Duration::from_secs(100));
        }
        let asked = proxy.take_request_bytes().concat();
        assert!(!asked.windows(11).any(|bytes| bytes == b"leasehold/1"), "nothing is written");
        assert!(proxy.round_trips() < 50, "{} round trips for 100 holds", proxy.round_trips());
    });
}
