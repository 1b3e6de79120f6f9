//! Go's `concurrency.Mutex`.

use std::time::Duration;

use leasehold_core::{Claim, Mode, Queueing, Release, Standing, Store};
use leasehold_testkit::{etcd::Member, peer::Peer};

use crate::{
    common,
    fixture::{SOON, at, claim, engine, eventually, keys, lock, queue_up, run, store, take, try_lock, ttl},
    install::{self, etcd_go},
};

/// A case on a member of its own, with a peer.
fn with_go<F: Future<Output = ()>>(case: impl FnOnce(Member, Peer) -> F) {
    // Before the clock starts: the first one builds it.
    let program = etcd_go();
    let member = Member::start().unwrap();
    run(async {
        let peer = install::start(&program, &member).await;
        case(member, peer).await;
    });
}

const MODES: [Mode; 2] = [Mode::Exclusive, Mode::Shared];

/// While it holds, no claim of ours is granted, and `inspect` shows a holder.
#[test]
fn its_lock_keeps_us_out() {
    with_go(|member, mut peer| async move {
        let (env, store) = (common::env(), store(&at(&member)));
        for (mode, text) in MODES.into_iter().zip(["one", "two"]) {
            peer.expect(&format!("lock {text} 60000"), "granted").await;
            let mine = Claim { mode, ..claim(&env, text, 30) };
            let Standing::Held(busy) = store.claim(&mine).await.unwrap() else { panic!("it holds the lock") };
            assert_eq!(busy.holder.unwrap().mode, None, "a foreign holder");
            let snapshot = store.inspect(&mine.name).await.unwrap();
            assert!(snapshot.holders.len() == 1 && snapshot.holders[0].fence.is_some(), "{snapshot:?}");
            assert_eq!(store.list(text, 9).await.unwrap().len(), 1);
            // Control: a client that does not see its key has the lock.
            take(&store, &claim(&env, &format!("{text} blind"), 30)).await;
            peer.expect(&format!("unlock {text}"), "released").await;
            take(&store, &mine).await;
        }
    });
}

/// Its release wakes us.
#[test]
fn its_release_lets_us_in() {
    with_go(|member, mut peer| async move {
        let (env, engine) = (common::env(), engine(&at(&member)));
        peer.expect("lock x 60000", "granted").await;
        let terms = ttl(60);
        let waiting = async { lock(&engine, "x", &terms).await };
        let releasing = async {
            eventually(&env, "a waiter", || async { keys(&member, "x").len() == 2 }).await;
            let sent = env.now();
            peer.expect("unlock x", "released").await;
            sent
        };
        let (hold, sent) = tokio::join!(waiting, releasing);
        // It would have asked again by itself after a third of a minute.
        assert!(env.now().since(sent) < SOON, "{:?}", env.now().since(sent));
        assert!(hold.lease().check().is_ok());
    });
}

/// While we hold, in whatever mode, and while we wait before it, it is kept out; then it enters.
#[test]
fn our_lock_keeps_it_out_and_our_release_lets_it_in() {
    with_go(|member, mut peer| async move {
        let (env, store) = (common::env(), store(&at(&member)));
        for (mode, text) in MODES.into_iter().zip(["one", "two"]) {
            let mine = Claim { mode, ..claim(&env, text, 60) };
            take(&store, &mine).await;
            peer.expect(&format!("lock {text} 60000"), "busy").await;
            peer.send(&format!("wait {text} 60000 {}", SOON.as_millis()));
            eventually(&env, "its place", || async { keys(&member, text).len() == 2 }).await;
            // Behind it in the queue, also a reader that would share with us.
            let late = Claim { mode, queueing: Queueing::Fifo, ..claim(&env, text, 60) };
            queue_up(&store, &late).await;
            assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
            assert_eq!(peer.answer().await, "granted");
            queue_up(&store, &late).await;
            peer.expect(&format!("unlock {text}"), "released").await;
            take(&store, &late).await;
        }
    });
}

/// kill -9: its lease ends, and so does ours.
#[test]
fn the_lock_of_a_killed_client_passes_on() {
    with_go(|member, mut peer| async move {
        let engine = engine(&at(&member));
        peer.expect("lock x 2000", "granted").await;
        assert!(try_lock(&engine, "x", &ttl(9)).await.unwrap().is_none());
        peer.kill();
        assert!(lock(&engine, "x", &ttl(9)).await.lease().check().is_ok());
    });
    with_go(|member, mut peer| async move {
        let (env, store) = (common::env(), store(&at(&member)));
        let mine = claim(&env, "x", 2);
        let sent = env.now();
        take(&store, &mine).await;
        // It is not renewed.
        peer.expect("wait x 60000 14000", "granted").await;
        assert!(env.now().since(sent) >= Duration::from_millis(1_960), "not before its time");
        assert_eq!(store.release(&mine).await.unwrap(), Release::NotHeld);
        peer.expect("unlock x", "released").await;
    });
}

/// A lock-delay keeps it out as well: what stays is a key that it waits for.
#[test]
fn our_lock_delay_keeps_it_out() {
    with_go(|member, mut peer| async move {
        let (env, store) = (common::env(), store(&at(&member)));
        let delayed = |text| Claim { lock_delay: Duration::from_secs(3), ..claim(&env, text, 2) };
        let (bad, good) = (delayed("bad"), delayed("good"));
        let sent = env.now();
        take(&store, &bad).await;
        peer.expect("wait bad 60000 14000", "granted").await;
        assert!(env.now().since(sent) >= Duration::from_millis(4_900), "{:?}", env.now().since(sent));
        take(&store, &good).await;
        peer.expect("lock good 60000", "busy").await;
        store.release(&good).await.unwrap();
        peer.expect("lock good 60000", "granted").await;
    });
}

/// Tokens of both grow together: each is the revision that made its key.
#[test]
fn tokens_of_both_grow_together() {
    with_go(|member, mut peer| async move {
        let (env, store) = (common::env(), store(&at(&member)));
        let mut last = 0;
        for turn in 0..6 {
            if turn % 2 == 0 {
                peer.expect("lock x 60000", "granted").await;
            } else {
                take(&store, &claim(&env, "x", 60)).await;
            }
            let name = crate::fixture::name("x");
            let token = store.inspect(&name).await.unwrap().holders[0].fence.unwrap().get();
            assert!(token > last, "{token} after {last}");
            last = token;
            if turn % 2 == 0 {
                peer.expect("unlock x", "released").await;
            } else {
                store.force_release(&name).await.unwrap();
            }
        }
    });
}

/// Many of both on one counter that is read, changed a little later, and written back.
#[test]
fn crowds_of_both_lose_no_increment() {
    let program = etcd_go();
    let member = Member::start().unwrap();
    let counter = std::sync::atomic::AtomicU32::new(0);
    let step = |env: leasehold_core::Env| {
        let counter = &counter;
        async move {
            let seen = counter.load(std::sync::atomic::Ordering::SeqCst);
            env.sleep(Duration::from_millis(3)).await;
            counter.store(seen + 1, std::sync::atomic::Ordering::SeqCst);
        }
    };
    run(async {
        let env = common::env();
        let mut peers = Vec::new();
        for _ in 0..2 {
            peers.push(install::start(&program, &member).await);
        }
        let engines = [engine(&at(&member)), engine(&at(&member))];
        let theirs = peers.iter_mut().map(|peer| {
            let env = env.clone();
            async move {
                for _ in 0..10 {
                    peer.expect("wait x 60000 40000", "granted").await;
                    step(env.clone()).await;
                    peer.expect("unlock x", "released").await;
                }
            }
        });
        let ours = engines.iter().map(|engine| {
            let env = env.clone();
            async move {
                for _ in 0..10 {
                    let hold = lock(engine, "x", &ttl(60)).await;
                    step(env.clone()).await;
                    hold.release().await.unwrap();
                }
            }
        });
        let (theirs, ours) = (futures_util::future::join_all(theirs), futures_util::future::join_all(ours));
        tokio::join!(theirs, ours);
    });
    assert_eq!(counter.into_inner(), 40);
}
