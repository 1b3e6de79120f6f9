//! The server's clock jumps.

use std::time::Duration;

use leasehold_testkit::redis::Server;

use crate::{
    common,
    fixture::{LATE, Naive, at, engine, eventually, holder, lock, loss, run, ttl},
};
use leasehold_core::LockOptions;

/// K2. 40 s forward: the server ends a hold of 30 s at once, and lets a second one in. Nobody can prevent that; the first
/// is told at its next renewal, and the token of the second is above its own.
#[test]
fn a_jump_forward_lets_a_second_holder_in_and_the_first_is_told_and_fenced() {
    let server = Server::builder().clock_shim().start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), engine(&at(&server)), engine(&at(&server)));
        let first = lock(&one, "orders", &ttl(3_000)).await;
        server.jump_clock(40.0).unwrap();
        let second = lock(&two, "orders", &ttl(3_000)).await;
        assert!(first.lease().check().is_ok(), "two valid guards: the violation that SAFETY.md lists");
        assert!(second.lease().fencing_token() > first.lease().fencing_token(), "the first is fenced out");
        assert!(loss(&env, &first).await < Duration::from_millis(1_000) + LATE, "told at the next renewal");
        assert!(second.lease().check().is_ok());
    });
    // The control: two naive clients hold the lock as well, and neither will ever know.
    let mut naive = Naive::at(&server.address());
    assert!(naive.lock("naive", "one", 30_000));
    server.jump_clock(40.0).unwrap();
    assert!(naive.lock("naive", "two", 30_000), "the control: a second holder");
}

/// K3, K6. 60 s back: the hold seems to live a minute longer. Its owner still releases it at once, its renewals do not
/// make it worse, and tokens go on growing.
#[test]
fn a_jump_back_keeps_nobody_out_for_longer_than_the_owner_holds() {
    let server = Server::builder().clock_shim().start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), engine(&at(&server)), engine(&at(&server)));
        let first = lock(&one, "orders", &ttl(1_500)).await;
        let token = first.lease().fencing_token();
        server.jump_clock(-60.0).unwrap();
        let before = first.lease().deadline();
        eventually(&env, "a renewal", || async { first.lease().deadline() > before }).await;
        assert!(first.lease().check().is_ok());
        first.release().await.unwrap();
        let second = lock(&two, "orders", &ttl(1_500)).await;
        assert!(second.lease().fencing_token() > token, "the counter is kept though the clock went back");
    });
    // The control crashed, and its lock is stuck for a minute more than its time to live.
    let mut naive = Naive::at(&server.address());
    assert!(naive.lock("naive", "one", 1_000));
    server.jump_clock(-60.0).unwrap();
    let left = server.command(&["PTTL", "naive"]).unwrap().int().unwrap();
    assert!(left > 50_000 && holder(&server, "naive").is_some(), "the control: stuck for {left} ms");
}

/// S3, K6. The counter is lost, with its server or by FLUSHALL, or is kept while the clock goes back: tokens grow all the
/// same, by the clock in the one case and by the counter in the other.
#[test]
fn s3_tokens_grow_when_the_counter_is_lost_and_when_the_clock_goes_back() {
    let server = Server::builder().clock_shim().start().unwrap();
    run(async {
        let client = engine(&at(&server));
        let mut last = None;
        let mut grows = async |what: &str| {
            let hold =
                lock(&client, "orders", &LockOptions { retry_timeout: crate::fixture::SOON, ..ttl(30_000) })
                    .await;
            let token = hold.lease().fencing_token();
            hold.release().await.unwrap();
            assert!(token > last, "{what}: {token:?} after {last:?}");
            last = token;
            server.command(&["INCR", "naive:counter"]).unwrap().int().unwrap()
        };
        for _ in 0..10 {
            grows("as usual").await;
        }
        server.command(&["FLUSHALL"]).unwrap();
        assert_eq!(grows("flushed").await, 1, "the control: a plain counter begins anew");
        server.kill();
        server.restart().unwrap();
        assert_eq!(grows("restarted").await, 1, "the control: again");
        server.jump_clock(-3_600.0).unwrap();
        let clock = |server: &Server| {
            let time = server.command(&["TIME"]).unwrap();
            time.items()[0].text().unwrap().parse::<u64>().unwrap() * 1_000_000
        };
        for _ in 0..3 {
            grows("an hour back").await;
        }
        assert!(last.unwrap().get() > clock(&server), "the control: the time alone would have gone back");
    });
}
