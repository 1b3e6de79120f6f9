//! Leases that end under their holders and waiters.

use std::time::Duration;

use leasehold_core::{Claim, Intent, Interest, Release, Renewal, Standing, Store};
use leasehold_testkit::etcd::Member;

use crate::{
    common,
    fixture::{
        SOON, at, claim, engine, eventually, fifo, keys, lease_of, lock, queue_up, run, store, take,
        try_lock, ttl,
    },
    naive::{self, etcdctl_lock},
};

/// An operator revokes it, or an old leader does (etcd#15247): the holder hears of it with its next renewal, long before
/// its time is over.
#[test]
fn a_lease_revoked_under_its_holder_is_noticed() {
    let member = Member::start().unwrap();
    let mut naive = etcdctl_lock(&member, "naive");
    run(async {
        let (env, engine) = (common::env(), engine(&at(&member)));
        let hold = lock(&engine, "orders", &ttl(9)).await;
        eventually(&env, "etcdctl's lock", || async { keys(&member, "naive").len() == 1 }).await;
        for text in ["orders", "naive"] {
            let key = keys(&member, text).remove(0);
            member.ctl(&["lease", "revoke", &lease_of(&member, &key)]).unwrap();
        }
        let begin = env.now();
        let lost = env.until(begin + SOON, hold.lease().lost()).await;
        assert!(lost.is_some(), "the loss is noticed");
        assert!(env.now().since(begin) < Duration::from_secs(8), "before its time is over");
        assert!(hold.lease().check().is_err());
        assert!(try_lock(&engine, "orders", &ttl(9)).await.unwrap().is_some());
    });
    // Its lock is gone, and another has it; etcdctl's command goes on.
    member.ctl(&["lock", "naive", "true"]).unwrap();
    assert!(naive.is_running(), "the control: etcdctl goes on with its work without its lock");
}

/// etcd#11456: a client that waits until all before it have gone, and does not check its own key, believes
/// that it holds.
#[test]
fn a_lease_revoked_under_a_waiter_makes_no_holder() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let (holder, waiter, other) = (claim(&env, "x", 60), fifo(&env, "x", 60), claim(&env, "x", 60));
        take(&one, &holder).await;
        let mut wake = two.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap();
        queue_up(&two, &waiter).await;
        let key = format!("x/{}", waiter.id);
        member.ctl(&["lease", "revoke", &lease_of(&member, &key)]).unwrap();
        // It is told that its place is gone.
        assert!(env.until(env.now() + SOON, wake.wait()).await.is_some());
        one.release(&holder).await.unwrap();
        // The control: no key is before it now, which is all that the first Mutex of Go checked.
        assert!(keys(&member, "x").is_empty());
        take(&one, &other).await;
        let standing = two.claim(&waiter).await.unwrap();
        assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
        assert_eq!(one.release(&other).await.unwrap(), Release::Released);
        take(&two, &waiter).await;
    });
}

/// The same through the engine: it queues up again, and has the lock in the end.
#[test]
fn a_waiting_engine_queues_up_again() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), engine(&at(&member)));
        let holder = claim(&env, "x", 60);
        take(&one, &holder).await;
        let terms = ttl(30);
        let waiting = async { lock(&two, "x", &terms).await };
        let upsetting = async {
            let waiters = || async { keys(&member, "x").len() == 2 };
            eventually(&env, "a waiter", waiters).await;
            let key = keys(&member, "x").into_iter().find(|key| !key.ends_with(".client")).unwrap();
            member.ctl(&["lease", "revoke", &lease_of(&member, &key)]).unwrap();
            let again = || async { keys(&member, "x").len() == 2 };
            eventually(&env, "the waiter again", again).await;
            one.release(&holder).await.unwrap();
        };
        let (hold, ()) = tokio::join!(waiting, upsetting);
        assert!(hold.lease().check().is_ok());
    });
    // The naive one waits until its key is the first, and it has none any more.
    member.ctl(&["put", "naive/1", ""]).unwrap();
    let lease = naive::lease(&member, 600);
    member.ctl(&["put", &format!("--lease={lease}"), "naive/2", ""]).unwrap();
    member.ctl(&["lease", "revoke", &lease]).unwrap();
    member.ctl(&["del", "naive/1"]).unwrap();
    assert!(keys(&member, "naive").is_empty(), "the control: a free lock, and it waits for ever");
}

/// A spare lease is kept for the next claim, and counted from there: its hold lasts its whole time.
#[test]
fn a_spare_lease_is_counted_from_the_claim() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one) = (common::env(), store(&at(&member)));
        let warm = claim(&env, "warm", 3);
        take(&one, &warm).await;
        one.release(&warm).await.unwrap();
        let spare = naive::lease(&member, 3);
        env.sleep(Duration::from_millis(2_200)).await;
        let naive = std::thread::scope(|scope| {
            scope.spawn(|| member.ctl(&["put", &format!("--lease={spare}"), "naive/1", ""])).join().unwrap()
        });
        let mine = claim(&env, "x", 3);
        let sent = env.now();
        take(&one, &mine).await;
        // It counts from when it takes the lock, and its lease from when that was granted. (On a machine so slow that the
        // lease had ended before, the lock was refused.)
        eventually(&env, "the naive one's end", || async { keys(&member, "naive").is_empty() }).await;
        assert!(
            naive.is_err() || env.now().since(sent) < Duration::from_millis(2_950),
            "the control: it ends early"
        );
        eventually(&env, "its end", || async { keys(&member, "x").is_empty() }).await;
        assert!(env.now().since(sent) >= Duration::from_millis(2_950), "{:?}", env.now().since(sent));
        assert!(matches!(one.renew(&[mine]).await[..], [Ok(Renewal::Gone(_))]));
    });
}

/// A hold whose time to live was raised lives by another lease: that of its lock-delay has to outlive this one, or the lock
/// is open as soon as its holder is dead.
#[test]
fn the_lease_of_a_delay_outlives_a_place_that_was_stretched() {
    let member = Member::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        let mine = Claim { lock_delay: Duration::from_secs(5), ..claim(&env, "x", 3) };
        take(&store, &mine).await;
        let granted = |key: &str| {
            let shown = member.ctl(&["lease", "timetolive", &lease_of(&member, key)]).unwrap();
            let seconds = shown.split("TTL(").nth(1).and_then(|rest| rest.split('s').next()).unwrap();
            seconds.parse::<u64>().unwrap()
        };
        let (place, delay) = (format!("x/{}", mine.id), format!("x/{}.delay", mine.id));
        let before = granted(&delay);
        assert!(before >= granted(&place) + 5);
        take(&store, &Claim { intent: Intent::Amend, ttl: Duration::from_secs(60), ..mine }).await;
        assert!(granted(&place) >= 60 && granted(&delay) >= granted(&place) + 5, "{}", granted(&delay));
        assert!(before < granted(&place) + 5, "the control: the first lease would end before the hold");
    });
}
