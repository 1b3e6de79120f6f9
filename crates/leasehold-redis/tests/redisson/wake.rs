//! Releases that wake the waiters of the other side.
//!
//! How long that takes is no assertion: `cargo bench -p leasehold-redis --bench redisson` prints it. What is asserted is that
//! nothing else has woken them.
#![allow(dead_code, reason = "the benchmark uses a part of it")]

use std::{sync::Arc, time::Duration};

use leasehold_core::{Engine, LockName, Mode, Wait, engine::Observer};
use leasehold_testkit::peer::Peer;
use tokio::sync::mpsc::unbounded_channel;

use crate::context::{LONG, PATIENCE, TestContext, terms};

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

/// How long after it begins to release we hold what we wait for. Our waiter asks, subscribes, asks again, and sleeps for 20 s if no
/// message comes; for permits it asks twice a second.
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
    let observer: Observer = Arc::new(move |busy| seen.send(busy.recheck_in).unwrap_or_default());
    let waiting = async {
        let hold = engine.acquire(&name, way.ours, &terms(LONG), Wait::For(PATIENCE), Some(&observer)).await;
        (hold, context.env.now())
    };
    let releasing = async {
        // At the first answer it subscribes, at the second it sleeps.
        answers.recv().await.expect("the waiter is told that it is held");
        let recheck_in = answers.recv().await.expect("the waiter is told that it is held");
        let sent = context.env.now();
        peer.expect(&end_of(way, &name, &granted), "released").await;
        (recheck_in, sent)
    };
    let ((hold, got), (mut recheck_in, sent)) = tokio::join!(waiting, releasing);
    // In a Cluster it asks once more when a view of the servers is new.
    while let Ok(later) = answers.try_recv() {
        recheck_in = later;
    }
    hold.expect("an answer of the store").expect("it was released").release().await.expect("a release");
    let late = got.since(sent);
    if way.ours != PERMIT {
        assert!(recheck_in > LONG / 4, "{}: it asks again in {recheck_in:?}", way.take);
        assert!(late < recheck_in / 2, "{}: {late:?}, asking again in {recheck_in:?}", way.take);
    }
    late
}

/// Where a waiter of ours also asks twice a second, it comes in too soon for that.
pub(crate) fn are_messages(mut late: Vec<Duration>, way: &Way) {
    late.sort();
    let median = late[late.len() / 2];
    assert!(median < Duration::from_millis(250), "{}: median {median:?}", way.take);
}

/// How long after we begin to release it holds what it waits for. It sleeps for as long as it may wait if no message comes, and
/// comes back without a lock.
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
