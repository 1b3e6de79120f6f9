//! Servers that stop, forget, kick out, or come back empty.

use std::time::Duration;

use leasehold_core::{Fencing, Interest, LockOptions, LostReason, Queueing, Standing, Store};
use leasehold_testkit::redis::Server;

use crate::{
    common,
    fixture::{
        LATE, Naive, SOON, at, claim, engine, eventually, holder, lock, loss, name, run, store, try_lock, ttl,
    },
};

/// S9. The server sleeps past the time to live and wakes: the holder knew in time, and what was queued in the meantime
/// makes no hold that nobody has.
#[test]
fn a_server_that_sleeps_past_the_ttl() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(1_000)).await;
        server.pause().unwrap();
        let deadline = hold.lease().deadline();
        loss(&env, &hold).await;
        assert!(env.now() < deadline + LATE);
        let terms = LockOptions { retry_timeout: Duration::from_millis(300), ..ttl(1_000) };
        assert!(try_lock(&engine, "other", &terms).await.is_err(), "nobody answers");
        server.resume().unwrap();
        eventually(&env, "no ghost of the claim that was given up", || async {
            try_lock(&engine, "other", &terms).await.is_ok_and(|hold| hold.is_some())
        })
        .await;
    });
    // The control: a naive client sends its SET into the sleeping server and gives up; the server carries it out later.
    server.pause().unwrap();
    let mut naive = Naive::at(&server.address());
    naive.ask("ghost", "me", 30_000);
    assert!(!naive.hears(Duration::from_millis(100)));
    drop(naive);
    server.resume().unwrap();
    assert!(
        leasehold_testkit::wait::until(SOON, || holder(&server, "ghost").is_some()),
        "the control: a ghost"
    );
}

/// S6. Forgotten scripts are brought again, also in front of `WAIT`.
#[test]
fn forgotten_scripts_are_loaded_again() {
    let server = Server::start().unwrap();
    run(async {
        for words in [at(&server), format!("{} plain", at(&server))] {
            let engine = engine(&words);
            let hold = lock(&engine, "orders", &ttl(30_000)).await;
            server.command(&["SCRIPT", "FLUSH"]).unwrap();
            hold.confirm().await.unwrap();
            server.command(&["SCRIPT", "FLUSH"]).unwrap();
            hold.release().await.unwrap();
            server.command(&["SCRIPT", "FLUSH"]).unwrap();
            lock(&engine, "orders", &ttl(30_000)).await.release().await.unwrap();
        }
    });
    // The control: EVALSHA alone is an error after a flush.
    let reply = server.command(&["EVALSHA", "0123456789abcdef0123456789abcdef01234567", "0"]).unwrap();
    assert!(reply.error().is_some_and(|error| error.starts_with("NOSCRIPT")));
}

/// N12. Whatever kind of connection is killed, the waiter gets the lock soon after the release.
#[test]
fn killed_connections_cost_a_question_and_no_wait() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        for resp in ["", " resp2"] {
            for kind in ["normal", "pubsub"] {
                let words = format!("{}{resp}", at(&server));
                let (one, two) = (engine(&words), engine(&words));
                let text = format!("orders {resp} {kind}");
                // The time to live, after which the waiter would come by itself, is far longer than the test may take.
                let hold = lock(&one, &text, &ttl(300_000)).await;
                let waiter = tokio::spawn({
                    let (two, text) = (two.clone(), text.clone());
                    async move { lock(&two, &text, &ttl(300_000)).await }
                });
                let watched = store(&words);
                eventually(&env, "a waiter", || async {
                    !watched.inspect(&name(&text)).await.unwrap().waiters.is_empty()
                })
                .await;
                server.command(&["CLIENT", "KILL", "TYPE", kind]).unwrap();
                // The watchdog repeats a release that meets the dead connection.
                drop(hold);
                let got = waiter.await;
                assert!(got.is_ok(), "{words}, {kind} connections killed");
            }
        }
    });
}

/// The control of the case above: a message to a connection that was just killed is heard by nobody.
#[test]
fn a_published_message_is_lost_with_its_connection() {
    let server = Server::start().unwrap();
    let mut subscriber = server.connect().unwrap();
    subscriber.call(&["SUBSCRIBE", "x"]).unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    assert_eq!(server.command(&["PUBLISH", "x", "now"]).unwrap().int(), Some(0));
    assert!(subscriber.reply().is_err());
}

#[test]
fn a_paused_server_is_waited_for() {
    let server = Server::start().unwrap();
    run(async {
        let engine = engine(&at(&server));
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        server.command(&["CLIENT", "PAUSE", "300", "ALL"]).unwrap();
        let hold = lock(&engine, "orders", &ttl(30_000)).await;
        assert!(hold.lease().remaining() < Duration::from_millis(29_800), "counted from before the pause");
        hold.release().await.unwrap();
    });
}

/// S11. Taken away by an operator: noticed at the next renewal, a third of the time to live later at most.
#[test]
fn deleted_and_flushed_locks_are_noticed_within_a_third_of_the_ttl() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        for command in [&["DEL", "orders"][..], &["FLUSHALL"], &["SET", "orders", "stranger"]] {
            let hold = lock(&engine, "orders", &ttl(3_000)).await;
            server.command(command).unwrap();
            // The control knows nothing of it: its own variable still says that it holds the lock.
            let took = loss(&env, &hold).await;
            assert!(took < Duration::from_millis(1_000) + LATE, "{command:?}: {took:?}");
            let lost = hold.lease().check().unwrap_err();
            assert_eq!((lost.reason, lost.certain), (LostReason::Gone, true));
            server.command(&["DEL", "orders"]).unwrap();
        }
        // Readers and permits as well: their key is gone.
        let (orders, terms) = (name("orders"), ttl(3_000));
        let shared =
            engine.acquire(&orders, leasehold_core::Mode::Shared, &terms, leasehold_core::Wait::No, None);
        let hold = shared.await.unwrap().unwrap();
        server.command(&["DEL", "orders"]).unwrap();
        assert!(loss(&env, &hold).await < Duration::from_millis(1_000) + LATE);
    });
}

/// S4. It comes back without its memory: noticed at once, by the new connection; tokens grow on.
#[test]
fn a_restart_without_memory_is_noticed_at_once_and_tokens_grow() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let first = lock(&engine, "orders", &ttl(30_000)).await;
        let token = first.lease().fencing_token().unwrap();
        server.kill();
        server.restart().unwrap();
        // The server is empty: the next client is let in beside the first, as the naive client is.
        let second = lock(&crate::fixture::engine(&at(&server)), "orders", &ttl(30_000)).await;
        assert!(first.lease().check().is_ok(), "two valid guards: the violation that SAFETY.md lists");
        assert!(
            second.lease().fencing_token().unwrap() > token,
            "a resource that checks tokens refuses the first"
        );
        // Anything that the first client does tells it, long before its renewal.
        lock(&engine, "another", &ttl(30_000)).await.release().await.unwrap();
        assert!(loss(&env, &first).await < Duration::from_secs(3));
        assert!(second.lease().check().is_ok());
        assert_eq!(engine.store().capability().fencing, Fencing::Durable);
    });
}

/// A waiter whose client is dead does not keep the next one waiting for its time to live.
#[test]
fn a_dead_waiter_is_passed_over_within_two_seconds() {
    let server = Server::start().unwrap();
    run(async {
        let (env, words) = (common::env(), at(&server));
        let (holder, dead, alive) = (store(&words), store(&words), store(&words));
        let mine = claim(&env, "orders", 300_000);
        holder.claim(&mine).await.unwrap();
        let fifo = || {
            let mut claim = claim(&env, "orders", 300_000);
            claim.queueing = Queueing::Fifo;
            claim
        };
        let (first, second) = (fifo(), fifo());
        let wake = dead.watch(&first.name, Interest::Turn(first.id)).await.unwrap();
        assert!(matches!(dead.claim(&first).await.unwrap(), Standing::Waiting(_)));
        let waiter = tokio::spawn({
            let (env, alive, second) = (env.clone(), alive.clone(), second.clone());
            async move {
                let mut wake = alive.watch(&second.name, Interest::Turn(second.id)).await.unwrap();
                while let Standing::Waiting(busy) = alive.claim(&second).await.unwrap() {
                    env.until(env.now() + busy.recheck_in, wake.wait()).await;
                }
            }
        });
        eventually(&env, "two waiters", || async {
            holder.inspect(&mine.name).await.unwrap().waiters.len() == 2
        })
        .await;
        dead.close().await.unwrap();
        drop((wake, dead));
        eventually(&env, "a closed subscription", || async {
            server.command(&["PUBSUB", "CHANNELS", "leasehold:inbox:*"]).unwrap().items().len() == 1
        })
        .await;
        let begin = env.now();
        holder.release(&mine).await.unwrap();
        env.until(begin + Duration::from_secs(2), waiter).await.expect("in two seconds").unwrap();
        // The control: without the count of those who hear, the place would have been kept for its time to live.
        assert!(first.ttl > Duration::from_secs(2));
    });
}
