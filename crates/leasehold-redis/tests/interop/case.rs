//! Cases for every foreign client. Where the mode or the dialect could matter, each case goes through all
//! ways of ours to its keys.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;
use leasehold_core::{Contender, LockName, Release, Standing, Store, Wait, engine::Observer};
use leasehold_testkit::peer::Peer;
use tokio::sync::mpsc::unbounded_channel;

use crate::context::{ANSWER_LIMIT, BLIND, LONG, PATIENCE, PERMITS, TestContext, Way, terms};

/// How long a hold lives that is to end by itself while its holder is dead.
const SHORT: Duration = Duration::from_secs(2);
/// How long a hold lives that is to end by itself before its holder looks again.
const BRIEF: Duration = Duration::from_millis(500);

/// All ways at the same time, for cases that wait for a hold to end.
async fn each_way<F: Future<Output = ()>>(context: &TestContext, case: impl Fn(Way) -> F) {
    join_all(context.foreign.ways.iter().copied().map(case)).await;
}

fn lock(name: impl std::fmt::Display, ttl: Duration) -> String {
    format!("lock {name} {}", ttl.as_millis())
}

fn wait(name: impl std::fmt::Display, limit: Duration) -> String {
    format!("wait {name} {} {}", LONG.as_millis(), limit.as_millis())
}

/// It waits until a hold of this time to live has ended, and has the lock. One that waits for a message, which nobody sends,
/// comes back without it, and finds it free.
async fn gets_it_in_the_end(peer: &mut Peer, name: &LockName, ttl: Duration) {
    if peer.ask(&wait(name, ttl + BRIEF)).await == "busy" {
        peer.expect(&lock(name, LONG), "granted").await;
    }
}

fn unlock(name: impl std::fmt::Display) -> String {
    format!("unlock {name}")
}

/// While it holds, no claim of ours is granted, and we see who holds.
pub(crate) async fn its_lock_keeps_us_out(context: &TestContext) {
    let (mut peer, store_of_places) = (context.peer().await, context.store(PERMITS));
    for way in context.foreign.ways.iter().copied() {
        let (store, engine, name) = (context.store(way), context.engine(way), context.name());
        peer.expect(&lock(&name, LONG), "granted").await;
        context.is_kept_out(&store, way, &name).await;
        let tried = engine.acquire(&name, way.mode, &terms(LONG), Wait::No, None).await;
        assert!(tried.expect("an answer of the store").is_none(), "{}", way.label);
        let snapshot = store.inspect(&name).await.expect("an answer of the store");
        let [holder] = &snapshot.holders[..] else { panic!("one holder, not {:?}", snapshot.holders) };
        context.is_foreign(way, holder);
        if way.template.is_none() {
            let places = store_of_places.claim(&context.claim(PERMITS, &name, LONG)).await;
            assert_eq!(places.expect("an answer of the store"), Standing::Mismatch { limit: None });
        }
        // Control: who does not see its key has the lock.
        drop(context.locked(&context.engine(BLIND), BLIND, &name).await);
        peer.expect(&unlock(&name), "released").await;
        context.locked(&engine, way, &name).await.release().await.expect("a release");
    }
}

/// Its release says nothing to us; Redis does. We do not find out by asking again, which would be much later.
pub(crate) async fn its_release_wakes_us(context: &TestContext) {
    let mut peer = context.peer().await;
    for way in context.foreign.ways.iter().copied() {
        let (engine, name) = (context.engine(way), context.name());
        peer.expect(&lock(&name, LONG), "granted").await;
        let (seen, mut answers) = unbounded_channel();
        let observer: Observer = Arc::new(move |busy| seen.send(busy.recheck_in).unwrap_or_default());
        let waiting = async {
            // It goes with this future: then nobody waits for what it would say.
            let observer = observer;
            engine.acquire(&name, way.mode, &terms(LONG), Wait::For(PATIENCE), Some(&observer)).await
        };
        let releasing = async {
            // At the first answer it subscribes, at the second it sleeps.
            answers.recv().await.expect("the waiter is told that it is held");
            let recheck_in = answers.recv().await.expect("the waiter is told that it is held");
            peer.send(&unlock(&name));
            let sent = context.env.now();
            assert_eq!(peer.answer().await, "released");
            (recheck_in, sent)
        };
        let (hold, (recheck_in, sent)) = tokio::join!(waiting, releasing);
        let hold = hold.expect("an answer of the store").expect("it was released");
        let late = context.env.now().since(sent);
        assert!(late < recheck_in / 4, "{}: {late:?}, asking again in {recheck_in:?}", way.label);
        hold.release().await.expect("a release");
    }
}

/// While we hold, shared or not, it is told that it cannot.
pub(crate) async fn our_lock_keeps_it_out(context: &TestContext) {
    let mut peer = context.peer().await;
    for way in context.ways() {
        let (engine, name) = (context.engine(way), context.name());
        let hold = context.locked(&engine, way, &name).await;
        peer.expect(&lock(&name, LONG), "busy").await;
        // Also not by its own cleaning up after it failed.
        peer.expect(&lock(&name, LONG), "busy").await;
        hold.confirm().await.expect("it did us no harm");
        // Control: who locks another key keeps nobody out.
        let (blind, elsewhere) = (context.engine(BLIND), context.name());
        let kept = context.locked(&blind, BLIND, &elsewhere).await;
        peer.expect(&lock(&elsewhere, LONG), "granted").await;
        drop((hold, kept));
    }
}

/// It gets what we give back; of two who share, what the last one gives back.
pub(crate) async fn our_release_lets_it_in(context: &TestContext) {
    let mut peer = context.peer().await;
    for way in context.ways() {
        let (engine, name) = (context.engine(way), context.name());
        let hold = context.locked(&engine, way, &name).await;
        let shares = way.template.is_none() && way.mode != leasehold_core::Mode::Exclusive;
        let other = if shares { Some(context.locked(&engine, way, &name).await) } else { None };
        peer.expect(&lock(&name, LONG), "busy").await;
        if let Some(other) = other {
            other.release().await.expect("a release");
            peer.expect(&lock(&name, LONG), "busy").await;
        }
        peer.send(&wait(&name, PATIENCE));
        hold.release().await.expect("a release");
        assert_eq!(peer.answer().await, "granted", "{}", way.label);
        peer.expect(&unlock(&name), "released").await;
    }
}

/// One that waits for a message is sent it. Without, it sleeps for as long as it may wait.
pub(crate) async fn our_release_wakes_its_listener(context: &TestContext) {
    for way in context.foreign.ways.iter().copied().filter(|way| way.registry.is_some()) {
        let waits = |name: &LockName, ms: u128| format!("wait {name} {} {ms}", LONG.as_millis());
        for is_forced in [false, true] {
            let context = context.alone();
            let (mut peer, engine, name) = (context.peer().await, context.engine(way), context.name());
            let hold = context.locked(&engine, way, &name).await;
            // It would not come back before we gave up.
            peer.send(&waits(&name, 2 * ANSWER_LIMIT.as_millis()));
            context.is_listened_for().await;
            if is_forced {
                assert_eq!(
                    engine.store().force_release(&name).await.expect("an answer of the store").len(),
                    1
                );
            } else {
                hold.release().await.expect("a release");
            }
            assert_eq!(peer.answer().await, "granted", "by force: {is_forced}");
        }
        // Control: a lock that ends without a message.
        let context = context.alone();
        let (mut peer, engine, name) = (context.peer().await, context.engine(way), context.name());
        let hold = context.locked(&engine, way, &name).await;
        let sent = context.env.now();
        peer.send(&waits(&name, BRIEF.as_millis() * 3));
        context.is_listened_for().await;
        context.server.command(&["DEL", &format!("locks:{name}")]).expect("an answer");
        peer.answer().await;
        assert!(context.env.now().since(sent) >= BRIEF * 3, "the control: it slept to the end");
        drop(hold);
    }
}

/// SIGKILL while it holds: its time to live is respected to the end, and not longer.
pub(crate) async fn its_lock_ends_when_it_was_killed(context: &TestContext) {
    each_way(context, |way| async move {
        let (engine, name) = (context.engine(way), context.name());
        let mut peer = context.peer().await;
        let sent = context.env.now();
        peer.expect(&lock(&name, SHORT), "granted").await;
        peer.kill();
        // Control: who does not see its key need not wait.
        drop(context.locked(&context.engine(BLIND), BLIND, &name).await);
        let hold = context.won(&engine, way, &name).await;
        context.is_not_early(&**engine.store(), sent, SHORT);
        hold.confirm().await.expect("it is ours now");
    })
    .await;
}

/// SIGKILL while we hold: it waits for the end of our time to live, and gets it then.
pub(crate) async fn our_lock_ends_when_we_were_killed(context: &TestContext) {
    each_way(context, |way| async move {
        let (store, name) = (context.store(way), context.name());
        let (mut ours, mut peer) = (context.process_of_ours(way).await, context.peer().await);
        let sent = context.env.now();
        ours.expect(&lock(&name, SHORT), "granted").await;
        ours.kill();
        gets_it_in_the_end(&mut peer, &name, SHORT).await;
        context.is_not_early(&store, sent, SHORT);
        context.is_kept_out(&store, way, &name).await;
        peer.expect(&unlock(&name), "released").await;
    })
    .await;
}

/// Its lock expired while it was busy, and we have it: its unlock finds nothing of its own.
pub(crate) async fn its_late_unlock_frees_nothing(context: &TestContext) {
    let (mut peer, mut other) = (context.peer().await, context.peer().await);
    for way in context.foreign.ways.iter().copied() {
        let (engine, name) = (context.engine(way), context.name());
        let naive = Naive { context, key: format!("naive:{name}") };
        naive.take(BRIEF);
        peer.expect(&lock(&name, BRIEF), "granted").await;
        let hold = context.won(&engine, way, &name).await;
        peer.expect(&unlock(&name), "gone").await;
        hold.confirm().await.expect("it did us no harm");
        other.expect(&lock(&name, LONG), "busy").await;
        hold.release().await.expect("a release");
        naive.shows_that_it_was_late();
    }
}

/// The same the other way round: our release after our time finds nothing of ours.
pub(crate) async fn our_late_release_frees_nothing(context: &TestContext) {
    let mut peer = context.peer().await;
    for way in context.foreign.ways.iter().copied() {
        let (store, name) = (context.store(way), context.name());
        let naive = Naive { context, key: format!("naive:{name}") };
        naive.take(BRIEF);
        let claim = context.claim(way, &name, BRIEF);
        let standing = store.claim(&claim).await.expect("an answer of the store");
        assert!(matches!(standing, Standing::Granted(_)), "{}: {standing:?}", way.label);
        gets_it_in_the_end(&mut peer, &name, BRIEF).await;
        assert_eq!(store.release(&claim).await.expect("an answer"), Release::NotHeld, "{}", way.label);
        let snapshot = store.inspect(&name).await.expect("an answer of the store");
        let [holder] = &snapshot.holders[..] else { panic!("one holder, not {:?}", snapshot.holders) };
        assert_ne!(holder.tag, Contender::tag_of(claim.id), "{}", way.label);
        context.is_foreign(way, holder);
        context.is_kept_out(&store, way, &name).await;
        peer.expect(&unlock(&name), "released").await;
        naive.shows_that_it_was_late();
    }
}

/// The control of the late ones: a client that creates if absent and deletes without looking. What it has locked at the
/// beginning of a case has expired at its end, so it deletes the lock of the next.
struct Naive<'a> {
    context: &'a TestContext,
    key: String,
}

impl Naive<'_> {
    fn take(&self, ttl: Duration) {
        let ttl_ms = ttl.as_millis().to_string();
        let reply = self.context.server.command(&["SET", &self.key, "naive", "NX", "PX", &ttl_ms]);
        assert_eq!(reply.expect("a server that answers").text(), Some("OK"), "the naive lock is free");
    }

    fn shows_that_it_was_late(&self) {
        self.take(LONG);
        let reply = self.context.server.command(&["DEL", &self.key]);
        assert_eq!(reply.expect("a server that answers").int(), Some(1), "the successor's lock is deleted");
    }
}
