//! Messages that are lost or cut off.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use leasehold_core::{ErrorKind, Outcome, Standing, Status, Store};
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    zookeeper::Server,
};

use crate::{
    common,
    fixture::{SOON, claim, engine, holders, lock, run, store, try_lock, ttl},
    naive::{Naive, becomes_first},
};

fn behind_a_proxy() -> (Server, Proxy, String) {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let words = format!("servers={}", proxy.address());
    (server, proxy, words)
}

/// Whether a request makes a node in the directory of this lock.
fn makes(text: &'static str) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |bytes| {
        let has = |word: &[u8]| bytes.windows(word.len()).any(|it| it == word);
        has(format!("/{text}/").as_bytes()) && has(b"lock-") && has(b"asking")
    }
}

/// S13. The node was made and nobody was told: the engine asks by the id, and finds it. The naive client makes another
/// one, and waits behind its own.
#[test]
fn a_lost_reply_to_a_create_is_cured_by_asking_again() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (engine, other) = (engine(&words).await, store(&format!("servers={}", server.address())).await);
        lock(&engine, "orders", &ttl(30_000)).await.release().await.unwrap();
        let fault = proxy.on_request(makes("orders"), FaultRule::ForwardThenCut);
        // Without waiting: whoever does not find its own node is kept out by it.
        let hold = try_lock(&engine, "orders", &ttl(30_000)).await.unwrap().expect("its own node is found");
        assert!(fault.wait_fired(SOON) && hold.lease().check().is_ok());
        let snapshot = other.inspect(&crate::fixture::name("orders")).await.unwrap();
        assert_eq!(
            (snapshot.holders.len(), snapshot.waiters.len()),
            (1, 0),
            "one node, not two: {snapshot:?}"
        );
        hold.release().await.unwrap();
        assert_eq!(holders(&other, "orders").await, 0);

        let direct = Naive::at(&server.address()).await;
        direct.make("/naive").await;
        let naive = Naive::at(&proxy.address()).await;
        let fault = proxy
            .on_request(|bytes| bytes.windows(11).any(|it| it == b"/naive/lock"), FaultRule::ForwardThenCut);
        assert!(naive.enqueue("/naive").await.is_err() && fault.wait_fired(SOON));
        let again = naive.enqueue("/naive").await.unwrap();
        assert!(!direct.is_first("/naive", again).await, "the control: it waits behind itself");
    });
}

/// The store alone: an error that says "it may have taken effect", and the claim is found by its id.
#[test]
fn the_store_never_sends_twice() {
    let (_server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&words).await);
        store.claim(&claim(&env, "orders", 30_000)).await.unwrap();
        proxy.on_request(makes("invoices"), FaultRule::ForwardThenCut);
        let warm = claim(&env, "invoices", 30_000);
        // The first finds no directory: what is cut off is the second request.
        let first = store.claim(&warm).await;
        let mine = if first.is_ok() { claim(&env, "orders", 30_000) } else { warm };
        if let Err(error) = first {
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Unreachable, Outcome::Unknown),
                "{error:?}"
            );
        }
        let sent = proxy.take_request_bytes().concat();
        let id = mine.id.to_string();
        let uuid = format!("{}-{}", &id[..8], &id[8..12]);
        assert!(sent.windows(uuid.len()).filter(|it| *it == uuid.as_bytes()).count() <= 2);
        assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_) | Standing::Held(_)));
        // The naive client sends again what was not answered, and stands there twice.
        let naive = Naive::at(&proxy.address()).await;
        naive.make("/naive").await;
        proxy.on_request(|bytes| bytes.windows(11).any(|it| it == b"/naive/lock"), FaultRule::ForwardThenCut);
        while naive.enqueue("/naive").await.is_err() {}
        assert_eq!(naive.children("/naive").await.len(), 2, "the control: two places of one claim");
    });
}

/// Jeopardy is announced before loss, and taken back when the link heals.
#[test]
fn jeopardy_comes_before_loss_and_goes_when_the_link_heals() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("{words} session=12000 timeout=2000")).await);
        let naive = Naive::with(&proxy.address(), Duration::from_secs(4)).await;
        naive.make("/naive").await;
        let number = naive.enqueue("/naive").await.unwrap();
        // The classic: set when the lock is taken, cleared when it is released.
        let naive_holds = AtomicBool::new(naive.is_first("/naive", number).await);
        let hold = lock(&engine, "orders", &ttl(12_000)).await;
        proxy.blackhole();
        let status = hold.lease().changed_from(Status::Safe).await;
        assert_eq!(status, Status::Jeopardy);
        assert!(hold.lease().check().is_ok(), "it is still a lease");
        proxy.pass();
        let healed = env.until(env.now() + SOON, hold.lease().changed_from(Status::Jeopardy)).await;
        assert_eq!(healed, Some(Status::Safe));
        // Cut off for good, it is lost by its own clock, before anybody else can have it.
        proxy.blackhole();
        hold.lease().lost().await;
        let other = crate::fixture::engine(&format!("servers={}", server.address())).await;
        let next = lock(&other, "orders", &ttl(12_000)).await;
        assert!(hold.lease().check().is_err() && next.lease().check().is_ok());
        let rival = Naive::at(&server.address()).await;
        let theirs = rival.enqueue("/naive").await.unwrap();
        becomes_first(&env, &rival, "/naive", theirs).await;
        assert!(naive_holds.load(Ordering::Relaxed), "the control: two holders, and nothing was announced");
        proxy.pass();
    });
}

/// A release whose answer is lost is carried on by the engine, until the lock is free.
#[test]
fn a_lost_reply_to_a_release_leaves_nothing() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let engine = engine(&words).await;
        let hold = lock(&engine, "orders", &ttl(30_000)).await;
        let any = |bytes: &[u8]| bytes.windows(8).any(|it| it == b"/orders/");
        proxy.on_request(any, FaultRule::DropThenCut);
        drop(hold);
        let other = crate::fixture::engine(&format!("servers={}", server.address())).await;
        let next = lock(&other, "orders", &ttl(30_000)).await;
        next.release().await.unwrap();
        assert!(try_lock(&other, "orders", &ttl(30_000)).await.unwrap().is_some());
        engine.close(Duration::from_secs(5)).await.unwrap();
        // The naive client takes the lock for free when it has asked for that (CURATOR-486), and its session lives on.
        let (naive, rival) = (Naive::at(&proxy.address()).await, Naive::at(&server.address()).await);
        naive.make("/naive").await;
        naive.enqueue("/naive").await.unwrap();
        let node = format!("/naive/{}", naive.children("/naive").await[0]);
        proxy.on_request(|bytes| bytes.windows(12).any(|it| it == b"/naive/lock-"), FaultRule::DropThenCut);
        assert!(naive.client.delete(&node, None).await.is_err());
        let number = rival.enqueue("/naive").await.unwrap();
        assert!(!rival.is_first("/naive", number).await, "the control: a lock of nobody keeps others out");
    });
}
