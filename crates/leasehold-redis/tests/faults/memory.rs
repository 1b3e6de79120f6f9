//! Servers that run out of memory.

use std::time::Duration;

use leasehold_core::{ErrorKind, Mode, Outcome, Queueing, Release, Renewal, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::redis::Server;

use crate::{
    common,
    fixture::{LATE, at, claim, engine, eventually, holder, lock, loss, options, run, store, ttl},
};

fn fill(server: &Server, until: impl Fn(usize) -> bool) {
    let (mut connection, value) = (server.connect().unwrap(), "x".repeat(4096));
    for at in 0..4000 {
        // An error reply says that it is full.
        let reply = connection.call(&["SET", &format!("fill {at}"), &value, "PX", "600000"]).unwrap();
        if reply.error().is_some() || until(at) {
            return;
        }
    }
    panic!("4000 keys of 4 KiB do not fill the server");
}

/// S5. The lock is thrown out to make room: the holder is told within a third of its time to live.
#[test]
fn an_evicted_lock_is_noticed() {
    let server =
        Server::builder().arg("maxmemory", "3mb").arg("maxmemory-policy", "allkeys-random").start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(3_000)).await;
        fill(&server, |_| holder(&server, "orders").is_none());
        // The control: the client that locked by SET NX now believes to hold a lock that is free.
        assert_eq!(holder(&server, "orders"), None);
        assert!(loss(&env, &hold).await < Duration::from_millis(1_000) + LATE);
    });
}

/// A server that evicts is warned of, and refused when that is asked for; nothing is written.
#[test]
fn a_server_that_evicts_is_refused_when_strict() {
    let server =
        Server::builder().arg("maxmemory", "100mb").arg("maxmemory-policy", "allkeys-lru").start().unwrap();
    run(async {
        let mut strict = options(&at(&server));
        strict.strict = true;
        let error = RedisStore::open(strict, common::env()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsafe, Outcome::NotApplied), "{error:?}");
        assert!(
            error.to_string().contains("allkeys-lru") && error.hint_text().unwrap().contains("noeviction")
        );
        assert_eq!(server.command(&["DBSIZE"]).unwrap().int(), Some(0));
        RedisStore::open(options(&at(&server)), common::env()).await.unwrap();
    });
}

/// Full and told not to evict: refused, said, and usable again when there is room.
#[test]
fn a_full_server_refuses_and_says_so() {
    let server =
        Server::builder().arg("maxmemory", "3mb").arg("maxmemory-policy", "noeviction").start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let held = claim(&env, "held", 60_000);
        store.claim(&held).await.unwrap();
        fill(&server, |at| at > 100);
        server.command(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
        let error = store.claim(&claim(&env, "orders", 60_000)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied), "{error:?}");
        assert!(error.hint_text().unwrap().contains("maxmemory"));
        server.command(&["CONFIG", "SET", "maxmemory", "100mb"]).unwrap();
        store.claim(&claim(&env, "orders", 60_000)).await.unwrap();
        store.release(&held).await.unwrap();
    });
}

/// Whatever kind of hold it is, it is renewed, examined and given back on a full server; and waiters wait.
#[test]
fn a_full_server_renews_and_releases_and_waiters_wait() {
    let server =
        Server::builder().arg("maxmemory", "3mb").arg("maxmemory-policy", "noeviction").start().unwrap();
    run(async {
        let (env, store, engine) = (common::env(), store(&at(&server)), engine(&at(&server)));
        let mut claims = Vec::new();
        for (text, mode) in [
            ("alone", Mode::Exclusive),
            ("shared", Mode::Shared),
            ("permits", Mode::Permits { take: 1, of: 3 }),
            ("delayed", Mode::Exclusive),
            ("other", Mode::Exclusive),
        ] {
            let mut mine = claim(&env, text, 60_000);
            mine.mode = mode;
            mine.lock_delay = if text == "delayed" { Duration::from_secs(5) } else { Duration::ZERO };
            assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)));
            claims.push(mine);
        }
        let mut queued = claim(&env, "alone", 60_000);
        queued.queueing = Queueing::Fifo;
        assert!(matches!(store.claim(&queued).await.unwrap(), Standing::Waiting(_)));
        fill(&server, |at| at > 100);
        server.command(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
        // The control: a registry of readers whose renewal writes a field.
        let control = server.command(&["HSET", "readers", "me", "1"]).unwrap();
        assert!(control.error().is_some_and(|error| error.starts_with("OOM")), "{control:?}");
        for renewal in store.renew(&claims).await {
            assert!(matches!(renewal, Ok(Renewal::Renewed { .. })), "{renewal:?}");
        }
        // A claim whose reply was lost, and one that has a place: as before.
        assert!(matches!(store.claim(&claims[1]).await.unwrap(), Standing::Granted(_)));
        assert!(matches!(store.claim(&queued).await.unwrap(), Standing::Waiting(_)));
        let asked = server.calls("evalsha");
        let waiter = tokio::spawn(async move { lock(&engine, "alone", &ttl(60_000)).await });
        eventually(&env, "a waiter without a place, who asks again", || async {
            server.calls("evalsha") >= asked + 3
        })
        .await;
        assert!(!waiter.is_finished(), "it waits");
        for mine in claims[1..].iter().chain([&queued]) {
            assert_eq!(store.release(mine).await.unwrap(), Release::Released, "{mine:?}");
        }
        server.command(&["CONFIG", "SET", "maxmemory", "100mb"]).unwrap();
        assert_eq!(store.release(&claims[0]).await.unwrap(), Release::Released);
        waiter.await.unwrap().release().await.unwrap();
    });
}
