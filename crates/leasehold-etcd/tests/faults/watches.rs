//! Watches that are cut, cancelled, or overtaken by compaction.

use leasehold_core::{Interest, Store};
use leasehold_testkit::{
    etcd::Member,
    proxy::{Proxy, Trap},
};

use crate::{
    common,
    rig::{SOON, about, at, claim, eventually, fifo, port, queue_up, run, store, store_with, take},
};

fn waiting_behind_a_proxy() -> (Member, Proxy) {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    (member, proxy)
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
        let read = proxy.on_request(about("orders/"), Trap::Hold);
        let watching = async { two.watch(&waiter.name, Interest::Turn(waiter.id)).await };
        let compacting = async {
            eventually(&env, "the read", || async { read.fired() }).await;
            let create = proxy.on_request(about("orders/"), Trap::Hold);
            read.let_go();
            eventually(&env, "the watch", || async { create.fired() }).await;
            let mut revision = 0;
            for number in 0..20 {
                let shown = member.ctl(&["put", "--write-out=fields", "other", &number.to_string()]).unwrap();
                let line = shown.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
                revision = line.unwrap().trim().parse().unwrap_or(revision);
            }
            member.ctl(&["compaction", &revision.to_string()]).unwrap();
            create.let_go();
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
    // The control: whoever asks for what was then is told that it is gone.
    let gone = member.ctl(&["get", "--rev=2", "other"]).unwrap_err();
    assert!(gone.to_string().contains("compacted"), "{gone}");
}

/// Compacted again and again under many hand-overs: nobody waits longer than for its turn.
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
            let shown = member.ctl(&["put", "--write-out=fields", "other", ""]).unwrap();
            let line = shown.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
            member.ctl(&["compaction", line.unwrap().trim()]).unwrap();
            from.release(&holder).await.unwrap();
            assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
            take(to, &next).await;
            holder = next;
        }
    });
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
        member.restart().unwrap();
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        eventually(&env, "the queue", || async { two.claim(&waiter).await.is_ok() }).await;
        eventually(&env, "the release", || async { one.release(&holder).await.is_ok() }).await;
        assert!(env.until(env.now() + SOON, wake.wait()).await.expect("in time").is_ok());
        take(&two, &waiter).await;
    });
}
