//! What holds between us and the stranger. Where the mode could matter, each case goes through all [`MODES`].

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Contender, Engine, Env, Hold, LockName, LockOptions, Mode, Moment, Release, Standing,
    Store, Wait,
};
use leasehold_memcached::{MemcachedOptions, MemcachedStore};
use leasehold_testkit::{
    memcached::Server,
    peer::{Peer, Program},
};

use crate::ANSWER_LIMIT;

const MODES: [&str; 3] = ["exclusive", "shared", "permits"];
/// How long a hold lives that is to be given up.
const LONG: Duration = Duration::from_secs(60);
/// How long a hold lives that is to end by itself.
const SHORT: Duration = Duration::from_secs(2);
/// How long a lock is waited for that others give up or lose.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn mode(label: &str) -> Mode {
    match label {
        "shared" => Mode::Shared,
        "permits" => Mode::Permits { take: 1, of: 3 },
        _ => Mode::Exclusive,
    }
}

pub(crate) fn store(port: u16, env: &Env) -> MemcachedStore {
    MemcachedStore::new(MemcachedOptions::new("127.0.0.1", port), env.clone()).expect("options of a test")
}

pub(crate) struct Scene {
    pub(crate) env: Env,
    pub(crate) server: Arc<Server>,
    pub(crate) program: Program,
}

impl Scene {
    async fn peer(&self) -> Peer {
        Peer::start(&self.program, &self.server.url(), ANSWER_LIMIT).await
    }

    async fn process_of_ours(&self, mode: &str) -> Peer {
        Peer::start(&Program::itself(mode), &self.server.url(), ANSWER_LIMIT).await
    }

    fn store(&self) -> MemcachedStore {
        store(self.server.port(), &self.env)
    }

    fn engine(&self) -> Engine {
        Engine::new(Arc::new(self.store()), self.env.clone())
    }

    /// A name that no other case uses.
    fn name(&self) -> LockName {
        LockName::new(format!("pymemcache-{:032x}", self.env.random())).expect("a short name")
    }

    fn claim(&self, label: &str, name: &LockName, ttl: Duration) -> Claim {
        Claim { mode: mode(label), ..Claim::new(name.clone(), ClaimId::mint(&self.env), ttl) }
    }

    async fn acquired(&self, engine: &Engine, label: &str, name: &LockName, wait: Wait) -> Hold {
        let terms = LockOptions { ttl: LONG, ..LockOptions::default() };
        let hold = engine.acquire(name, mode(label), &terms, wait, None).await;
        hold.expect("an answer of the store").unwrap_or_else(|| panic!("{label}: {name} is free"))
    }

    /// One try of ours, which the stranger's hold has to keep out; and we see that it is one.
    async fn is_kept_out(&self, store: &MemcachedStore, label: &str, name: &LockName) {
        let standing = store.claim(&self.claim(label, name, LONG)).await.expect("an answer of the store");
        let Standing::Held(busy) = standing else { panic!("{label} is answered {standing:?}") };
        is_stranger(&busy.holder.expect("a holder that can be seen"));
        let snapshot = store.inspect(name).await.expect("an answer of the store");
        let [holder] = &snapshot.holders[..] else { panic!("one holder, not {:?}", snapshot.holders) };
        is_stranger(holder);
    }

    /// Nobody may have it before `ttl` has passed since it was asked for at `sent`, less what the server's clock takes.
    fn is_not_early(&self, store: &MemcachedStore, sent: Moment, ttl: Duration) {
        let (now, earliest) = (self.env.now(), sent + ttl - store.capability().drift.of(ttl));
        assert!(now >= earliest, "freed {:?} after a lock of {ttl:?} was asked for", now.since(sent));
    }

    fn naive(&self, command: &str) -> String {
        self.server.command(command).expect("a server that answers")
    }
}

fn is_stranger(holder: &Contender) {
    assert_eq!((holder.mode, holder.fence), (None, None), "nobody knows how it shares: {holder:?}");
    assert!(holder.expires_in.is_some_and(|left| left <= LONG), "{holder:?}");
    assert!(holder.note.as_deref().unwrap_or_default().contains("another library"), "{holder:?}");
}

fn lock(name: &LockName, ttl: Duration) -> String {
    format!("lock {name} {}", ttl.as_millis())
}

fn wait(name: &LockName) -> String {
    format!("wait {name} {} {}", LONG.as_millis(), PATIENCE.as_millis())
}

fn unlock(name: &LockName) -> String {
    format!("unlock {name}")
}

/// While it holds, no claim of ours is granted, and we see who holds.
pub(crate) async fn its_lock_keeps_us_out(scene: &Scene) {
    let mut peer = scene.peer().await;
    for label in MODES {
        let (store, engine, name) = (scene.store(), scene.engine(), scene.name());
        peer.expect(&lock(&name, LONG), "granted").await;
        scene.is_kept_out(&store, label, &name).await;
        let terms = LockOptions { ttl: LONG, ..LockOptions::default() };
        let tried = engine.acquire(&name, mode(label), &terms, Wait::No, None).await;
        assert!(tried.expect("an answer of the store").is_none(), "{label}");
        // Control: who locks another key has the lock.
        drop(scene.acquired(&engine, label, &scene.name(), Wait::No).await);
        peer.expect(&unlock(&name), "released").await;
        scene.acquired(&engine, label, &name, Wait::No).await.release().await.expect("a release");
    }
}

/// Nobody is woken, so we ask; and get it soon after it was given back, long before its time to live.
pub(crate) async fn its_release_lets_us_in(scene: &Scene) {
    let mut peer = scene.peer().await;
    for label in MODES {
        let (engine, name) = (scene.engine(), scene.name());
        peer.expect(&lock(&name, LONG), "granted").await;
        let waiting = scene.acquired(&engine, label, &name, Wait::For(PATIENCE));
        let releasing = async {
            scene.env.sleep(Duration::from_millis(200)).await;
            peer.ask(&unlock(&name)).await
        };
        let (hold, answer) = tokio::join!(waiting, releasing);
        assert_eq!(answer, "released", "{label}");
        hold.release().await.expect("a release");
    }
}

/// While we hold, shared or not, it is told that it cannot.
pub(crate) async fn our_lock_keeps_it_out(scene: &Scene) {
    let mut peer = scene.peer().await;
    for label in MODES {
        let (engine, name) = (scene.engine(), scene.name());
        let hold = scene.acquired(&engine, label, &name, Wait::No).await;
        peer.expect(&lock(&name, LONG), "busy").await;
        peer.expect(&lock(&name, LONG), "busy").await;
        hold.confirm().await.expect("it did us no harm");
        // Control: it can lock what we do not.
        peer.expect(&lock(&scene.name(), LONG), "granted").await;
        drop(hold);
    }
}

/// It gets what we give back; of two who share, what the last one gives back.
pub(crate) async fn our_release_lets_it_in(scene: &Scene) {
    let mut peer = scene.peer().await;
    for label in MODES {
        let (engine, name) = (scene.engine(), scene.name());
        let hold = scene.acquired(&engine, label, &name, Wait::No).await;
        if label != "exclusive" {
            let other = scene.acquired(&engine, label, &name, Wait::No).await;
            peer.expect(&lock(&name, LONG), "busy").await;
            other.release().await.expect("a release");
        }
        peer.expect(&lock(&name, LONG), "busy").await;
        peer.send(&wait(&name));
        hold.release().await.expect("a release");
        assert_eq!(peer.answer().await, "granted", "{label}");
        peer.expect(&unlock(&name), "released").await;
    }
}

/// SIGKILL while it holds: its time to live is respected to the end, and not longer.
pub(crate) async fn its_lock_ends_when_it_was_killed(scene: &Scene) {
    for label in MODES {
        let (engine, name, mut peer) = (scene.engine(), scene.name(), scene.peer().await);
        let sent = scene.env.now();
        peer.expect(&lock(&name, SHORT), "granted").await;
        peer.kill();
        let hold = scene.acquired(&engine, label, &name, Wait::For(PATIENCE)).await;
        scene.is_not_early(&scene.store(), sent, SHORT);
        hold.confirm().await.expect("it is ours now");
    }
}

/// SIGKILL while we hold: it waits for the end of our time to live, and gets it then.
pub(crate) async fn our_lock_ends_when_we_were_killed(scene: &Scene) {
    for label in MODES {
        let (store, name) = (scene.store(), scene.name());
        let (mut ours, mut peer) = (scene.process_of_ours(label).await, scene.peer().await);
        let sent = scene.env.now();
        ours.expect(&lock(&name, SHORT), "granted").await;
        ours.kill();
        peer.expect(&wait(&name), "granted").await;
        scene.is_not_early(&store, sent, SHORT);
        scene.is_kept_out(&store, label, &name).await;
        peer.expect(&unlock(&name), "released").await;
    }
}

/// Its lock expired while it was busy, and we have it: its unlock finds nothing of its own.
pub(crate) async fn its_late_unlock_frees_nothing(scene: &Scene) {
    let (mut peer, mut other) = (scene.peer().await, scene.peer().await);
    let (engine, name) = (scene.engine(), scene.name());
    peer.expect(&lock(&name, SHORT), "granted").await;
    let hold = scene.acquired(&engine, "exclusive", &name, Wait::For(PATIENCE)).await;
    peer.expect(&unlock(&name), "gone").await;
    hold.confirm().await.expect("it did us no harm");
    other.expect(&lock(&name, LONG), "busy").await;
    // Control: who deletes without looking frees the lock of the next.
    assert_eq!(scene.naive(&format!("delete {name}")), "DELETED");
    other.expect(&lock(&name, LONG), "granted").await;
}

/// The same the other way round: our release after our time finds nothing of ours.
pub(crate) async fn our_late_release_frees_nothing(scene: &Scene) {
    let mut peer = scene.peer().await;
    for label in MODES {
        let (store, name) = (scene.store(), scene.name());
        let claim = scene.claim(label, &name, SHORT);
        let standing = store.claim(&claim).await.expect("an answer of the store");
        assert!(matches!(standing, Standing::Granted(_)), "{label}: {standing:?}");
        peer.expect(&wait(&name), "granted").await;
        assert_eq!(store.release(&claim).await.expect("an answer"), Release::NotHeld, "{label}");
        scene.is_kept_out(&store, label, &name).await;
        peer.expect(&unlock(&name), "released").await;
    }
}
