//! Messages that are lost or late.

use std::{io::Write, process::Stdio, time::Duration};

use leasehold_core::{Claim, Contender, ErrorKind, Outcome, Release, Standing, Store};
use leasehold_testkit::{
    etcd::Member,
    proxy::{FaultRule, Proxy},
};

use crate::{
    common,
    fixture::{
        SOON, about, at, claim, engine, eventually, keys, lease_of, lock, port, run, store, store_with, take,
        ttl,
    },
    naive::{self, etcdctl, insists},
};

const IMPATIENT: Duration = Duration::from_millis(1_500);

fn behind_a_proxy() -> (Member, Proxy) {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    (member, proxy)
}

/// N1. The engine asks by the id, and is answered the hold that it has.
#[test]
fn a_lost_reply_to_a_claim_is_cured_by_asking_again() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let engine = engine(&port(proxy.port()));
        lock(&engine, "warm", &ttl(30)).await.release().await.unwrap();
        let fault = proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        let hold = lock(&engine, "orders", &ttl(30)).await;
        assert!(fault.wait_fired(SOON) && keys(&member, "orders").len() == 1 && hold.lease().check().is_ok());
        hold.release().await.unwrap();
        assert!(keys(&member, "orders").is_empty());
    });
    // The naive client (as python-etcd3: create if absent) took the lock, was not told, and keeps itself out.
    let create = ["txn", "--interactive=false"];
    let script = "c(\"naive\") = \"0\"\n\nput naive me\n\n\n";
    let naive = |address: &str| {
        let mut command = etcdctl(address, &create);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child
    };
    let fault = proxy.on_request(about("naive"), FaultRule::ForwardAndDropReply);
    let mut first = naive(&proxy.address());
    assert!(fault.wait_fired(SOON));
    run(eventually(&common::env(), "its key", || async { keys_of(&member, "naive") == 1 }));
    first.kill().unwrap();
    first.wait().unwrap();
    let again = naive(&member.address()).wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&again.stdout).contains("FAILURE"), "the control: locked out by itself");
}

fn keys_of(member: &Member, key: &str) -> usize {
    member.ctl(&["get", "--keys-only", key]).unwrap().lines().filter(|line| !line.is_empty()).count()
}

/// The store alone: an error that says "it may have taken effect", and not one word more sent.
#[test]
fn the_store_never_sends_twice() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&port(proxy.port())));
        let warm = claim(&env, "warm", 30);
        take(&store, &warm).await;
        store.release(&warm).await.unwrap();
        let before = member.calls("Txn").unwrap();
        proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
        let mine = claim(&env, "orders", 30);
        let error = store.claim(&mine).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::Unknown), "{error:?}");
        // The connection may be cut before the member has read the request: the first bytes back need not be the answer.
        eventually(&env, "the transaction", || async { member.calls("Txn").unwrap() > before }).await;
        assert_eq!(member.calls("Txn").unwrap() - before, 1);
        take(&store, &mine).await;
        assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
    });
    // The naive client writes until it is told that it has written.
    proxy.on_request(about("naive"), FaultRule::ForwardAndDropReply);
    assert!(insists(&proxy.address(), "naive") > 1);
    let shown = member.ctl(&["get", "--write-out=fields", "naive"]).unwrap();
    assert!(!shown.contains("\"Version\" : 1\n"), "the control: done more than once: {shown}");
}

/// N2. Delivered after the caller has given up and released: it names a lease that was revoked meanwhile.
#[test]
fn a_claim_that_is_delivered_late_makes_no_ghost() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let env = common::env();
        let store = store_with(&port(proxy.port()), |options| options.timeout = IMPATIENT);
        let warm = claim(&env, "warm", 600);
        take(&store, &warm).await;
        store.release(&warm).await.unwrap();
        let fault = proxy.on_request(about("orders"), FaultRule::Hold);
        let mine = claim(&env, "orders", 600);
        let error = store.claim(&mine).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, Outcome::Unknown), "{error:?}");
        assert!(fault.wait_fired(SOON));
        eventually(&env, "a release", || async { store.release(&mine).await.is_ok() }).await;
        let before = member.calls("Txn").unwrap();
        fault.release();
        // It may be delivered, or cancelled on the way: it changes nothing.
        env.sleep(IMPATIENT).await;
        assert!(keys(&member, "orders").is_empty(), "{} later", member.calls("Txn").unwrap() - before);
        take(&store, &claim(&env, "orders", 30)).await;
    });
    // The naive client's key has no lease that it could revoke: it comes late and stays.
    let fault = proxy.on_request(about("naive"), FaultRule::Hold);
    let mut naive = etcdctl(&proxy.address(), &["put", "naive", "me"]).spawn().unwrap();
    assert!(fault.wait_fired(SOON));
    assert_eq!(
        member.ctl(&["del", "naive"]).unwrap().trim(),
        "0",
        "it gives up, and deletes what is not there"
    );
    fault.release();
    naive.wait().unwrap();
    assert_eq!(keys_of(&member, "naive"), 1, "the control: a lock without a holder");
}

/// etcd#22082: a release that was lost and comes late ends the hold that it was for, and not the one after it, though both
/// have the same key.
#[test]
fn a_late_release_of_an_old_hold_does_not_end_a_new_one() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let env = common::env();
        let impatient = store_with(&port(proxy.port()), |options| options.timeout = IMPATIENT);
        let direct = store(&at(&member));
        let mine = claim(&env, "orders", 600);
        take(&impatient, &mine).await;
        let fault = proxy.on_request(about("orders"), FaultRule::Hold);
        let error = impatient.release(&mine).await.unwrap_err();
        assert!(fault.wait_fired(SOON) && error.outcome() == Outcome::Unknown, "{error:?}");
        // The same id, and so the same key, through another client: a new hold.
        assert_eq!(direct.release(&mine).await.unwrap(), Release::Released);
        take(&direct, &mine).await;
        fault.release();
        env.sleep(IMPATIENT).await;
        assert_eq!(keys(&member, "orders").len(), 1, "the new hold is there");
        assert!(direct.renew(std::slice::from_ref(&mine)).await[0].is_ok());
    });
    // Go's Unlock deletes by key alone; a session that locks again has the same key.
    member.ctl(&["put", "naive/1", ""]).unwrap();
    let fault = proxy.on_request(about("naive"), FaultRule::Hold);
    let mut late = etcdctl(&proxy.address(), &["del", "naive/1"]).spawn().unwrap();
    assert!(fault.wait_fired(SOON));
    member.ctl(&["del", "naive/1"]).unwrap();
    member.ctl(&["put", "naive/1", ""]).unwrap();
    fault.release();
    late.wait().unwrap();
    assert_eq!(keys_of(&member, "naive/1"), 0, "the control: the new hold is gone");
}

/// The transaction of a late release of an old hold, without the luck that it takes to be delivered late: the key of the
/// revision that it knows.
#[test]
fn a_release_is_for_the_hold_that_it_knows() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let mine = claim(&env, "orders", 60);
        take(&one, &mine).await;
        assert_eq!(two.release(&mine).await.unwrap(), Release::Released);
        take(&two, &mine).await;
        assert_eq!(one.release(&mine).await.unwrap(), Release::NotHeld, "the hold of `one` is no more");
        assert_eq!(keys(&member, "orders").len(), 1);
        assert_eq!(two.release(&mine).await.unwrap(), Release::Released);
    });
}

/// A claim that may still be on its way names leases that its release has revoked.
#[test]
fn the_leases_of_a_claim_in_doubt_end_with_its_release() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let (env, store) = (common::env(), store(&port(proxy.port())));
        // Not cut: a member gives up requests of a connection that ends.
        proxy.on_request(about("orders"), FaultRule::ForwardAndDropReply);
        let mine = claim(&env, "orders", 600);
        assert_eq!(store.claim(&mine).await.unwrap_err().outcome(), Outcome::Unknown);
        eventually(&env, "its key", || async { keys(&member, "orders").len() == 1 }).await;
        let lease = lease_of(&member, &keys(&member, "orders")[0]);
        let is_there = || member.ctl(&["lease", "list"]).unwrap().contains(&lease);
        assert!(is_there());
        // Also when it was repeated meanwhile, and answered.
        take(&store, &mine).await;
        assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
        assert!(!is_there(), "a claim that comes later finds no lease to live by");
    });
}

/// The answer to a try is lost, and the next says that another holds: the first may still arrive, so its lease is not for others.
#[test]
fn the_lease_of_a_try_in_doubt_is_not_used_again() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let (env, holder, store) = (common::env(), store(&at(&member)), store(&port(proxy.port())));
        take(&holder, &claim(&env, "orders", 600)).await;
        proxy.on_request(about("orders"), FaultRule::ForwardAndDropReply);
        let mine = claim(&env, "orders", 600);
        assert_eq!(store.claim(&mine).await.unwrap_err().outcome(), Outcome::Unknown);
        let leases = || member.ctl(&["lease", "list"]).unwrap().lines().skip(1).count();
        assert_eq!(leases(), 2);
        assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Held(_)));
        eventually(&env, "one lease", || async { leases() == 1 }).await;
    });
    // The naive client takes its lease for the next lock, and renews it: what names it and comes late stays.
    let lease = naive::lease(&member, 600);
    member.ctl(&["put", &format!("--lease={lease}"), "naive/next", ""]).unwrap();
    member.ctl(&["put", &format!("--lease={lease}"), "naive/late", ""]).unwrap();
    assert_eq!(keys_of(&member, "naive/late"), 1, "the control: a lock without a holder");
}

/// A claim of which an answer was lost holds, and its hold ends by itself: a release that comes too late leaves its delay alone.
#[test]
fn a_late_release_of_a_claim_in_doubt_leaves_its_delay() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let env = common::env();
        let store = store_with(&port(proxy.port()), |options| options.timeout = IMPATIENT);
        proxy.on_request(about("orders"), FaultRule::ForwardAndDropReply);
        let mine = Claim { lock_delay: Duration::from_secs(60), ..claim(&env, "orders", 8) };
        assert_eq!(store.claim(&mine).await.unwrap_err().outcome(), Outcome::Unknown);
        take(&store, &mine).await;
        let delay = [format!("orders/{}.delay", mine.id)];
        eventually(&env, "the end of the hold", || async { keys(&member, "orders") == delay }).await;
        assert_eq!(store.release(&mine).await.unwrap(), Release::NotHeld);
        assert_eq!(keys(&member, "orders"), delay);
    });
    // The naive client deletes whatever is its own.
    member.ctl(&["put", "naive/1.delay", ""]).unwrap();
    member.ctl(&["del", "--prefix", "naive/1"]).unwrap();
    assert!(keys(&member, "naive").is_empty(), "the control: the delay is over at once");
}

/// N3. The second release finds nothing of its own, and does not touch the next holder.
#[test]
fn a_lost_reply_to_a_release_touches_no_successor() {
    let (member, proxy) = behind_a_proxy();
    run(async {
        let (env, mine, other) = (common::env(), store(&port(proxy.port())), store(&at(&member)));
        let first = claim(&env, "orders", 30);
        take(&mine, &first).await;
        // Not cut: a member gives up requests of a connection that ends.
        proxy.on_request(about("orders"), FaultRule::ForwardAndDropReply);
        assert_eq!(mine.release(&first).await.unwrap_err().outcome(), Outcome::Unknown);
        let second = claim(&env, "orders", 30);
        take(&other, &second).await;
        assert_eq!(mine.release(&first).await.unwrap(), Release::NotHeld);
        assert_eq!(keys(&member, "orders").len(), 1);
        let holder = other.inspect(&second.name).await.unwrap().holders.remove(0);
        assert_eq!(holder.tag, Contender::tag_of(second.id));
    });
    // The naive client releases again what it believes to be its own.
    for words in
        [&["put", "naive", "me"][..], &["del", "naive"], &["put", "naive", "them"], &["del", "naive"]]
    {
        member.ctl(words).unwrap();
    }
    assert_eq!(keys_of(&member, "naive"), 0, "the control: the successor's lock is gone");
}
