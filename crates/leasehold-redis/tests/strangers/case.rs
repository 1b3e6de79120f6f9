//! What holds between us and every stranger. Where the mode or the dialect could matter, each case goes through all
//! [`WAYS`].

use std::{future::Future, sync::Arc, time::Duration};

use leasehold_core::{Contender, Release, Standing, Store, Wait, engine::Observer};
use tokio::sync::mpsc::unbounded_channel;

use crate::scene::{BLIND, LONG, PATIENCE, PERMITS, Scene, WAYS, Way, terms};

/// How long a hold lives that is to end by itself while its holder is dead.
const SHORT: Duration = Duration::from_secs(2);
/// How long a hold lives that is to end by itself before its holder looks again.
const BRIEF: Duration = Duration::from_millis(500);

/// All ways at the same time, for cases that wait for a hold to end.
async fn each_way<F: Future<Output = ()>>(case: impl Fn(Way) -> F) {
    let [one, two, three] = WAYS.map(case);
    tokio::join!(one, two, three);
}

fn lock(name: impl std::fmt::Display, ttl: Duration) -> String {
    format!("lock {name} {}", ttl.as_millis())
}

fn wait(name: impl std::fmt::Display) -> String {
    format!("wait {name} {} {}", LONG.as_millis(), PATIENCE.as_millis())
}

fn unlock(name: impl std::fmt::Display) -> String {
    format!("unlock {name}")
}

/// While it holds, no claim of ours is granted, and we see who holds.
pub(crate) async fn its_lock_keeps_us_out(scene: &Scene) {
    let (mut peer, store_of_places) = (scene.peer().await, scene.store(PERMITS));
    for way in WAYS {
        let (store, engine, name) = (scene.store(way), scene.engine(way), scene.name());
        peer.expect(&lock(&name, LONG), "granted").await;
        scene.is_kept_out(&store, way, &name).await;
        let tried = engine.acquire(&name, way.mode, &terms(LONG), Wait::No, None).await;
        assert!(tried.expect("an answer of the store").is_none(), "{}", way.label);
        let snapshot = store.inspect(&name).await.expect("an answer of the store");
        let [holder] = &snapshot.holders[..] else { panic!("one holder, not {:?}", snapshot.holders) };
        scene.is_stranger(way, holder);
        let places = store_of_places.claim(&scene.claim(PERMITS, &name, LONG)).await;
        assert_eq!(places.expect("an answer of the store"), Standing::Mismatch { limit: None });
        // Control: who does not see its key has the lock.
        drop(scene.locked(&scene.engine(BLIND), BLIND, &name).await);
        peer.expect(&unlock(&name), "released").await;
        scene.locked(&engine, way, &name).await.release().await.expect("a release");
    }
}

/// Its release says nothing to us; Redis does. We do not find out by asking again, which would be much later.
pub(crate) async fn its_release_wakes_us(scene: &Scene) {
    let mut peer = scene.peer().await;
    for way in WAYS {
        let (engine, name) = (scene.engine(way), scene.name());
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
            let sent = scene.env.now();
            assert_eq!(peer.answer().await, "released");
            (recheck_in, sent)
        };
        let (hold, (recheck_in, sent)) = tokio::join!(waiting, releasing);
        let hold = hold.expect("an answer of the store").expect("it was released");
        let late = scene.env.now().since(sent);
        assert!(late < recheck_in / 4, "{}: {late:?}, asking again in {recheck_in:?}", way.label);
        hold.release().await.expect("a release");
    }
}

/// While we hold, shared or not, it is told that it cannot.
pub(crate) async fn our_lock_keeps_it_out(scene: &Scene) {
    let mut peer = scene.peer().await;
    for way in WAYS.into_iter().chain([PERMITS]) {
        let (engine, name) = (scene.engine(way), scene.name());
        let hold = scene.locked(&engine, way, &name).await;
        peer.expect(&lock(&name, LONG), "busy").await;
        // Also not by its own cleaning up after it failed.
        peer.expect(&lock(&name, LONG), "busy").await;
        hold.confirm().await.expect("it did us no harm");
        // Control: who locks another key keeps nobody out.
        let (blind, elsewhere) = (scene.engine(BLIND), scene.name());
        let kept = scene.locked(&blind, BLIND, &elsewhere).await;
        peer.expect(&lock(&elsewhere, LONG), "granted").await;
        drop((hold, kept));
    }
}

/// It gets what we give back; of two who share, what the last one gives back.
pub(crate) async fn our_release_lets_it_in(scene: &Scene) {
    let mut peer = scene.peer().await;
    for way in WAYS.into_iter().chain([PERMITS]) {
        let (engine, name) = (scene.engine(way), scene.name());
        let hold = scene.locked(&engine, way, &name).await;
        let shares = way.template.is_none() && way.mode != leasehold_core::Mode::Exclusive;
        let other = if shares { Some(scene.locked(&engine, way, &name).await) } else { None };
        peer.expect(&lock(&name, LONG), "busy").await;
        if let Some(other) = other {
            other.release().await.expect("a release");
            peer.expect(&lock(&name, LONG), "busy").await;
        }
        peer.send(&wait(&name));
        hold.release().await.expect("a release");
        assert_eq!(peer.answer().await, "granted", "{}", way.label);
        peer.expect(&unlock(&name), "released").await;
    }
}

/// SIGKILL while it holds: its time to live is respected to the end, and not longer.
pub(crate) async fn its_lock_ends_when_it_was_killed(scene: &Scene) {
    each_way(|way| async move {
        let (engine, name) = (scene.engine(way), scene.name());
        let mut peer = scene.peer().await;
        let sent = scene.env.now();
        peer.expect(&lock(&name, SHORT), "granted").await;
        peer.kill();
        // Control: who does not see its key need not wait.
        drop(scene.locked(&scene.engine(BLIND), BLIND, &name).await);
        let hold = scene.won(&engine, way, &name).await;
        scene.is_not_early(&**engine.store(), sent, SHORT);
        hold.confirm().await.expect("it is ours now");
    })
    .await;
}

/// SIGKILL while we hold: it waits for the end of our time to live, and gets it then.
pub(crate) async fn our_lock_ends_when_we_were_killed(scene: &Scene) {
    each_way(|way| async move {
        let (store, name) = (scene.store(way), scene.name());
        let (mut ours, mut peer) = (scene.process_of_ours(way).await, scene.peer().await);
        let sent = scene.env.now();
        ours.expect(&lock(&name, SHORT), "granted").await;
        ours.kill();
        peer.expect(&wait(&name), "granted").await;
        scene.is_not_early(&store, sent, SHORT);
        scene.is_kept_out(&store, way, &name).await;
        peer.expect(&unlock(&name), "released").await;
    })
    .await;
}

/// Its lock expired while it was busy, and we have it: its unlock finds nothing of its own.
pub(crate) async fn its_late_unlock_frees_nothing(scene: &Scene) {
    let (mut peer, mut other) = (scene.peer().await, scene.peer().await);
    for way in WAYS {
        let (engine, name) = (scene.engine(way), scene.name());
        let naive = Naive { scene, key: format!("naive:{name}") };
        naive.take(BRIEF);
        peer.expect(&lock(&name, BRIEF), "granted").await;
        let hold = scene.won(&engine, way, &name).await;
        peer.expect(&unlock(&name), "gone").await;
        hold.confirm().await.expect("it did us no harm");
        other.expect(&lock(&name, LONG), "busy").await;
        hold.release().await.expect("a release");
        naive.shows_that_it_was_late();
    }
}

/// The same the other way round: our release after our time finds nothing of ours.
pub(crate) async fn our_late_release_frees_nothing(scene: &Scene) {
    let mut peer = scene.peer().await;
    for way in WAYS {
        let (store, name) = (scene.store(way), scene.name());
        let naive = Naive { scene, key: format!("naive:{name}") };
        naive.take(BRIEF);
        let claim = scene.claim(way, &name, BRIEF);
        let standing = store.claim(&claim).await.expect("an answer of the store");
        assert!(matches!(standing, Standing::Granted(_)), "{}: {standing:?}", way.label);
        peer.expect(&wait(&name), "granted").await;
        assert_eq!(store.release(&claim).await.expect("an answer"), Release::NotHeld, "{}", way.label);
        let snapshot = store.inspect(&name).await.expect("an answer of the store");
        let [holder] = &snapshot.holders[..] else { panic!("one holder, not {:?}", snapshot.holders) };
        assert_ne!(holder.tag, Contender::tag_of(claim.id), "{}", way.label);
        scene.is_stranger(way, holder);
        scene.is_kept_out(&store, way, &name).await;
        peer.expect(&unlock(&name), "released").await;
        naive.shows_that_it_was_late();
    }
}

/// The control of the late ones: a client that creates if absent and deletes without looking. What it has locked at the
/// beginning of a case has expired at its end, so it deletes the lock of the next.
struct Naive<'a> {
    scene: &'a Scene,
    key: String,
}

impl Naive<'_> {
    fn take(&self, ttl: Duration) {
        let ttl_ms = ttl.as_millis().to_string();
        let reply = self.scene.server.command(&["SET", &self.key, "naive", "NX", "PX", &ttl_ms]);
        assert_eq!(reply.expect("a server that answers").text(), Some("OK"), "the naive lock is free");
    }

    fn shows_that_it_was_late(&self) {
        self.take(LONG);
        let reply = self.scene.server.command(&["DEL", &self.key]);
        assert_eq!(reply.expect("a server that answers").int(), Some(1), "the successor's lock is deleted");
    }
}
