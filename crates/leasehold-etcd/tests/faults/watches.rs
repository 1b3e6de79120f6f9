//! Watches that are cut, cancelled, or overtaken by compaction.

use leasehold_core::{Interest, Store};
use leasehold_testkit::{
    etcd::Member,
    proxy::{FaultRule, Proxy},
};

use crate::{
    common,
    fixture::{SOON, about, at, claim, eventually, fifo, keys, port, queue_up, run, store, store_with, take},
    naive::{self, Watcher},
};

fn waiting_behind_a_proxy() -> (Member, Proxy) {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    (member, proxy)
}

/// The newest revision.
fn revision(member: &Member) -> u64 {
    let shown = member.ctl(&["get", "--write-out=fields", "other"]).unwrap();
    let line = shown.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
    line.unwrap().trim().parse().unwrap()
}

/// The connection is cut while somebody waits: the watch is taken up again, and the release is heard.
#[test]
fn a_watch_that_was_cut_is_taken_up_again() {
    let (member, proxy) = waiting_behind_a_proxy();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&port(proxy.port())));
        let (holder, waiter) = (claim(&env, "x", 600), fifo(&env, "x", 600));
        take(&one, &holder).await;
        let mut wake = two.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap();
        queue_up(&two, &waiter).await;
        for _ in 0..3 {
            proxy.reset_all();
            // Something may have been missed: it is told to look.
            assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        }
        queue_up(&two, &waiter).await;
        one.release(&holder).await.unwrap();
        // Long before it would have asked again by itself, which is after a third of ten minutes.
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        take(&two, &waiter).await;
    });
    // The naive one takes the end of its watch for the news that it waits for.
    assert!(naive::take(&member, "naive", "them"));
    let mut naive = Watcher::of(&proxy.address(), "naive/them", None);
    proxy.reset_all();
    assert_eq!(naive.news(), None);
    assert_eq!(keys(&member, "naive"), ["naive/them"], "the control: it enters, and another is there");
}

/// The revision from which it is to go on was compacted away before the member was asked for it.
#[test]
fn a_compaction_while_waiting_is_survived() {
    let (member, proxy) = waiting_behind_a_proxy();
    run(async {
        let two = store_with(&port(proxy.port()), |options| options.timeout = SOON);
        let (env, one) = (common::env(), store(&at(&member)));
        let (holder, waiter) = (claim(&env, "orders", 600), fifo(&env, "orders", 600));
        take(&one, &holder).await;
        let warm = claim(&env, "warm", 600);
        take(&two, &warm).await;
        // The read passes; what asks to watch from there is held.
        let read = proxy.on_request(about("orders/"), FaultRule::Hold);
        let watching = async { two.watch(&waiter.name, Interest::Turn(waiter.id)).await };
        let compacting = async {
            eventually(&env, "the read", || async { read.fired() }).await;
            let create = proxy.on_request(about("orders/"), FaultRule::Hold);
            read.release();
            eventually(&env, "the watch", || async { create.fired() }).await;
            for number in 0..20 {
                member.ctl(&["put", "other", &number.to_string()]).unwrap();
            }
            member.ctl(&["compaction", &revision(&member).to_string()]).unwrap();
            create.release();
        };
        let reads = member.calls("Range").unwrap();
        let (wake, ()) = tokio::join!(watching, compacting);
        let mut wake = wake.unwrap();
        // Its watch is cancelled: it reads again, watches from there, and tells everybody to look.
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        assert!(member.calls("Range").unwrap() >= reads + 2);
        queue_up(&two, &waiter).await;
        one.release(&holder).await.unwrap();
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        take(&two, &waiter).await;
    });
    // The naive one takes whatever it hears for the news that it waits for.
    assert!(naive::take(&member, "naive", "them"));
    let news = Watcher::of(&member.address(), "naive/them", Some(2)).news().unwrap();
    assert!(news.contains("\"canceled\":true"), "{news}");
    assert_eq!(keys(&member, "naive"), ["naive/them"], "the control: it enters, and another is there");
}

/// Compacted again and again under many hand-overs: no waiter waits longer than for its turn.
#[test]
fn hand_overs_go_on_under_compaction() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let mut holder = claim(&env, "x", 600);
        take(&one, &holder).await;
        for turn in 0..10 {
            let (from, to) = if turn % 2 == 0 { (&one, &two) } else { (&two, &one) };
            let next = fifo(&env, "x", 600);
            let mut wake = to.watch(&next.name, Interest::Turn(next.id)).await.unwrap();
            queue_up(to, &next).await;
            member.ctl(&["put", "other", ""]).unwrap();
            member.ctl(&["compaction", &revision(&member).to_string()]).unwrap();
            from.release(&holder).await.unwrap();
            assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
            take(to, &next).await;
            holder = next;
        }
    });
    // The naive one watches from where it was told to wait, which is gone; it hears that, and of no hand-over.
    let mut naive = Watcher::of(&member.address(), "x", Some(2));
    assert!(naive.news().unwrap().contains("\"compact_revision\""));
    member.ctl(&["put", "x", "free"]).unwrap();
    member.ctl(&["put", "other", "free"]).unwrap();
    let mut other = Watcher::of(&member.address(), "other", Some(revision(&member)));
    assert!(other.news().unwrap().contains("\"events\""), "another watcher gets the event");
    assert!(naive.is_silent(), "the control: it waits for ever");
}

/// A member that is gone for good while somebody waits: heard again as soon as it is back.
#[test]
fn a_restarted_member_is_watched_again() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let (holder, waiter) = (claim(&env, "x", 600), fifo(&env, "x", 600));
        take(&one, &holder).await;
        let mut wake = two.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap();
        queue_up(&two, &waiter).await;
        assert!(naive::take(&member, "naive", "them"));
        let mut naive = Watcher::of(&member.address(), "naive/them", None);
        member.restart().unwrap();
        assert_eq!(naive.news(), None);
        assert_eq!(keys(&member, "naive"), ["naive/them"], "the control: it enters, and another is there");
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        eventually(&env, "the queue", || async { two.claim(&waiter).await.is_ok() }).await;
        eventually(&env, "the release", || async { one.release(&holder).await.is_ok() }).await;
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        take(&two, &waiter).await;
    });
}
