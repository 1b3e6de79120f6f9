//! Messages that are lost, late, torn or cut off.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use leasehold_core::{ErrorKind, LockOptions, Outcome, Release, Renewal, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    redis::Server,
};

use crate::{
    common,
    fixture::{
        LATE, Naive, SOON, at, claim, engine, engine_with, eventually, holder, holders, lock, loss, options,
        run, store, try_lock, ttl,
    },
};

/// Whether a request runs the script that takes this claim: the name is among its words.
fn about(text: &'static str) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |bytes| {
        let (word, name) = (b"EVALSHA", text.as_bytes());
        bytes.windows(word.len()).any(|it| it == word) && bytes.windows(name.len()).any(|it| it == name)
    }
}

fn behind_a_proxy() -> (Server, Proxy, String) {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let words = format!("single={}", proxy.port());
    (server, proxy, words)
}

/// N1. Nothing below the engine sends it again; the engine asks by the id, and is answered the hold that it has.
#[test]
fn a_lost_reply_to_a_claim_is_cured_by_asking_again() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let engine = engine(&words);
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        server.reset_stats().unwrap();
        let rule = proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        let hold = lock(&engine, "orders", &ttl(30_000)).await;
        assert!(rule.wait_fired(SOON) && server.calls("evalsha") == 2, "sent once, and asked again once");
        assert!(holder(&server, "orders").is_some() && hold.lease().check().is_ok());
        hold.release().await.unwrap();
        assert_eq!(holder(&server, "orders"), None);
    });
    // The naive client took the lock, was not told, asks again, and keeps itself out.
    let rule = proxy.on_request(|bytes| bytes.windows(3).any(|it| it == b"SET"), FaultRule::ForwardThenCut);
    let mut naive = Naive::at(&proxy.address());
    naive.ask("orders", "me", 30_000);
    assert!(rule.wait_fired(SOON) && !naive.hears(SOON));
    assert!(!Naive::at(&proxy.address()).lock("orders", "me", 30_000), "the control: locked out by itself");
}

/// The store alone: an error that says "it may have taken effect", and not one word more sent.
#[test]
fn the_store_never_sends_twice() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&words));
        store.claim(&claim(&env, "warm", 1_000)).await.unwrap();
        server.reset_stats().unwrap();
        proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        let mine = claim(&env, "orders", 30_000);
        let error = store.claim(&mine).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::Unknown), "{error:?}");
        assert_eq!(server.calls("evalsha"), 1);
        assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)));
    });
}

#[test]
fn a_lost_reply_to_a_renewal_is_cured_within_the_lease() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, engine) = (common::env(), engine(&words));
        let hold = lock(&engine, "orders", &ttl(3_000)).await;
        let rule = proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        eventually(&env, "a renewal that is cut off", || async { rule.fired() }).await;
        let age = hold.lease().age();
        eventually(&env, "a renewal that is confirmed", || async {
            hold.lease().age() > age && hold.lease().remaining() > Duration::from_millis(2_500)
        })
        .await;
        assert!(hold.lease().check().is_ok() && holder(&server, "orders").is_some());
    });
}

/// N3. The second release finds nothing of its own, and does not touch who came in between.
#[test]
fn a_lost_reply_to_a_release_touches_no_successor() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, mine, other) = (common::env(), store(&words), store(&at(&server)));
        let first = claim(&env, "orders", 30_000);
        mine.claim(&first).await.unwrap();
        // Of another claim: it brings the script.
        mine.release(&claim(&env, "orders", 30_000)).await.unwrap();
        proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        assert_eq!(mine.release(&first).await.unwrap_err().outcome(), Outcome::Unknown);
        let second = claim(&env, "orders", 30_000);
        assert!(matches!(other.claim(&second).await.unwrap(), Standing::Granted(_)));
        assert_eq!(mine.release(&first).await.unwrap(), Release::NotHeld);
        assert_eq!(holder(&server, "orders"), Some(second.id.to_string()));
    });
    // The naive client deletes again what it believes to be its own.
    assert!(Naive::at(&server.address()).unlock("orders"), "the control: it frees the successor's lock");
}

/// The same in the dialect of one key, and for renewals: the lock is another's by then.
#[test]
fn late_plain_verbs_touch_no_successor() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let words = format!("{} plain", at(&server));
        let (mine, other) = (store(&words), store(&words));
        let (first, second) = (claim(&env, "orders", 30_000), claim(&env, "orders", 30_000));
        assert!(matches!(mine.claim(&first).await.unwrap(), Standing::Granted(_)));
        // As when its time to live is over.
        server.command(&["DEL", "plain:orders"]).unwrap();
        assert!(matches!(other.claim(&second).await.unwrap(), Standing::Granted(_)));
        let renewal = mine.renew(std::slice::from_ref(&first)).await.pop().unwrap();
        assert!(matches!(renewal, Ok(Renewal::Gone(_))), "{renewal:?}");
        assert_eq!(mine.release(&first).await.unwrap(), Release::NotHeld);
        assert_eq!(holders(&other, "orders").await, 1);
        assert_eq!(other.release(&second).await.unwrap(), Release::Released);
        assert!(matches!(other.claim(&second).await.unwrap(), Standing::Granted(_)));
    });
    assert!(Naive::at(&server.address()).unlock("plain:orders"), "the control: DEL asks nobody");
}

/// N2. Delivered after the caller has given up and released: the id is spent, and nobody holds the lock.
#[test]
fn a_claim_that_is_delivered_late_makes_no_ghost() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let env = common::env();
        let engine = engine_with(&words, |options| options.timeout = Duration::from_millis(200));
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        let rule = proxy.on_request(about("orders"), FaultRule::Hold);
        // It is asked again on another connection, granted, and given back.
        let hold = lock(&engine, "orders", &ttl(30_000)).await;
        assert!(rule.wait_fired(SOON));
        hold.release().await.unwrap();
        assert_eq!(holder(&server, "orders"), None);
        let before = server.calls("evalsha");
        rule.release();
        eventually(&env, "the late claim", || async { server.calls("evalsha") > before }).await;
        assert_eq!(holder(&server, "orders"), None, "the late claim found its id spent");
        assert!(try_lock(&engine, "orders", &ttl(30_000)).await.unwrap().is_some());
    });
    // The naive client gave up, and the lock is held by nobody for its whole time to live.
    let rule = proxy.on_request(|bytes| bytes.windows(3).any(|it| it == b"SET"), FaultRule::Hold);
    let mut naive = Naive::at(&proxy.address());
    naive.ask("ghost", "me", 30_000);
    assert!(!naive.hears(Duration::from_millis(200)));
    rule.release();
    assert!(
        leasehold_testkit::wait::until(SOON, || holder(&server, "ghost").is_some()),
        "the control: a ghost"
    );
}

/// N2, where the release is asked for twice: a quorum gives back what it may have got, and then its caller gives the claim up.
#[test]
fn a_claim_that_was_released_twice_makes_no_ghost() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let env = common::env();
        let mut options = options(&words);
        options.timeout = Duration::from_millis(200);
        let mine = RedisStore::new(options, env.clone()).unwrap();
        let warm = claim(&env, "warm", 30_000);
        mine.claim(&warm).await.unwrap();
        mine.release(&warm).await.unwrap();
        let late = claim(&env, "orders", 30_000);
        let rule = proxy.on_request(about("orders"), FaultRule::Hold);
        mine.claim(&late).await.unwrap_err();
        for _ in 0..2 {
            assert_eq!(mine.release(&late).await.unwrap(), Release::NotHeld);
        }
        let before = server.calls("evalsha");
        rule.release();
        eventually(&env, "the late claim", || async { server.calls("evalsha") > before }).await;
        assert_eq!(holder(&server, "orders"), None, "the late claim found its id spent");
    });
    // The control: `SET NX` that comes after two deletions holds for its whole time to live.
    let mut naive = Naive::at(&server.address());
    assert!(!naive.unlock("ghost") && !naive.unlock("ghost"));
    assert!(naive.lock("ghost", "me", 30_000) && holder(&server, "ghost").is_some(), "the control: a ghost");
}

/// N4. A release that is delivered after the lock has gone to another frees nothing.
#[test]
fn a_release_that_is_delivered_late_frees_nothing() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let env = common::env();
        let (mine, other) = (store(&words), store(&at(&server)));
        let first = claim(&env, "orders", 400);
        mine.claim(&first).await.unwrap();
        let rule = proxy.on_request(about("orders"), FaultRule::Hold);
        let release = tokio::spawn({
            let (mine, first) = (mine.clone(), first.clone());
            async move { mine.release(&first).await }
        });
        let second = claim(&env, "orders", 30_000);
        eventually(&env, "a successor", || async {
            matches!(other.claim(&second).await, Ok(Standing::Granted(_)))
        })
        .await;
        rule.release();
        assert!(matches!(release.await.unwrap(), Ok(Release::NotHeld)));
        assert_eq!(holder(&server, "orders"), Some(second.id.to_string()));
    });
    assert!(Naive::at(&server.address()).unlock("orders"), "the control: DEL asks nobody");
}

/// N5, N7. Nothing comes back and no connection breaks: the loss is signalled by the deadline all the same.
#[test]
fn a_half_open_connection_is_noticed_by_the_deadline() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, engine) = (common::env(), engine(&words));
        let hold = lock(&engine, "orders", &ttl(1_000)).await;
        proxy.blackhole();
        let deadline = hold.lease().deadline();
        loss(&env, &hold).await;
        assert!(env.now() < deadline + LATE, "no later than the deadline");
        // The control has set the same time to live and goes on believing; another has the lock.
        eventually(&env, "the end of the hold in the server", || async {
            holder(&server, "orders").is_none()
        })
        .await;
        assert!(Naive::at(&server.address()).lock("orders", "other", 300));
        proxy.pass();
        eventually(&env, "the end of the other's hold", || async { holder(&server, "orders").is_none() })
            .await;
        let hold = lock(&engine, "orders", &ttl(1_000)).await;
        hold.release().await.unwrap();
    });
}

/// N8. Every connection is reset, again and again, while two tasks take turns.
#[test]
fn resets_in_the_middle_of_everything_lose_no_lock_and_no_waiter() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, engine) = (common::env(), engine(&words));
        let stop = tokio::sync::watch::Sender::new(false);
        let breaking = {
            let (env, mut stopped) = (env.clone(), stop.subscribe());
            let cut = move || proxy.reset_all();
            async move {
                while !*stopped.borrow_and_update() {
                    cut();
                    env.sleep(Duration::from_millis(15)).await;
                }
            }
        };
        let breaker = tokio::spawn(breaking);
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let hold = lock(&engine, "orders", &ttl(5_000)).await;
                        drop(hold);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        stop.send_replace(true);
        breaker.await.unwrap();
        let direct = store(&at(&server));
        eventually(&env, "nothing left", || async { holders(&direct, "orders").await == 0 }).await;
    });
}

/// N10. One byte at a time.
#[test]
fn replies_in_pieces_are_read() {
    let (_server, proxy, words) = behind_a_proxy();
    proxy.split(1);
    run(async {
        let engine = engine(&words);
        let hold = lock(&engine, "orders", &ttl(30_000)).await;
        assert!(try_lock(&engine, "orders", &ttl(30_000)).await.unwrap().is_none());
        hold.release().await.unwrap();
    });
    // The control takes what one read gives it for an answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut naive = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut slow, _) = listener.accept().unwrap();
    let mut answer = [0; 64];
    slow.write_all(b"+").unwrap();
    assert_eq!(
        naive.read(&mut answer).unwrap(),
        1,
        "the control: one byte of an answer that has not come yet"
    );
}

/// N9. A slow network shortens the lease and breaks nothing.
#[test]
fn a_slow_network_takes_its_time_off_the_lease() {
    let (_server, proxy, words) = behind_a_proxy();
    run(async {
        let engine = engine(&words);
        lock(&engine, "warm", &ttl(3_000)).await.release().await.unwrap();
        proxy.delay(Duration::from_millis(100));
        let hold = lock(&engine, "orders", &LockOptions { renew: false, ..ttl(3_000) }).await;
        assert!(hold.lease().remaining() <= Duration::from_millis(2_800), "{:?}", hold.lease().remaining());
        proxy.delay(Duration::from_millis(500));
        let error = try_lock(&engine, "other", &ttl(500)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
    });
}
