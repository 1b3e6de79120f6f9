//! Members that are killed or paused.

use std::time::Duration;

use leasehold_core::{ErrorKind, Store};
use leasehold_testkit::etcd::Cluster;

use crate::{
    common,
    fixture::{SOON, at, claim, engine, eventually, keys, lock, run, store, take, try_lock, ttl},
    naive::lock_for,
};

/// The hold lives on, under the same token; others are kept out meanwhile, and let in when it is released.
#[test]
fn a_killed_leader_costs_no_lock() {
    let cluster = Cluster::start().unwrap();
    run(async {
        let (env, words) = (common::env(), common::at(cluster.members()));
        let (one, two) = (engine(&words), engine(&words));
        let hold = lock(&one, "orders", &ttl(20)).await;
        let leader = cluster.leader().unwrap();
        let naive = store(&at(cluster.member(leader)));
        take(&naive, &claim(&env, "naive", 20)).await;
        cluster.member(leader).kill();
        let elected = || async { (0..3).any(|at| at != leader && cluster.leader() == Ok(at)) };
        eventually(&env, "another leader", elected).await;
        // However long the election took, somebody answers before long, and never that the lock is free.
        eventually(&env, "an answer", || async {
            match try_lock(&two, "orders", &ttl(20)).await {
                Ok(found) => {
                    assert!(found.is_none(), "two holders");
                    true
                }
                Err(_) => false,
            }
        })
        .await;
        assert!(hold.lease().check().is_ok());
        eventually(&env, "a renewal", || async { hold.lease().remaining() > Duration::from_secs(15) }).await;
        hold.release().await.unwrap();
        assert!(lock(&two, "orders", &ttl(20)).await.lease().check().is_ok());
        // The control: a client of one member alone has lost everything with it.
        let error = naive.claim(&claim(&env, "other", 20)).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    });
}

/// Two of three are gone or silent: a clear error in time, the loss of what is held no later than its deadline, and all
/// is well when they are back.
fn without_a_majority(stop: impl Fn(usize), back: impl Fn(usize), cluster: &Cluster) {
    run(async {
        let (env, words) = (common::env(), common::at(cluster.members()));
        let (one, other) = (engine(&words), store(&words));
        let hold = lock(&one, "orders", &ttl(5)).await;
        take(&other, &claim(&env, "warm", 5)).await;
        let mut naive = lock_for(cluster.member(2), "naive", 5);
        eventually(&env, "etcdctl's lock", || async { keys(cluster.member(2), "naive").len() == 1 }).await;
        stop(0);
        stop(1);
        let begin = env.now();
        let mut waiting = lock_for(cluster.member(2), "other", 5);
        let error = other.claim(&claim(&env, "x", 5)).await.unwrap_err();
        let took = env.now().since(begin);
        let kinds = [ErrorKind::NoQuorum, ErrorKind::TimedOut, ErrorKind::Unreachable];
        assert!(kinds.contains(&error.kind()) && error.is_transient(), "{error:?}");
        assert!(error.hint_text().is_some(), "{error:?}");
        assert!(took < SOON, "{took:?}");
        assert!(env.until(env.now() + SOON, hold.lease().lost()).await.is_some(), "the loss is noticed");
        let lost = env.now().since(begin);
        assert!(lost < Duration::from_secs(5) + SOON, "{lost:?}");
        assert!(naive.is_running(), "the control: it goes on with its work, though its time is over");
        assert!(waiting.is_running(), "the control: it waits without an error");
        back(0);
        back(1);
        eventually(&env, "a cluster that serves", || async {
            let mine = claim(&env, "x", 5);
            let is_there = other.claim(&mine).await.is_ok();
            let _ = other.release(&mine).await;
            is_there
        })
        .await;
        assert!(lock(&one, "orders", &ttl(5)).await.lease().check().is_ok());
    });
}

#[test]
fn two_of_three_killed_is_a_clear_error_in_time() {
    let cluster = Cluster::start().unwrap();
    let restart = |at: usize| {
        // The first of two waits for the second.
        if at == 1 {
            std::thread::scope(|scope| {
                for at in 0..2 {
                    let member = cluster.member(at);
                    scope.spawn(move || member.restart().unwrap());
                }
            });
        }
    };
    without_a_majority(|at| cluster.member(at).kill(), restart, &cluster);
}

#[test]
fn two_of_three_paused_is_a_clear_error_in_time() {
    let cluster = Cluster::start().unwrap();
    without_a_majority(
        |at| cluster.member(at).pause().unwrap(),
        |at| cluster.member(at).resume().unwrap(),
        &cluster,
    );
}

/// A member that is paused swallows everything that is sent to it: the next request goes to another.
#[test]
fn a_paused_member_costs_one_request() {
    let cluster = Cluster::start().unwrap();
    run(async {
        let (env, words) = (common::env(), common::at(cluster.members()));
        let store = store(&words);
        let mine = claim(&env, "orders", 20);
        take(&store, &mine).await;
        // The first that is named is the one that it is connected to.
        cluster.member(0).pause().unwrap();
        let mut naive = lock_for(cluster.member(0), "naive", 20);
        let error = store.claim(&claim(&env, "x", 20)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
        eventually(&env, "another member", || async {
            store.renew(std::slice::from_ref(&mine)).await[0].is_ok()
        })
        .await;
        assert!(keys(cluster.member(1), "naive").is_empty(), "the control: it knows of one member");
        assert!(naive.is_running(), "the control: and waits for it");
        cluster.member(0).resume().unwrap();
    });
}
