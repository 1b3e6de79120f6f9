//! Members that hang, refuse for a while, or lose their office, and a cluster without room: a wait goes on.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Claim, Engine, ErrorKind, Interest, LockOptions, Mode, Outcome, Release, Renewal, Store, Wait,
};
use leasehold_testkit::{
    etcd::{Cluster, Member},
    proxy::Proxy,
};

use crate::{
    common,
    fixture::{
        SOON, at, claim, engine, eventually, fifo, keys, lock, name, port, queue_up, run, store, store_with,
        take, ttl,
    },
    naive::{self, Watcher, etcdctl},
    refusing::Refusing,
};

/// The member of a waiter is stopped, and the release happens elsewhere. The waiter would ask again after minutes: that
/// its watch says nothing makes it look for another member, for itself and for those behind it.
#[test]
fn a_watch_whose_member_hangs_is_asked_elsewhere() {
    let cluster = Cluster::start().unwrap();
    run(async {
        let env = common::env();
        let holder = store(&common::at([cluster.member(1), cluster.member(2)]));
        let held = claim(&env, "orders", 600);
        take(&holder, &held).await;
        // The first that is named is the one that it is connected to.
        let waiting = |words: &str| {
            let store = store_with(words, |options| options.timeout = Duration::from_secs(1));
            let engine = Engine::new(Arc::new(store), common::env());
            let terms = LockOptions { fair: true, ..ttl(600) };
            tokio::spawn(async move { lock(&engine, "orders", &terms).await })
        };
        let first = waiting(&common::at(cluster.members()));
        eventually(&env, "a waiter", || async { keys(cluster.member(1), "orders").len() == 2 }).await;
        let behind = waiting(&common::at([cluster.member(2), cluster.member(1)]));
        eventually(&env, "two waiters", || async { keys(cluster.member(1), "orders").len() == 3 }).await;
        assert!(naive::take(cluster.member(1), "naive", "them"));
        let mut naive = Watcher::of(&cluster.member(0).address(), "naive/them", None);
        cluster.member(0).pause().unwrap();
        // It may have led the others.
        eventually(&env, "a release", || async { holder.release(&held).await.is_ok() }).await;
        let hold = env.until(env.now() + SOON, first).await.expect("long before it asks again").unwrap();
        hold.release().await.unwrap();
        let hold = env.until(env.now() + SOON, behind).await.expect("nor does the next one wait").unwrap();
        hold.release().await.unwrap();
        cluster.member(1).ctl(&["del", "naive/them"]).unwrap();
        assert!(naive.is_silent(), "the control: the lock is free, and its watch does not say so");
        cluster.member(0).resume().unwrap();
    });
}

/// A cluster that is behind refuses requests for a while: a wait outlasts that, and a single attempt says that it passes.
#[test]
fn too_many_requests_are_waited_for() {
    let (member, busy) = (Member::start().unwrap(), Refusing::with("8", "etcdserver: too many requests"));
    let proxy = Proxy::to(&busy.address()).unwrap();
    run(async {
        let (env, words) = (common::env(), port(proxy.port()));
        let error = store(&words).claim(&claim(&env, "orders", 30)).await.unwrap_err();
        assert!(error.is_transient() && error.outcome() == Outcome::NotApplied, "{error:?}");
        let waiting = tokio::spawn(async move { lock(&engine(&words), "orders", &ttl(30)).await });
        // More often than a claim that does not wait is repeated.
        let before = busy.refused();
        eventually(&env, "refusals", || async { busy.refused() >= before + 5 }).await;
        proxy.retarget(&member.address()).unwrap();
        proxy.reset_all();
        let hold = env.until(env.now() + SOON, waiting).await.expect("it is served").unwrap();
        hold.release().await.unwrap();
    });
    let naive = etcdctl(&busy.address(), &["put", "naive", "me"]).output().unwrap();
    let said = String::from_utf8_lossy(&naive.stderr);
    assert!(!naive.status.success() && said.contains("too many requests"), "the control gives up: {said}");
}

/// A right that was taken away ends the renewal of its own lock, and of no other in the same batch.
#[test]
fn a_forbidden_key_fails_alone_in_its_batch() {
    let member = Member::start().unwrap();
    for words in [
        &["user", "add", "root:pw"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "some"],
        &["role", "grant-permission", "some", "readwrite", "a/", "a0"],
        &["role", "grant-permission", "some", "readwrite", "b/", "b0"],
        &["role", "grant-permission", "some", "readwrite", "%", "&"],
        &["user", "add", "locks:pw"],
        &["user", "grant-role", "locks", "some"],
        &["auth", "enable"],
    ] {
        member.ctl(words).unwrap();
    }
    run(async {
        let (env, store) = (common::env(), store(&format!("{} login=locks", at(&member))));
        let (allowed, forbidden) = (claim(&env, "a", 600), claim(&env, "b", 600));
        take(&store, &allowed).await;
        take(&store, &forbidden).await;
        member.ctl(&["--user=root:pw", "role", "revoke-permission", "some", "b/", "b0"]).unwrap();
        for batch in [[&allowed, &forbidden], [&forbidden, &allowed]] {
            let answers = store.renew(&batch.map(Claim::clone)).await;
            for (claim, answer) in batch.into_iter().zip(answers) {
                match answer {
                    Ok(renewal) => {
                        assert!(claim.id == allowed.id && matches!(renewal, Renewal::Renewed { .. }))
                    }
                    Err(error) => assert_eq!((claim.id, error.kind()), (forbidden.id, ErrorKind::Rejected)),
                }
            }
        }
    });
    let reads = |first: &str, end: &str| member.ctl(&["--user=locks:pw", "get", first, end]).is_ok();
    assert!(
        reads("a/", "a0") && !reads("a/", "b0"),
        "the control: it asks for both at once, and gets neither"
    );
}

/// The leader hands over its office under a holder and a waiter that are connected to it alone, and is then removed from
/// the cluster: they lose nothing, the second time by the other members.
#[test]
fn a_leader_that_steps_down_costs_no_lock() {
    let cluster = Cluster::start().unwrap();
    let leader = cluster.leader().unwrap();
    let ids = cluster.member(leader).ctl(&["endpoint", "status", "--cluster", "--write-out=json"]).unwrap();
    let id_of = |at: usize| {
        let port = cluster.member(at).port().to_string();
        let of = ids.split("\"Endpoint\":").find(|part| part.contains(&port)).unwrap();
        let id = of.split("\"member_id\":").nth(1).unwrap().split(',').next().unwrap();
        format!("{:x}", id.parse::<u64>().unwrap())
    };
    run(async {
        let env = common::env();
        let order = [leader, (leader + 1) % 3, (leader + 2) % 3].map(|at| cluster.member(at));
        let (one, words) = (engine(&common::at(order)), common::at(order));
        let hold = lock(&one, "orders", &ttl(20)).await;
        let waiting = tokio::spawn(async move { lock(&engine(&words), "orders", &ttl(20)).await });
        eventually(&env, "a waiter", || async { keys(order[0], "orders").len() == 2 }).await;
        let naive = store(&at(order[0]));
        take(&naive, &claim(&env, "naive", 20)).await;
        order[0].ctl(&["move-leader", &id_of((leader + 1) % 3)]).unwrap();
        hold.confirm().await.unwrap();
        let removed = || async { order[1].ctl(&["member", "remove", &id_of(leader)]).is_ok() };
        eventually(&env, "its removal", removed).await;
        let confirmed = || async { hold.confirm().await.is_ok() };
        eventually(&env, "an answer of another member", confirmed).await;
        hold.release().await.unwrap();
        let next = env.until(env.now() + SOON, waiting).await.expect("it is served").unwrap();
        next.release().await.unwrap();
        let error = naive.claim(&claim(&env, "other", 20)).await.unwrap_err();
        assert!(error.is_transient(), "the control: a client of that member alone is lost: {error:?}");
    });
}

/// With an alarm about its space, the cluster takes no new keys: what is held is renewed, checked and released, whatever
/// its mode, and a waiter waits until there is room.
#[test]
fn a_full_cluster_keeps_what_it_has_and_waiters_wait() {
    let member = Member::builder().arg("--quota-backend-bytes=4194304").start().unwrap();
    run(async {
        let (env, store, engine) = (common::env(), store(&at(&member)), engine(&at(&member)));
        let of = |text, mode| Claim { mode, ..claim(&env, text, 600) };
        let held = [
            claim(&env, "plain", 600),
            of("shared", Mode::Shared),
            of("permits", Mode::Permits { take: 2, of: 5 }),
            Claim { lock_delay: Duration::from_secs(600), ..claim(&env, "delay", 600) },
        ];
        for claim in &held {
            take(&store, claim).await;
        }
        let hold = lock(&engine, "orders", &ttl(20)).await;
        let waiter = fifo(&env, "plain", 600);
        queue_up(&store, &waiter).await;
        let mut wake = store.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap();
        let lump = "x".repeat(100_000);
        while member.ctl(&["put", "lump", &lump]).is_ok() {}
        let waiting = tokio::spawn({
            let engine = engine.clone();
            async move { engine.acquire(&name("new"), Mode::Exclusive, &ttl(30), Wait::For(SOON * 2), None).await }
        });
        assert!(store.renew(&held).await.iter().all(|it| matches!(it, Ok(Renewal::Renewed { .. }))));
        hold.confirm().await.unwrap();
        for claim in &held {
            assert_eq!(store.release(claim).await.unwrap(), Release::Released, "{}", claim.name);
        }
        hold.release().await.unwrap();
        // A place is told of its turn, and has to wait for room before it is one that holds.
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        assert_eq!(store.claim(&waiter).await.unwrap_err().kind(), ErrorKind::Exhausted);
        let lost = member.ctl(&["lock", "naive", "true"]).unwrap_err();
        assert!(lost.to_string().contains("database space exceeded"), "the control gives up: {lost}");
        assert!(!waiting.is_finished(), "it waits for room");
        let shown = member.ctl(&["get", "--write-out=fields", "lump"]).unwrap();
        let revision =
            shown.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).unwrap().trim().to_string();
        for words in [&["compaction", &revision][..], &["defrag"], &["alarm", "disarm"]] {
            member.ctl(words).unwrap();
        }
        let hold = env.until(env.now() + SOON, waiting).await.expect("there is room").unwrap().unwrap();
        hold.expect("it waited").release().await.unwrap();
        take(&store, &waiter).await;
    });
}
