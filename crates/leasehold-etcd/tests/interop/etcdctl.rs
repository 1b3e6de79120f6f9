//! `etcdctl lock`.

use leasehold_core::{Standing, Store};
use leasehold_testkit::etcd::Member;

use crate::{
    common,
    fixture::{SOON, at, claim, engine, eventually, keys, lock, run, store, take, try_lock, ttl},
    naive::lock_for,
};

/// Its lock excludes us until it is killed.
#[test]
fn its_lock_keeps_us_out() {
    let member = Member::start().unwrap();
    let mut naive = lock_for(&member, "x", 10);
    run(async {
        let (env, engine, store) = (common::env(), engine(&at(&member)), store(&at(&member)));
        eventually(&env, "its key", || async { keys(&member, "x").len() == 1 }).await;
        assert!(try_lock(&engine, "x", &ttl(30)).await.unwrap().is_none());
        let standing = store.claim(&claim(&env, "x", 30)).await.unwrap();
        assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
        assert!(store.list("", 9).await.unwrap().iter().any(|it| it.name.as_str() == "x"));
        // Its lease lives for ten seconds.
        naive.kill();
        assert!(lock(&engine, "x", &ttl(30)).await.lease().check().is_ok());
    });
}

/// We hold: its command does not run before we release.
#[test]
fn our_lock_keeps_it_out() {
    let member = Member::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        let mine = claim(&env, "x", 60);
        take(&store, &mine).await;
        let mut command = member.ctl_command();
        let mut waits = command.args(["lock", "x", "true"]).spawn().unwrap();
        eventually(&env, "its place", || async { keys(&member, "x").len() == 2 }).await;
        assert!(waits.try_wait().unwrap().is_none(), "it waits");
        store.release(&mine).await.unwrap();
        let until = env.now() + SOON;
        while waits.try_wait().unwrap().is_none() {
            assert!(env.now() < until, "it enters");
            env.sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(waits.wait().unwrap().success());
        eventually(&env, "its end", || async { keys(&member, "x").is_empty() }).await;
    });
    // The control: on another name it runs at once.
    assert!(member.ctl(&["lock", "y", "true"]).is_ok());
}

/// A forced release ends its lock; its command goes on, as always, and we hold the lock.
#[test]
fn force_throws_it_out() {
    let member = Member::start().unwrap();
    let mut naive = lock_for(&member, "x", 10);
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        eventually(&env, "its key", || async { keys(&member, "x").len() == 1 }).await;
        let evicted = store.force_release(&crate::fixture::name("x")).await.unwrap();
        assert_eq!(evicted.len(), 1);
        take(&store, &claim(&env, "x", 30)).await;
    });
    assert!(naive.is_running());
}
