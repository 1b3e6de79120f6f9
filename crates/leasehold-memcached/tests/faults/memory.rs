//! Servers whose memory is full and that evict nothing (`-M`).

use std::time::Duration;

use leasehold_core::{ErrorKind, Outcome, Queueing, Release, Renewal, Standing, Store};
use leasehold_testkit::memcached::{Connection, Server};

use crate::{
    common,
    fixture::{at, claim, engine, holders, lock, run, store, take, ttl},
    naive::Naive,
};

/// Little memory, nothing evicted, and none of it moved from one size of items to another in the background.
const FULL: &[&str] = &["-M", "-m", "2", "-o", "slab_automove=0,no_slab_reassign"];

/// Fills every size of item until the server has no room for another.
fn fill(connection: &mut Connection, round: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for size in (1..1200).step_by(20) {
        let value = "x".repeat(size);
        for at in 0..100_000 {
            let key = format!("fill-{round}-{size}-{at}");
            let answer = connection.command(&format!("add {key} 0 600 {size}\r\n{value}")).unwrap();
            if answer.starts_with("SERVER_ERROR") {
                break;
            }
            keys.push(key);
        }
    }
    keys
}

/// S18. A contender that fails to take the lock does it no harm; the hold is renewed without memory, keeps its token, and
/// is released. `ms`, which others use, would have deleted it.
#[test]
fn a_full_server_harms_no_hold_and_the_contender_is_told() {
    let server = Server::with(FULL).unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&server)), store(&at(&server)));
        // Longer than it takes to fill the memory.
        let mine = claim(&env, "orders", 15);
        let grant = take(&one, &mine).await;
        assert!(Naive::on(&server).lock("naive", "me", 600));
        let mut connection = server.connect().unwrap();
        let keys = fill(&mut connection, "first");
        // A try has to say "held", not "no room", and to leave the holder alone.
        for queueing in [Queueing::No, Queueing::Barging] {
            let mut theirs = claim(&env, "orders", 6);
            theirs.queueing = queueing;
            let standing = two.claim(&theirs).await.unwrap();
            let Standing::Held(busy) = standing else { panic!("{standing:?}") };
            assert_eq!(busy.holder.unwrap().fence, grant.fence);
        }
        let mut fair = claim(&env, "orders", 6);
        fair.queueing = Queueing::Fifo;
        let error = two.claim(&fair).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied), "{error:?}");
        let error = two.claim(&claim(&env, "free", 6)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied), "{error:?}");
        // It lives on over twice its time to live.
        for _ in 0..10 {
            env.sleep(Duration::from_secs(3)).await;
            let renewals = one.renew(std::slice::from_ref(&mine)).await;
            assert!(matches!(renewals[..], [Ok(Renewal::Renewed { .. })]), "{renewals:?}");
            assert_eq!(holders(&two, "orders").await, 1);
        }
        assert_eq!(take(&one, &mine).await.fence, grant.fence, "the token that was granted");
        assert_eq!(one.release(&mine).await.unwrap(), Release::Released);
        assert_eq!(holders(&two, "orders").await, 0);
        // The control: a contender that takes locks by `ms` in the mode of `add` deletes what it does not get.
        assert!(Naive::on(&server).holds("naive", "me"));
        let large = "x".repeat(900);
        fill(&mut connection, "second");
        let answer = connection.command(&format!("ms naive 900 ME T600\r\n{large}")).unwrap();
        assert!(answer.starts_with("SERVER_ERROR"), "{answer}");
        assert!(
            !Naive::on(&server).holds("naive", "me"),
            "the control: its failure frees the lock of another"
        );
        for key in keys.iter().take(2_000) {
            connection.command(&format!("delete {key}")).unwrap();
        }
    });
}

/// The watchdog does the same.
#[test]
fn a_lease_outlives_a_full_memory() {
    let server = Server::with(FULL).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(6)).await;
        let mut naive = Naive::on(&server);
        assert!(naive.lock("naive", "me", 600));
        fill(&mut server.connect().unwrap(), "first");
        // It writes its lock anew, for which there is no room, and that ends it.
        let renewed = naive.renew("naive", &"m".repeat(900), 600);
        assert!(!renewed && !naive.holds("naive", "me"), "the control: a renewal that frees the lock");
        env.sleep(Duration::from_secs(14)).await;
        hold.lease().check().unwrap();
        assert_eq!(hold.release().await.unwrap(), Release::Released);
    });
}

/// A document has a bound: who has no place in it is told, and the others are not harmed.
#[test]
fn a_queue_that_is_too_long_refuses_the_next() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let mine = claim(&env, "orders", 600);
        take(&store, &mine).await;
        let waiter = |queueing| {
            let mut waiter = claim(&env, "orders", 600);
            (waiter.queueing, waiter.note) = (queueing, Some("x".repeat(4096).into()));
            waiter
        };
        let mut waiters = Vec::new();
        let refused = loop {
            let next = waiter(Queueing::Fifo);
            match store.claim(&next).await {
                Ok(Standing::Waiting(_)) => waiters.push(next),
                other => break other,
            }
            assert!(waiters.len() < 1_000, "a queue without end");
        };
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Exhausted);
        let standing = store.claim(&waiter(Queueing::Barging)).await.unwrap();
        assert!(matches!(standing, Standing::Held(_)), "it waits without a place: {standing:?}");
        store.release(&mine).await.unwrap();
        take(&store, &waiters[0]).await;
    });
    // The naive client writes its queue without a bound, and the server throws out what it cannot store.
    let mut naive = Naive::on(&server);
    assert!(naive.lock("naive", "me", 600));
    assert!(!naive.renew("naive", &"x".repeat(2_000_000), 600) && !naive.holds("naive", "me"), "the control");
}
