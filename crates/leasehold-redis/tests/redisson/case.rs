//! Cases for every version of Redisson.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Engine, LockName, Mode, Moment, Release, Standing, Store, Wait, engine::Observer};
use leasehold_testkit::peer::Peer;
use tokio::sync::mpsc::unbounded_channel;

use crate::context::{LONG, PATIENCE, TestContext, terms};

/// How long a hold lives that is to end by itself while its holder is dead.
pub(crate) const SHORT: Duration = Duration::from_secs(2);
/// How late a release may wake a waiter, in 99 of 100 turns.
pub(crate) const PROMPT: Duration = Duration::from_millis(50);
/// The number of turns of which the 99th percentile is taken.
const TURNS: usize = 200;
/// The number of times that many turns are tried: a busy machine only adds.
const ROUNDS: usize = 3;

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

/// A way to hold: how Redisson takes it, waits for it and lets go, and its channel; what of ours it keeps out.
pub(crate) struct Way {
    pub(crate) take: &'static str,
    wait: &'static str,
    end: &'static str,
    channel: &'static str,
    ours: Mode,
}

/// All kinds of holder, each with a waiter whom it keeps out.
pub(crate) const WAYS: [Way; 4] = [
    Way {
        take: "lock",
        wait: "wait",
        end: "unlock",
        channel: "redisson_lock__channel",
        ours: Mode::Exclusive,
    },
    Way { take: "read", wait: "waitread", end: "unread", channel: "redisson_rwlock", ours: Mode::Exclusive },
    Way { take: "write", wait: "waitwrite", end: "unwrite", channel: "redisson_rwlock", ours: Mode::Shared },
    Way { take: "permit", wait: "permit", end: "unpermit", channel: "redisson_sc", ours: PERMIT },
];

/// The only one.
pub(crate) const PERMIT: Mode = Mode::Permits { take: 1, of: 1 };

/// The end of a hold: with the permit's id, if it is one.
fn end_of(way: &Way, name: &LockName, granted: &str) -> String {
    format!("{} {name}{}", way.end, granted.strip_prefix("granted").unwrap_or_default())
}

/// Its release wakes a waiter of ours.
pub(crate) async fn its_release_wakes_us(context: &TestContext) {
    let (mut peer, engine) = (context.peer().await, context.engine());
    for way in &WAYS {
        for round in 1.. {
            let mut late = Vec::new();
            for _ in 0..TURNS {
                late.push(woken_by_it(context, &mut peer, &engine, way).await);
            }
            if is_prompt(late, round, way) {
                break;
            }
        }
    }
}

/// How long after it begins to release we hold what we wait for.
pub(crate) async fn woken_by_it(
    context: &TestContext,
    peer: &mut Peer,
    engine: &Engine,
    way: &Way,
) -> Duration {
    let name = context.name();
    if way.ours == PERMIT {
        peer.expect(&format!("permits {name} 1"), "free 1").await;
    }
    let granted = peer.ask(&format!("{} {name} 60000 0", way.take)).await;
    let (seen, mut answers) = unbounded_channel();
    let observer: Observer = Arc::new(move |_| seen.send(()).unwrap_or_default());
    let waiting = async {
        let hold = engine.acquire(&name, way.ours, &terms(LONG), Wait::For(PATIENCE), Some(&observer)).await;
        (hold, context.env.now())
    };
    let releasing = async {
        // At the first answer it subscribes, at the second it sleeps.
        for _ in 0..2 {
            answers.recv().await.expect("the waiter is told that it is held");
        }
        let sent = context.env.now();
        peer.expect(&end_of(way, &name, &granted), "released").await;
        sent
    };
    let ((hold, got), sent) = tokio::join!(waiting, releasing);
    hold.expect("an answer of the store").expect("it was released").release().await.expect("a release");
    got.since(sent)
}

/// Our release wakes a waiter of its.
pub(crate) async fn our_release_wakes_it(context: &TestContext) {
    let (mut peer, engine) = (context.peer().await, context.engine());
    for way in &WAYS {
        for round in 1.. {
            let mut late = Vec::new();
            for _ in 0..TURNS {
                late.push(woken_by_us(context, &mut peer, &engine, way).await);
            }
            if is_prompt(late, round, way) {
                break;
            }
        }
    }
}

/// How long after we begin to release it holds what it waits for.
pub(crate) async fn woken_by_us(
    context: &TestContext,
    peer: &mut Peer,
    engine: &Engine,
    way: &Way,
) -> Duration {
    let name = context.name();
    // What keeps its reader out is our writer; its writer is kept out by our reader.
    let mode = if way.take == "read" { Mode::Exclusive } else { way.ours };
    let hold = context.won(engine, &name, mode).await;
    peer.send(&format!("{} {name} 60000 30000", way.wait));
    context.is_awaited(&name, way.channel).await;
    let sent = context.env.now();
    hold.release().await.expect("a release");
    let granted = peer.answer().await;
    let late = context.env.now().since(sent);
    assert!(granted.starts_with("granted"), "{}: {granted}", way.wait);
    peer.expect(&end_of(way, &name, &granted), "released").await;
    late
}

fn is_prompt(mut late: Vec<Duration>, round: usize, way: &Way) -> bool {
    late.sort();
    let (median, slow) = (late[TURNS / 2], late[TURNS * 99 / 100 - 1]);
    assert!(slow < PROMPT || round < ROUNDS, "{}: median of {TURNS} {median:?}, p99 {slow:?}", way.take);
    slow < PROMPT
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
    let (name, times) = (context.name(), context.version.increments);
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
