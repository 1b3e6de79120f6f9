//! Round trips are exact, so they are counted: by the server and by a proxy in front of it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Busy, Claim, Engine, Interest, LockOptions, Mode, Standing, Store, Wait};
use leasehold_testkit::{proxy::Proxy, redis::Server};

use crate::{
    common,
    fixture::{claim, engine, lock, name, run, store, try_lock, ttl},
};

#[test]
fn lock_and_unlock_are_one_round_trip_each_and_a_busy_try_names_the_holder_in_one() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let words = format!("single={}", proxy.port());
    run(async {
        let (one, two) = (engine(&words), engine(&words));
        let terms = LockOptions { note: Some("{\"host\":\"here\"}".into()), ..ttl(30_000) };
        // The first one connects and brings the scripts.
        for engine in [&one, &two] {
            lock(engine, "warm", &terms).await.release().await.unwrap();
        }
        server.reset_stats().unwrap();
        proxy.reset_counters();
        let hold = lock(&one, "x", &terms).await;
        assert_eq!((proxy.round_trips(), server.calls("evalsha")), (1, 1), "to lock");
        let seen: Arc<std::sync::Mutex<Vec<Busy>>> = Arc::default();
        let busy = seen.clone();
        let observer: leasehold_core::engine::Observer =
            Arc::new(move |it: &Busy| busy.lock().unwrap().push(it.clone()));
        let refused = two.acquire(&name("x"), Mode::Exclusive, &terms, Wait::No, Some(&observer)).await;
        assert!(refused.unwrap().is_none());
        assert_eq!((proxy.round_trips(), server.calls("evalsha")), (2, 2), "to find it busy");
        let holder = seen.lock().unwrap()[0].holder.clone().unwrap();
        assert_eq!(holder.note.as_deref(), Some("{\"host\":\"here\"}"));
        assert!(holder.expires_in.unwrap() <= terms.ttl);
        hold.release().await.unwrap();
        assert_eq!((proxy.round_trips(), server.calls("evalsha")), (3, 3), "to unlock");
    });
}

#[test]
fn a_plain_lock_is_one_command_to_lock_and_one_to_unlock() {
    let server = Server::start().unwrap();
    run(async {
        let (engine, terms) = (engine(&format!("single={} plain", server.port())), ttl(30_000));
        // The first one connects, brings the script, and asks for the server's commands.
        lock(&engine, "x", &terms).await.release().await.unwrap();
        server.reset_stats().unwrap();
        for _ in 0..5 {
            lock(&engine, "x", &terms).await.release().await.unwrap();
        }
        let calls = ["set", "evalsha", "pttl"].map(|command| server.calls(command));
        assert_eq!(calls, [5, 5, 0], "whoever finds the lock taken asks for its holder, and nobody else");
    });
}

/// Nobody is expected where nobody was: the first who has to wait asks twice, and so does the release that it waits for.
#[test]
fn the_first_contention_costs_one_round_trip_more_and_the_next_none() {
    let server = Server::start().unwrap();
    let proxies = [Proxy::to(&server.address()).unwrap(), Proxy::to(&server.address()).unwrap()];
    run(async {
        let env = common::env();
        let [holder, waiter] = proxies.each_ref().map(|proxy| store(&format!("single={}", proxy.port())));
        let trips = || {
            let counts = proxies.each_ref().map(Proxy::round_trips);
            proxies.iter().for_each(Proxy::reset_counters);
            counts
        };
        for (store, text) in [(&holder, "one"), (&waiter, "two"), (&holder, "three"), (&waiter, "four")] {
            assert!(matches!(store.claim(&claim(&env, text, 30_000)).await.unwrap(), Standing::Granted(_)));
        }
        trips();
        for expected in [[1 + 2, 2], [1 + 1, 1]] {
            let mine = claim(&env, "x", 30_000);
            assert!(matches!(holder.claim(&mine).await.unwrap(), Standing::Granted(_)));
            let theirs = Claim { queueing: leasehold_core::Queueing::Barging, ..claim(&env, "x", 30_000) };
            assert!(matches!(waiter.claim(&theirs).await.unwrap(), Standing::Waiting(_)));
            holder.release(&mine).await.unwrap();
            assert_eq!(trips(), expected, "to lock and to unlock, and to wait");
            waiter.release(&theirs).await.unwrap();
            trips();
        }
    });
}

#[test]
fn a_thousand_locks_are_renewed_in_ten_calls() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("single={}", server.port())));
        let terms = ttl(3_000);
        // Asked for together, and so due together: a renewal is due a third of the ttl after its claim was sent.
        let names: Vec<String> = (0..1000).map(|at| format!("lock {at}")).collect();
        let asked = env.now();
        let holds = join_all(names.iter().map(|name| lock(&engine, name, &terms))).await;
        let apart = env.now().since(asked);
        // One third after the last grant all are due; two rounds end in twice that.
        let renewed = || {
            let last = holds.last().unwrap().lease();
            last.remaining() > terms.ttl - Duration::from_millis(500) && last.age() > terms.ttl / 3
        };
        let before = server.calls("evalsha");
        let begin = env.now();
        crate::fixture::eventually(&env, "a renewal of the last", || async { renewed() }).await;
        let (calls, rounds) =
            (server.calls("evalsha") - before, 1 + env.now().since(begin).as_millis() / 1000);
        // The watchdog takes at most 256 at a time, and those that are due within 50 ms: each of its batches may end with
        // a call that is not full.
        let batches = 1000 / 256 + 1 + apart.as_millis() / 50;
        assert!(
            u128::from(calls) <= (10 + batches) * rounds,
            "{calls} calls for 1000 locks, asked for within {apart:?}, in {rounds} rounds"
        );
        assert!(holds.iter().all(|hold| hold.lease().check().is_ok()));
    });
}

#[test]
fn a_hand_over_is_a_push_and_one_round_trip() {
    let server = Server::start().unwrap();
    let words = format!("single={}", server.port());
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, holder, waiter) =
            (common::env(), store(&words), store(&format!("single={}", proxy.port())));
        let mine = claim(&env, "x", 30_000);
        assert!(matches!(holder.claim(&mine).await.unwrap(), Standing::Granted(_)));
        let mut theirs = claim(&env, "x", 30_000);
        theirs.queueing = leasehold_core::Queueing::Barging;
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

/// However many wait, a release rings for one and its script does the same work.
#[test]
fn the_work_of_a_hand_over_does_not_depend_on_how_many_wait() {
    let server = Server::start().unwrap();
    let words = format!("single={}", server.port());
    run(async {
        let mut work = Vec::new();
        for waiters in [2u32, 500] {
            let (env, store, text) = (common::env(), store(&words), format!("with {waiters}"));
            let holder = claim(&env, &text, 60_000);
            assert!(matches!(store.claim(&holder).await.unwrap(), Standing::Granted(_)));
            for _ in 0..waiters {
                let mut waiter = claim(&env, &text, 60_000);
                waiter.queueing = leasehold_core::Queueing::Fifo;
                drop(store.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap());
                assert!(matches!(store.claim(&waiter).await.unwrap(), Standing::Waiting(_)));
            }
            server.reset_stats().unwrap();
            store.release(&holder).await.unwrap();
            let commands = server.info("commandstats");
            let calls = |line: &String| {
                line.split(',').next().and_then(|it| it.strip_prefix("calls=")?.parse::<u64>().ok())
            };
            work.push(commands.values().filter_map(calls).sum::<u64>());
        }
        // The server counts each command of a script.
        assert!(work[1] <= work[0] + 2, "{work:?} commands");
    });
}

#[test]
fn many_tasks_of_one_client_share_two_connections_and_one_for_wake_ups() {
    let server = Server::start().unwrap();
    run(async {
        let engine: Engine = engine(&format!("single={}", server.port()));
        let terms = ttl(30_000);
        let tasks: Vec<_> = (0..200)
            .map(|at| {
                let (engine, terms) = (engine.clone(), terms.clone());
                tokio::spawn(async move {
                    let hold = lock(&engine, &format!("lock {}", at % 10), &terms).await;
                    hold.release().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let clients = server.command(&["CLIENT", "LIST"]).unwrap();
        // One of them asks this question.
        let count = clients.text().unwrap_or_default().lines().count() - 1;
        assert!(count <= 3, "{count} connections: {clients:?}");
        assert!(try_lock(&engine, "lock 1", &terms).await.unwrap().is_some());
    });
}
