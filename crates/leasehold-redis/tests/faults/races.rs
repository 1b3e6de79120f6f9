//! Messages that overtake each other, and requests that are given up while others go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Standing, Store};
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    redis::{Reply, Server},
    wait,
};

use crate::{
    common,
    fixture::{
        LATE, Naive, SOON, at, claim, engine, eventually, holder, holders, lock, loss, run, store, try_lock,
        ttl,
    },
};

/// Whether a request runs a script about this lock.
fn about(text: &'static str) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |bytes| {
        let (word, name) = (b"EVALSHA", text.as_bytes());
        bytes.windows(word.len()).any(|it| it == word) && bytes.windows(name.len()).any(|it| it == name)
    }
}

/// C10. The renewal is under way while the lock is released, and arrives afterwards: it renews nothing and makes nothing.
#[test]
fn c10_a_renewal_that_arrives_after_the_release_makes_no_hold() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("single={}", proxy.port())));
        let hold = lock(&engine, "orders", &ttl(1_500)).await;
        let rule = proxy.on_request(about("orders"), FaultRule::Hold);
        eventually(&env, "a renewal that is held up", || async { rule.fired() }).await;
        hold.release().await.unwrap();
        assert_eq!(holder(&server, "orders"), None);
        let (other, before) = (store(&at(&server)), server.calls("evalsha"));
        rule.release();
        eventually(&env, "the late renewal", || async { server.calls("evalsha") > before }).await;
        assert_eq!(holder(&server, "orders"), None, "nothing came back");
        let next = claim(&env, "orders", 30_000);
        assert!(matches!(other.claim(&next).await.unwrap(), Standing::Granted(_)));
    });
    // The control renews by setting its key again, as watchdogs do that do not compare: its lock comes back, for nobody.
    let mut naive = Naive::at(&server.address());
    assert!(naive.lock("naive", "me", 30_000) && naive.unlock("naive"));
    server.command(&["SET", "naive", "me", "PX", "30000"]).unwrap();
    assert!(!naive.lock("naive", "other", 30_000), "the control: a lock that nobody holds");
}

/// C9. Renewals are carried out and nobody is told: the lease ends when it would have ended without them, while the server
/// still keeps others out. A client that counts from what it has sent goes on too long when its renewals are lost instead.
#[test]
fn c9_a_renewal_that_is_not_confirmed_prolongs_nothing() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("single={}", proxy.port())));
        let hold = lock(&engine, "orders", &ttl(1_500)).await;
        let first = hold.lease().deadline();
        // It opens the connection on which the next ones go, too.
        eventually(&env, "a renewal", || async { hold.lease().deadline() > first }).await;
        let deadline = hold.lease().deadline();
        let before = server.calls("evalsha");
        proxy.drop_replies();
        loss(&env, &hold).await;
        assert!(server.calls("evalsha") > before, "it was renewed in the server");
        assert!(env.now() < deadline + LATE && hold.lease().deadline() <= deadline);
        assert!(holder(&server, "orders").is_some(), "nobody else can have come in before the loss");
        proxy.pass();
        // The control takes a lock of the same length and believes in each renewal that it sends.
        let mut naive = Naive::at(&proxy.address());
        assert!(naive.lock("naive", "me", 1_500));
        env.sleep(Duration::from_millis(700)).await;
        proxy.blackhole();
        naive.ask("naive", "renewed", 1_500);
        let believes_until = env.now() + Duration::from_millis(1_500);
        eventually(&env, "the end of the control's lock", || async { holder(&server, "naive").is_none() })
            .await;
        assert!(Naive::at(&server.address()).lock("naive", "other", 30_000));
        assert!(env.now() < believes_until, "the control: two holders");
    });
}

/// C7. Every thread of the user's runtime is blocked for longer than the lease: it is renewed all the same, by threads of
/// their own.
#[test]
fn c7_a_runtime_that_is_blocked_keeps_no_lease_from_being_renewed() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(1_200)).await;
        // The control renews in a task, three times as often as it would have to.
        let mut naive = Naive::at(&server.address());
        assert!(naive.lock("naive", "me", 1_200));
        let address = server.address();
        let stop = Arc::new(AtomicBool::new(false));
        let renewing = {
            let (env, stop) = (env.clone(), stop.clone());
            tokio::spawn(async move {
                let mut connection = leasehold_testkit::redis::Connection::open(&address).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    connection.call(&["PEXPIRE", "naive", "1200"]).unwrap();
                    env.sleep(Duration::from_millis(130)).await;
                }
            })
        };
        // Both threads, and as many tasks as it takes until none is left for the control.
        let blocked = Arc::new(AtomicBool::new(true));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let blocked = blocked.clone();
                tokio::spawn(async move {
                    while blocked.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                })
            })
            .collect();
        // This thread is none of the runtime's.
        let begin = env.now();
        let gone = wait::until(SOON, || holder(&server, "naive").is_none());
        assert!(wait::until(SOON, || env.now() > begin + Duration::from_millis(3_600)), "three leases long");
        assert!(hold.lease().check().is_ok() && holder(&server, "orders").is_some(), "renewed by others");
        blocked.store(false, Ordering::SeqCst);
        stop.store(true, Ordering::SeqCst);
        for task in tasks {
            task.await.unwrap();
        }
        renewing.await.unwrap();
        assert!(gone, "the control: nobody renewed it");
        hold.release().await.unwrap();
    });
}

/// N11. Claims are dropped at arbitrary points while others share their connection: no answer is taken for that to another
/// question, and what was dropped leaves nothing when it is released.
#[test]
fn n11_claims_that_are_dropped_desynchronise_nothing() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    proxy.delay(Duration::from_millis(2));
    run(async {
        let (env, store, direct) =
            (common::env(), store(&format!("single={}", proxy.port())), store(&at(&server)));
        let taken = claim(&env, "taken", 600_000);
        direct.claim(&taken).await.unwrap();
        for round in 0..300_u64 {
            let (dropped, kept, busy) = (
                claim(&env, &format!("dropped {round}"), 600_000),
                claim(&env, &format!("kept {round}"), 600_000),
                claim(&env, "taken", 600_000),
            );
            let point = env.now() + Duration::from_micros(round * 30);
            let (given_up, granted, refused) =
                tokio::join!(env.until(point, store.claim(&dropped)), store.claim(&kept), store.claim(&busy));
            assert!(matches!(granted.unwrap(), Standing::Granted(_)), "round {round}");
            assert!(
                matches!(refused.unwrap(), Standing::Held(_)),
                "round {round}: a grant of another's lock"
            );
            assert_eq!(holder(&server, kept.name.as_str()), Some(kept.id.to_string()));
            if given_up.is_none() {
                store.release(&dropped).await.unwrap();
                assert_eq!(holder(&server, dropped.name.as_str()), None, "round {round}");
            }
        }
        assert_eq!(holders(&direct, "taken").await, 1);
    });
    // The control gives up waiting and asks something else on the same connection.
    server.command(&["SET", "naive", "other", "PX", "60000"]).unwrap();
    proxy.delay(Duration::from_millis(100));
    let mut naive = Naive::at(&proxy.address());
    naive.ask("free", "me", 60_000);
    assert!(!naive.hears(Duration::from_millis(20)), "given up");
    naive.waits(SOON);
    assert!(
        naive.lock("naive", "me", 60_000),
        "the control: the answer to another question is a false grant"
    );
}

/// C8, S11. Somebody else's value stands where ours was: the loss is noticed, and what is the other's stays untouched.
#[test]
fn c8_a_lock_that_was_taken_away_is_given_up_and_the_other_holder_left_alone() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, engine, other) =
            (common::env(), engine(&format!("single={}", proxy.port())), store(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(3_000)).await;
        // A renewal fails in the meantime, and is made up for.
        let rule = proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        eventually(&env, "a renewal without an answer", || async { rule.fired() }).await;
        server.command(&["DEL", "orders"]).unwrap();
        let next = claim(&env, "orders", 60_000);
        assert!(matches!(other.claim(&next).await.unwrap(), Standing::Granted(_)));
        let took = loss(&env, &hold).await;
        assert!(took < Duration::from_millis(3_000) + LATE, "{took:?}");
        drop(hold);
        engine.close(SOON).await.unwrap();
        assert_eq!(holder(&server, "orders"), Some(next.id.to_string()), "the other's, untouched");
    });
    // The control renews without looking whose it is, and deletes it in the end.
    server.command(&["SET", "naive", "other", "PX", "60000"]).unwrap();
    assert_eq!(server.command(&["PEXPIRE", "naive", "1000"]).unwrap(), Reply::Int(1));
    assert!(Naive::at(&server.address()).unlock("naive"), "the control: the other's lock is gone");
}

/// A1, A2. Released twice, and by somebody who never held it: the successor's lock stays.
#[test]
fn a1_a_second_and_a_foreign_release_free_nothing() {
    let server = Server::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&server)), store(&at(&server)));
        let first = claim(&env, "orders", 60_000);
        one.claim(&first).await.unwrap();
        assert_eq!(one.release(&first).await.unwrap(), leasehold_core::Release::Released);
        let engine = engine(&at(&server));
        let hold = lock(&engine, "orders", &ttl(60_000)).await;
        let owner = holder(&server, "orders");
        for (store, claim) in [(&one, first.clone()), (&two, claim(&env, "orders", 60_000))] {
            assert_eq!(store.release(&claim).await.unwrap(), leasehold_core::Release::NotHeld);
            let renewed = store.renew(std::slice::from_ref(&claim)).await.remove(0).unwrap();
            assert!(matches!(renewed, leasehold_core::Renewal::Gone(_)), "{renewed:?}");
        }
        assert_eq!(holder(&server, "orders"), owner);
        hold.confirm().await.unwrap();
        assert!(try_lock(&engine, "orders", &ttl(60_000)).await.unwrap().is_none());
    });
    let mut naive = Naive::at(&server.address());
    assert!(naive.lock("naive", "one", 60_000) && naive.unlock("naive"));
    assert!(naive.lock("naive", "two", 60_000));
    assert!(naive.unlock("naive"), "the control: the first deletes once more, and the second's lock is gone");
}
