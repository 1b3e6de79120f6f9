//! Cases for every version of Redisson.

use std::time::Duration;

use leasehold_core::{Mode, Moment, Release, Standing, Store, Wait};

use crate::{
    context::{LONG, TestContext, terms},
    wake::{WAYS, are_messages, woken_by_it, woken_by_us},
};

/// How long a hold lives that is to end by itself while its holder is dead.
pub(crate) const SHORT: Duration = Duration::from_secs(2);
/// The number of releases that wake a waiter, of each kind.
const TURNS: usize = 200;

/// While it holds, no claim of ours is granted, and we see who holds.
pub(crate) async fn its_lock_keeps_us_out_and_is_shown_with_client_and_thread(context: &TestContext) {
    let (mut peer, store) = (context.peer().await, context.store());
    for (lock, unlock) in [("lock", "unlock"), ("read", "unread"), ("write", "unwrite"), ("spin", "unspin")] {
        let name = context.name();
        peer.expect(&format!("{lock} {name} 60000"), "granted").await;
        let holder = context.is_kept_out(&store, &name).await;
        let note = holder.note.as_deref().unwrap_or_default();
        assert!(note.contains("Redisson: client ") && note.contains(", thread "), "{lock}: {note}");
        let snapshot = store.inspect(&name).await.expect("an answer of the store");
        assert_eq!(snapshot.holders.len(), 1, "{lock}: {snapshot:?}");
        // Control: a client that writes its field and does not look at others has it, too.
        let naive = context.server.command(&["HSETNX", name.as_str(), "naive", "1"]);
        assert_eq!(naive.expect("an answer").int(), Some(1), "{lock}");
        context.server.command(&["HDEL", name.as_str(), "naive"]).expect("an answer");
        peer.expect(&format!("{unlock} {name}"), "released").await;
        let standing = store.claim(&context.claim(&name, LONG)).await.expect("an answer of the store");
        assert!(matches!(standing, Standing::Granted(_)), "{lock}: {standing:?}");
    }
}

/// Its `RReadWriteLock` takes a lock of its own `RLock`; it does not take ours.
pub(crate) async fn our_lock_keeps_out_its_locks_of_every_kind(context: &TestContext) {
    let (mut peer, mut other, store) = (context.peer().await, context.peer().await, context.store());
    let name = context.name();
    let claim = context.claim(&name, LONG);
    store.claim(&claim).await.expect("an answer of the store");
    for verb in ["lock", "read", "write", "spin"] {
        peer.expect(&format!("{verb} {name} 60000"), "busy").await;
    }
    assert_eq!(store.release(&claim).await.expect("an answer"), Release::Released);
    // Control: two of its own hold at once.
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    other.expect(&format!("write {name} 60000"), "granted").await;
}

/// Its release wakes a waiter of ours, each of so many times.
pub(crate) async fn its_release_wakes_us(context: &TestContext) {
    let (mut peer, engine) = (context.peer().await, context.engine());
    for way in &WAYS {
        let mut late = Vec::new();
        for _ in 0..TURNS {
            late.push(woken_by_it(context, &mut peer, &engine, way).await);
        }
        are_messages(late, way);
    }
}

/// Our release wakes a waiter of its, each of so many times.
pub(crate) async fn our_release_wakes_it(context: &TestContext) {
    let (mut peer, engine) = (context.peer().await, context.engine());
    for way in &WAYS {
        for _ in 0..TURNS {
            woken_by_us(context, &mut peer, &engine, way).await;
        }
    }
}

/// SIGKILL while it holds: its time to live is respected to the end, and not longer.
pub(crate) async fn its_lock_ends_when_it_was_killed(context: &TestContext) {
    let (mut peer, engine, name) = (context.peer().await, context.engine(), context.name());
    let sent = context.env.now();
    peer.expect(&format!("lock {name} {}", SHORT.as_millis()), "granted").await;
    peer.kill();
    let hold = context.won(&engine, &name, Mode::Exclusive).await;
    ended_in_time(context, sent);
    hold.confirm().await.expect("it is ours now");
}

/// SIGKILL while we hold: it waits for the end of our time to live, and gets it then.
pub(crate) async fn our_lock_ends_when_we_were_killed(context: &TestContext) {
    let (mut ours, mut peer, name) = (context.process_of_ours().await, context.peer().await, context.name());
    let sent = context.env.now();
    ours.expect(&format!("lock {name} {}", SHORT.as_millis()), "granted").await;
    ours.kill();
    peer.expect(&format!("wait {name} 60000 30000"), "granted").await;
    ended_in_time(context, sent);
    context.is_kept_out(&context.store(), &name).await;
}

pub(crate) fn ended_in_time(context: &TestContext, sent: Moment) {
    let lasted = context.env.now().since(sent);
    let earliest = SHORT - context.store().capability().drift.of(SHORT);
    assert!((earliest..SHORT * 2).contains(&lasted), "freed {lasted:?} after a lock of {SHORT:?}");
}

/// SIGSTOP past the time to live, while the other side takes the lock: at SIGCONT ours is told at its first look, before it
/// writes, and its token is the lower one. Redisson's goes on, beside us, and its unlock is the first to tell it.
pub(crate) async fn a_holder_that_slept_through_its_lease_stops(context: &TestContext) {
    let (mut ours, mut peer, name) = (context.process_of_ours().await, context.peer().await, context.name());
    let file = std::env::temp_dir().join(name.as_str());
    std::fs::write(&file, "0").expect("a file in the directory for temporary ones");
    let number = || std::fs::read_to_string(&file).expect("the file is there");
    let add = format!("add {}", file.display());
    ours.expect(&format!("lock {name} {}", SHORT.as_millis()), "granted").await;
    let token = |said: String| said.rsplit(' ').next().and_then(|token| token.parse::<u64>().ok());
    let first = token(ours.ask("token").await);
    ours.pause();
    let second = token(peer.ask(&format!("fenced {name} 60000 30000")).await);
    assert!(first.is_some() && first < second, "{first:?}, then {second:?}");
    ours.resume();
    ours.expect(&add, "lost").await;
    assert_eq!(number(), "0", "not a word was written");
    peer.expect(&format!("unlock {name}"), "released").await;
    // Control: Redisson in the same place.
    peer.expect(&format!("lock {name} {}", SHORT.as_millis()), "granted").await;
    peer.pause();
    let engine = context.engine();
    let hold = context.won(&engine, &name, Mode::Exclusive).await;
    peer.resume();
    peer.expect(&add, "written").await;
    assert_eq!(number(), "1", "the control: it writes beside the next holder");
    peer.expect(&format!("unlock {name}"), "gone").await;
    hold.confirm().await.expect("it was ours all the time");
    std::fs::remove_file(&file).expect("the file is ours");
}

/// Its watchdog and ours keep their locks for three times to live, and no longer than one after a SIGKILL.
pub(crate) async fn watchdogs_renew_side_by_side(context: &TestContext) {
    // The peer's watchdog has this time to live.
    let ttl = Duration::from_millis(4000);
    let (mut peer, mut other, engine) = (context.peer().await, context.peer().await, context.engine());
    let (its, ours) = (context.name(), context.name());
    peer.expect(&format!("lock {its} 0"), "granted").await;
    let hold = engine.acquire(&ours, Mode::Exclusive, &terms(ttl), Wait::No, None).await;
    let hold = hold.expect("an answer of the store").expect("it is free");
    let until = context.env.now() + ttl * 3;
    while context.env.now() < until {
        context.is_kept_out(&context.store(), &its).await;
        other.expect(&format!("lock {ours} 60000"), "busy").await;
        context.env.sleep(ttl / 10).await;
    }
    hold.confirm().await.expect("it was renewed");
    peer.kill();
    let killed = context.env.now();
    let next = context.won(&engine, &its, Mode::Exclusive).await;
    assert!(context.env.now().since(killed) < ttl * 2, "nobody renews it any more");
    next.release().await.expect("a release");
}

/// `force-release` ends its hold, and its `unlock()` throws.
pub(crate) async fn a_forced_release_makes_its_unlock_fail(context: &TestContext) {
    let (mut peer, store, name) = (context.peer().await, context.store(), context.name());
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    let ended = store.force_release(&name).await.expect("an answer of the store");
    assert!(ended[0].note.as_deref().unwrap_or_default().contains("thread "), "{ended:?}");
    peer.expect(&format!("unlock {name}"), "gone").await;
    // Control: without it, the same unlock succeeds.
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    peer.expect(&format!("unlock {name}"), "released").await;
}

/// A claim is asked for again when its reply was lost. Redisson counts each request (its #7367).
pub(crate) async fn a_claim_that_is_repeated_counts_once(context: &TestContext) {
    let (mut peer, store, name) = (context.peer().await, context.store(), context.name());
    let claim = context.claim(&name, LONG);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let standing = store.claim(&claim).await.expect("an answer of the store");
        let Standing::Granted(grant) = standing else { panic!("{standing:?}") };
        tokens.push(grant.fence.expect("every grant has a token"));
    }
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(store.release(&claim).await.expect("an answer"), Release::Released);
    // Control: one release of two requests of Redisson leaves its lock held.
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    peer.expect(&format!("unlock {name}"), "released").await;
    context.is_kept_out(&store, &name).await;
}

/// Four processes of each add to the number in one file, and tokens grow over all of them.
pub(crate) async fn crowds_of_both_lose_no_increment(context: &TestContext) {
    let (name, times) = (context.name(), 2000);
    let file = std::env::temp_dir().join(name.as_str());
    std::fs::write(&file, "0 0").expect("a file in the directory for temporary ones");
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(context.peer().await);
        peers.push(context.process_of_ours().await);
    }
    for peer in &mut peers {
        peer.send(&format!("count {name} {} {times}", file.display()));
    }
    for peer in &mut peers {
        assert_eq!(peer.answer().await, "counted");
    }
    let text = std::fs::read_to_string(&file).expect("the file is there");
    std::fs::remove_file(&file).expect("the file is ours");
    let number: Option<u32> = text.split(' ').next().and_then(|number| number.parse().ok());
    assert_eq!(number, Some(8 * times), "each of them was counted");
}
