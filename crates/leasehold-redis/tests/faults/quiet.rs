//! The short way of a claim and its release, where nobody else is: it is taken, and it is left when it has to be.

use leasehold_core::{Claim, Env, FencingToken, Interest, Queueing, Release, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::redis::Server;

use crate::{
    common,
    fixture::{SOON, at, claim, eventually, run, store},
};

/// Claims that the short way grants are counted by the server: nothing else says `INCR`, but for Redisson's script for all
/// claims, which says `TYPE`.
fn quiet_grants(server: &Server) -> u64 {
    server.calls("incr")
}

/// A store that goes the short way: it has the scripts, and its server has told the time.
async fn warm(server: &Server, env: &Env) -> RedisStore {
    warm_in(server, env, "").await
}

async fn warm_in(server: &Server, env: &Env, dialect: &str) -> RedisStore {
    let store = store(&(at(server) + dialect));
    let first = claim(env, "warm", 30_000);
    granted(&store, &first).await;
    store.release(&first).await.unwrap();
    store
}

async fn granted(store: &RedisStore, claim: &Claim) -> FencingToken {
    match store.claim(claim).await.unwrap() {
        Standing::Granted(grant) => grant.fence.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A hold that the short way has granted. The server's time is asked for with every claim that does not know it.
async fn granted_quietly(
    server: &Server,
    store: &RedisStore,
    env: &Env,
    text: &str,
) -> (Claim, FencingToken) {
    let until = env.now() + SOON;
    loop {
        // Redisson's short claim is for those that may wait.
        let mine = Claim { queueing: Queueing::Barging, ..claim(env, text, 30_000) };
        let (before, types) = (quiet_grants(server), server.calls("type"));
        let token = granted(store, &mine).await;
        if quiet_grants(server) > before && server.calls("type") == types {
            return (mine, token);
        }
        assert!(env.now() < until, "no claim goes the short way");
        store.release(&mine).await.unwrap();
    }
}

fn server_us(server: &Server) -> u64 {
    let time = server.command(&["EVAL", "local t = redis.call('TIME') return t[1] * 1000000 + t[2]", "0"]);
    u64::try_from(time.unwrap().int().unwrap()).unwrap()
}

/// FLUSHALL, eviction, or an operator: without its counter no lock is granted by the short way.
#[test]
fn tokens_grow_when_the_counter_is_lost_under_an_open_connection() {
    for (dialect, counter) in
        [("", "leasehold:{orders}:fence"), (" redisson", "redisson_lock_token:{orders}")]
    {
        let server = Server::start().unwrap();
        run(async {
            let env = common::env();
            let store = warm_in(&server, &env, dialect).await;
            for round in 0..10 {
                let (mine, before) = granted_quietly(&server, &store, &env, "orders").await;
                assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
                server.command(&["DEL", counter]).unwrap();
                let clock = server_us(&server);
                let next = claim(&env, "orders", 30_000);
                let token = granted(&store, &next).await;
                assert!(token > before, "{dialect} round {round}: {token} after {before}");
                assert!(token.get() >= clock - FencingToken::SLACK_US, "round {round}: it follows the clock");
                store.release(&next).await.unwrap();
            }
        });
    }
    let server = Server::start().unwrap();
    // The control: a counter by itself begins anew.
    assert_eq!(server.command(&["INCR", "counter"]).unwrap().int(), Some(1));
    server.command(&["DEL", "counter"]).unwrap();
    assert_eq!(server.command(&["INCR", "counter"]).unwrap().int(), Some(1), "the control: a token twice");
}

/// As a replica behind a proxy that lags and takes over: no connection breaks.
#[test]
fn tokens_grow_when_the_counter_goes_back_under_an_open_connection() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let store = warm(&server, &env).await;
        let (mine, before) = granted_quietly(&server, &store, &env, "orders").await;
        store.release(&mine).await.unwrap();
        let hour = 3_600_000_000;
        let old = (before.get() - hour).to_string();
        server.command(&["SET", "leasehold:{orders}:fence", &old]).unwrap();
        let (_, token) = granted_quietly(&server, &store, &env, "orders").await;
        // The time that the server has told is at most a second old, and the steps are of 100 ms.
        assert!(token.get() + 1_100_000 > before.get(), "{token} after {before}");
        server.command(&["SET", "counter", &old]).unwrap();
        let control = server.command(&["INCR", "counter"]).unwrap().int().unwrap();
        assert!((control as u64) + 1_100_000 < before.get(), "the control: a token of an hour ago");
    });
}

#[test]
fn nobody_passes_who_waits_and_every_release_is_heard() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let (holder, waiter, other) =
            (warm(&server, &env).await, warm(&server, &env).await, warm(&server, &env).await);
        let (mine, first) = granted_quietly(&server, &holder, &env, "orders").await;
        let theirs = Claim { queueing: Queueing::Fifo, ..claim(&env, "orders", 30_000) };
        let mut wake = waiter.watch(&theirs.name, Interest::Turn(theirs.id)).await.unwrap();
        assert!(matches!(waiter.claim(&theirs).await.unwrap(), Standing::Waiting(_)));
        assert_eq!(holder.release(&mine).await.unwrap(), Release::Released);
        assert!(env.until(env.now() + SOON, wake.wait()).await.is_some(), "the waiter hears of the release");
        let passing = claim(&env, "orders", 30_000);
        assert!(matches!(other.claim(&passing).await.unwrap(), Standing::Held(_)), "nobody passes it");
        assert!(granted(&waiter, &theirs).await > first);
        waiter.release(&theirs).await.unwrap();
        // The control: by `SET NX` alone anybody passes.
        let passed = server.command(&["SET", "orders", "me", "NX", "PX", "30000"]).unwrap();
        assert_eq!(passed.text(), Some("OK"), "the control");
    });
}

#[test]
fn a_repeated_claim_is_the_same_grant() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let store = warm(&server, &env).await;
        let (mine, token) = granted_quietly(&server, &store, &env, "orders").await;
        // One that does not wait is told by the short way who holds.
        let mine = Claim { queueing: Queueing::No, ..mine };
        assert_eq!(granted(&store, &mine).await, token);
        let counter = server.command(&["GET", "leasehold:{orders}:fence"]).unwrap();
        assert_eq!(counter.text(), Some(&*token.to_string()), "the counter is the token of who holds");
    });
    // The control: whoever sets the key again is kept out by itself.
    assert!(server.command(&["SET", "orders", "me", "NX"]).unwrap().is_nil());
}

/// A waiter leaves nothing behind: the lock is quiet again, as it is not while somebody waits (the control).
#[test]
fn a_lock_is_quiet_again_when_the_last_waiter_is_gone() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let (store, other) = (warm(&server, &env).await, warm(&server, &env).await);
        let (mine, _) = granted_quietly(&server, &store, &env, "orders").await;
        let theirs = Claim { queueing: Queueing::Barging, ..claim(&env, "orders", 30_000) };
        assert!(matches!(other.claim(&theirs).await.unwrap(), Standing::Waiting(_)));
        let meta = server.command(&["EXISTS", "leasehold:{orders}:meta"]).unwrap();
        assert_eq!(meta.int(), Some(1), "the control: it is not quiet while somebody waits");
        assert_eq!(other.release(&theirs).await.unwrap(), Release::Released);
        assert!(server.command(&["GET", "leasehold:{orders}:meta"]).unwrap().is_nil());
        store.release(&mine).await.unwrap();
        eventually(&env, "a claim by the short way", async || {
            let (next, before) = (claim(&env, "orders", 30_000), quiet_grants(&server));
            granted(&store, &next).await;
            store.release(&next).await.unwrap();
            quiet_grants(&server) > before
        })
        .await;
    });
}
