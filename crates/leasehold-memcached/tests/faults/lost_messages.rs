//! Messages that are lost, late, or cut into pieces.

use std::time::Duration;

use leasehold_core::{Claim, ErrorKind, Mode, Outcome, Release, Status, Store};
use leasehold_memcached::MemcachedStore;
use leasehold_testkit::{
    memcached::Server,
    proxy::{FaultRule, Proxy},
};

use crate::{
    common,
    fixture::{SOON, at, claim, engine, eventually, holders, lock, lost_in_time, run, store, take, ttl},
    naive::{Naive, Trusting, insists},
};

/// Whether a request begins with this command for this key.
fn about(command: &'static str, key: &'static str) -> impl Fn(&[u8]) -> bool + Send + 'static {
    let wanted = format!("{command} {key} ").into_bytes();
    move |bytes| bytes.windows(wanted.len()).any(|it| it == wanted)
}

fn behind_a_proxy() -> (Server, Proxy, String) {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let words = proxy.port().to_string();
    (server, proxy, words)
}

/// Nothing below the engine sends it again; the engine asks by the id, and is answered the hold that it has.
#[test]
fn a_lost_reply_to_a_claim_is_cured_by_asking_again() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let engine = engine(&words);
        lock(&engine, "warm", &ttl(30)).await.release().await.unwrap();
        let fault = proxy.on_request(about("add", "orders"), FaultRule::ForwardThenCut);
        let hold = lock(&engine, "orders", &ttl(30)).await;
        assert!(fault.wait_fired(SOON) && hold.lease().check().is_ok());
        assert_eq!(holders(&store(&at(&server)), "orders").await, 1);
        hold.release().await.unwrap();
        assert_eq!(holders(&store(&at(&server)), "orders").await, 0);
    });
    // The naive client took the lock, was not told, asks again, and keeps itself out.
    assert!(Naive::on(&server).lock("naive", "me", 60));
    assert!(!Naive::on(&server).lock("naive", "me", 60), "the control: locked out by itself");
}

/// The store alone: an error that says "it may have taken effect", and not one word more sent.
#[test]
fn the_store_never_sends_twice() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&words));
        take(&store, &claim(&env, "warm", 30)).await;
        let before = server.stats().unwrap()["cmd_set"].clone();
        proxy.on_request(about("add", "orders"), FaultRule::ForwardThenCut);
        let mine = claim(&env, "orders", 30);
        let error = store.claim(&mine).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::Unknown), "{error:?}");
        let after = server.stats().unwrap()["cmd_set"].clone();
        assert_eq!(after.parse::<u64>().unwrap(), before.parse::<u64>().unwrap() + 1);
        take(&store, &mine).await;
        assert_eq!(holders(&store, "orders").await, 1);
    });
    // The naive client asks until it is told, and what it asks for is done twice.
    proxy.on_request(about("incr", "naive"), FaultRule::ForwardThenCut);
    server.command("set naive 0 60 1\r\n0").unwrap();
    assert_eq!(insists(&proxy.address(), "incr naive 1\r\n"), 2);
    assert!(Naive::on(&server).holds("naive", "2"), "the control: counted twice");
}

/// The second release finds nothing of its own, and does not touch who came in between.
#[test]
fn a_lost_reply_to_a_release_touches_no_successor() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, mine, other) = (common::env(), store(&words), store(&at(&server)));
        let first = claim(&env, "orders", 30);
        take(&mine, &first).await;
        proxy.on_request(about("md", "orders"), FaultRule::ForwardThenCut);
        assert_eq!(mine.release(&first).await.unwrap_err().outcome(), Outcome::Unknown);
        let second = claim(&env, "orders", 30);
        take(&other, &second).await;
        assert_eq!(mine.release(&first).await.unwrap(), Release::NotHeld);
        assert_eq!(holders(&other, "orders").await, 1);
    });
    // The naive client deletes again what it believes to be its own.
    assert!(Naive::on(&server).unlock("orders"), "the control: it frees the successor's lock");
}

/// A release that is delivered after the lock has gone to another frees nothing; its CAS unique is spent.
#[test]
fn a_release_that_is_delivered_late_frees_nothing() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let mut options = common::options(&words).unwrap();
        options.timeout = Duration::from_millis(300);
        let (env, other) = (common::env(), store(&at(&server)));
        let mine = MemcachedStore::new(options, env.clone()).unwrap();
        let first = claim(&env, "orders", 30);
        take(&mine, &first).await;
        let fault = proxy.on_request(about("md", "orders"), FaultRule::Hold);
        assert_eq!(mine.release(&first).await.unwrap_err().outcome(), Outcome::Unknown);
        assert_eq!(other.force_release(&first.name).await.unwrap().len(), 1);
        let second = claim(&env, "orders", 30);
        take(&other, &second).await;
        // A delete that finds nothing to delete is counted nowhere: the server has read more than before.
        let read = || server.stats().unwrap()["bytes_read"].parse::<u64>().unwrap();
        let (before, asking) = (read(), "stats\r\n".len() as u64);
        fault.release();
        let mut looks = 1;
        eventually(&env, "the late release", || {
            looks += 1;
            let late = read() > before + looks * asking;
            async move { late }
        })
        .await;
        assert_eq!(holders(&other, "orders").await, 1, "it is the second's");
        assert_eq!(other.release(&second).await.unwrap(), Release::Released);
    });
    // The naive client's delete names the key alone.
    let mut naive = Naive::on(&server);
    assert!(naive.lock("naive", "me", 600));
    let fault = proxy.on_request(|bytes| bytes.starts_with(b"delete naive"), FaultRule::Hold);
    let mut late = Trusting::at(&proxy.address());
    late.send("delete naive\r\n");
    assert!(fault.wait_fired(SOON) && naive.unlock("naive") && naive.lock("naive", "them", 600));
    fault.release();
    assert_eq!(late.read().as_deref(), Some("DELETED\r\n"));
    assert!(!naive.holds("naive", "them"), "the control: the next one's lock is gone");
}

/// What was read is changed only while it is still so: of two that join at once, none writes over the other.
#[test]
fn a_change_of_what_has_changed_meanwhile_is_made_anew() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, slow, other) = (common::env(), store(&words), store(&at(&server)));
        let reader = || Claim { mode: Mode::Shared, ..claim(&env, "page", 60) };
        take(&other, &reader()).await;
        // It begins by trying to add, which fails: what holds two entries is the change.
        let joins = |bytes: &[u8]| bytes.windows(3).filter(|it| *it == b"\ts\t").count() == 2;
        let fault = proxy.on_request(joins, FaultRule::Hold);
        let mine = reader();
        let joining = async { take(&slow, &mine).await };
        let meanwhile = async {
            eventually(&env, "a change on its way", || async { fault.fired() }).await;
            take(&other, &reader()).await;
            fault.release();
        };
        tokio::join!(joining, meanwhile);
        assert_eq!(holders(&other, "page").await, 3, "all of them are there");
    });
    // The control: `set` writes over what another has written since.
    assert!(Naive::on(&server).lock("naive", "me", 60));
    assert_eq!(server.command("set naive 0 60 5\r\nother").unwrap(), "STORED");
    assert!(!Naive::on(&server).holds("naive", "me"), "the control: nothing is left of the first");
}

/// Delivered after the caller has given up and released, and when that release was repeated in vain: it is given back as soon
/// as it is seen.
#[test]
fn a_claim_that_is_delivered_late_is_given_back() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let mut options = common::options(&words).unwrap();
        options.timeout = Duration::from_millis(300);
        let (env, other) = (common::env(), store(&at(&server)));
        let mine = MemcachedStore::new(options, env.clone()).unwrap();
        take(&mine, &claim(&env, "warm", 30)).await;
        let fault = proxy.on_request(about("add", "orders"), FaultRule::Hold);
        let given_up = claim(&env, "orders", 300);
        assert_eq!(mine.claim(&given_up).await.unwrap_err().outcome(), Outcome::Unknown);
        assert!(fault.wait_fired(SOON));
        assert_eq!(mine.release(&given_up).await.unwrap(), Release::NotHeld);
        let count = |what: &str| server.stats().unwrap()[what].parse::<u64>().unwrap();
        let (gets, sets) = (count("cmd_get"), || count("cmd_set"));
        // Each repetition reads three items.
        eventually(&env, "two repetitions", || async { count("cmd_get") >= gets + 6 }).await;
        let before = sets();
        fault.release();
        eventually(&env, "the late claim", || async { sets() != before }).await;
        eventually(&env, "nobody holds it", || async { holders(&other, "orders").await == 0 }).await;
    });
    // The naive client gave up, and the lock is held by nobody for its whole time to live.
    let mut late = server.connect().unwrap();
    late.send(b"add ghost 0 300 2\r\nme\r\n").unwrap();
    drop(late);
    let ghost = || Naive::on(&server).holds("ghost", "me");
    assert!(leasehold_testkit::wait::until(SOON, ghost), "the control: a ghost");
}

/// Silence: the lease ends by the clock, before another can enter.
#[test]
fn a_half_open_connection_is_noticed_by_the_deadline() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, engine) = (common::env(), engine(&words));
        let mut naive = Trusting::at(&proxy.address());
        naive.lock("naive", 4);
        let hold = lock(&engine, "orders", &ttl(4)).await;
        proxy.blackhole();
        assert!(naive.believes());
        let naive = naive.asks("naive");
        lost_in_time(&env, &hold).await;
        assert!(hold.lease().check().is_err());
        let mut next = Naive::on(&server);
        eventually(&env, "the next holder", || {
            let entered = next.lock("naive", "them", 600);
            async move { entered }
        })
        .await;
        assert!(naive.hangs(), "the control: another holds its lock, and it waits for an answer");
        proxy.pass();
        eventually(&env, "the way is open again", || async { engine.store().server_info().await.is_ok() })
            .await;
        let straight = store(&at(&server));
        eventually(&env, "the server lets it go", || async { holders(&straight, "orders").await == 0 }).await;
    });
}

/// Jeopardy is announced before the loss, and taken back when the way is open again.
#[test]
fn jeopardy_comes_before_loss_and_goes_when_the_link_heals() {
    let (server, proxy, words) = behind_a_proxy();
    run(async {
        let (env, engine) = (common::env(), engine(&words));
        let mut naive = Trusting::at(&proxy.address());
        naive.lock("naive", 2);
        let hold = lock(&engine, "orders", &ttl(12)).await;
        assert_eq!(hold.status(), Status::Safe);
        proxy.blackhole();
        eventually(&env, "jeopardy", || async { hold.status() == Status::Jeopardy }).await;
        hold.lease().check().unwrap();
        proxy.pass();
        eventually(&env, "safe again", || async { hold.status() == Status::Safe }).await;
        assert!(hold.lease().remaining() > Duration::from_secs(6), "{:?}", hold.lease().remaining());
        // Once more, and for good.
        proxy.blackhole();
        eventually(&env, "jeopardy", || async { hold.status() == Status::Jeopardy }).await;
        lost_in_time(&env, &hold).await;
        let entered = Naive::on(&server).lock("naive", "them", 600);
        assert!(entered && naive.believes(), "the control: two holders, and nothing was announced");
    });
}

/// Whatever the pieces in which answers come.
#[test]
fn answers_in_pieces_are_put_together() {
    let (server, proxy, words) = behind_a_proxy();
    assert!(Naive::on(&server).lock("naive", "me", 60));
    run(async {
        let (env, store) = (common::env(), store(&words));
        for size in [1, 2, 3, 7, 64] {
            proxy.split(size);
            let mine = claim(&env, "a name with spaces", 30);
            let note = "a note\r\nEN\r\nVA 3 c1\r\n".to_string();
            let grant =
                take(&store, &leasehold_core::Claim { note: Some(note.as_str().into()), ..mine.clone() })
                    .await;
            let shown = store.inspect(&mine.name).await.unwrap();
            assert_eq!(shown.holders[0].note.as_deref(), Some(note.as_str()));
            assert_eq!(shown.holders[0].fence, grant.fence);
            assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
        }
    });
    // The control: who takes what one read brings for an answer believes that it has a lock that another holds.
    proxy.split(2);
    let mut naive = Trusting::at(&proxy.address());
    naive.lock("naive", 60);
    assert!(naive.believes() && Naive::on(&server).holds("naive", "me"), "the control: two holders");
}
