//! What holds between us and every stranger.

use std::{
    io::BufRead,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Engine, Env, ErrorKind, Hold, LockName, LockOptions, Mode, Wait, engine::Observer};
use leasehold_testkit::{
    peer::{Peer, Program, STORE},
    zookeeper::Server,
};
use tokio::sync::mpsc::unbounded_channel;

use crate::{Stranger, common};

/// How long a case may take; one that hangs fails by its name.
pub(crate) const CASE_LIMIT: Duration = Duration::from_secs(120);
/// How long a peer may take to answer, also when it waits for a lock.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(45);
/// How long a lock is waited for that others give up or lose.
const PATIENCE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(60);

/// One stranger and us on one server.
pub(crate) struct Scene {
    pub(crate) env: Env,
    pub(crate) server: Arc<Server>,
    pub(crate) stranger: &'static Stranger,
    pub(crate) program: Program,
}

impl Scene {
    async fn peer(&self) -> Peer {
        Peer::start(&self.program, &self.server.address(), ANSWER_LIMIT).await
    }

    fn words(&self) -> String {
        format!("servers={} chroot=/locks{}", self.server.address(), self.stranger.dialect)
    }

    async fn engine(&self) -> Engine {
        let store = common::open(self.env.clone(), self.words()).await.expect("a server that serves");
        Engine::new(Arc::new(store), self.env.clone())
    }

    /// A name that no other case uses.
    fn name(&self) -> LockName {
        LockName::new(format!("{}-{:032x}", self.stranger.label, self.env.random())).expect("a short name")
    }

    /// Every way of ours to hold.
    fn modes(&self) -> &'static [Mode] {
        let all = &[Mode::Exclusive, Mode::Shared, Mode::Permits { take: 1, of: 3 }];
        if self.stranger.dialect.is_empty() { all } else { &all[..1] }
    }
}

async fn tried(engine: &Engine, name: &LockName, mode: Mode) -> Option<Hold> {
    let terms = LockOptions { ttl: LONG, ..LockOptions::default() };
    engine.acquire(name, mode, &terms, Wait::No, None).await.expect("an answer of the store")
}

async fn won(engine: &Engine, name: &LockName, mode: Mode) -> Hold {
    let terms = LockOptions { ttl: LONG, ..LockOptions::default() };
    let hold = engine.acquire(name, mode, &terms, Wait::For(PATIENCE), None).await;
    hold.expect("an answer of the store").expect("it is free in the end")
}

fn lock(name: &LockName) -> String {
    format!("lock {name} {}", LONG.as_millis())
}

fn wait(name: &LockName) -> String {
    format!("wait {name} {} {}", LONG.as_millis(), PATIENCE.as_millis())
}

fn unlock(name: &LockName) -> String {
    format!("unlock {name}")
}

/// While it holds, no claim of ours is granted, and we see that somebody holds.
pub(crate) async fn its_lock_keeps_us_out(scene: &Scene) {
    let (mut peer, engine) = (scene.peer().await, scene.engine().await);
    for mode in scene.modes() {
        let name = scene.name();
        peer.expect(&lock(&name), "granted").await;
        if mode.limit().is_none() {
            assert!(tried(&engine, &name, *mode).await.is_none(), "{mode}");
            let snapshot = engine.store().inspect(&name).await.expect("an answer of the store");
            let [holder] = &snapshot.holders[..] else { panic!("one holder, not {:?}", snapshot.holders) };
            assert_eq!(holder.mode, None, "nobody knows how a stranger shares: {holder:?}");
        } else {
            // What it holds is a lock, and no places of a semaphore.
            let terms = LockOptions { ttl: LONG, ..LockOptions::default() };
            let error = engine.acquire(&name, *mode, &terms, Wait::No, None).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Mismatch, "{error:?}");
        }
        // Control: who locks another node has it.
        drop(tried(&engine, &scene.name(), *mode).await.expect("nobody holds it"));
        peer.expect(&unlock(&name), "released").await;
        tried(&engine, &name, *mode).await.expect("it was released").release().await.expect("a release");
    }
}

/// Its release says nothing to us; the servers do, long before we would ask again.
pub(crate) async fn its_release_wakes_us(scene: &Scene) {
    let (mut peer, engine, name) = (scene.peer().await, scene.engine().await, scene.name());
    peer.expect(&lock(&name), "granted").await;
    let (seen, mut answers) = unbounded_channel();
    let observer: Observer = Arc::new(move |busy| seen.send(busy.recheck_in).unwrap_or_default());
    let waiting = async {
        let (terms, observer) = (LockOptions { ttl: LONG, ..LockOptions::default() }, observer);
        engine.acquire(&name, Mode::Exclusive, &terms, Wait::For(PATIENCE), Some(&observer)).await
    };
    let releasing = async {
        // At the first answer it subscribes, at the second it sleeps.
        answers.recv().await.expect("the waiter is told that it is held");
        let recheck_in = answers.recv().await.expect("the waiter is told that it is held");
        peer.expect(&unlock(&name), "released").await;
        (recheck_in, scene.env.now())
    };
    let (hold, (recheck_in, released)) = tokio::join!(waiting, releasing);
    let hold = hold.expect("an answer of the store").expect("it was released");
    hold.release().await.expect("a release");
    let late = scene.env.now().since(released);
    assert!(late < recheck_in / 2, "{late:?}, asking again in {recheck_in:?}");
}

/// While we hold, shared or not, it is told that it cannot.
pub(crate) async fn our_lock_keeps_it_out(scene: &Scene) {
    let (mut peer, engine) = (scene.peer().await, scene.engine().await);
    for mode in scene.modes() {
        let name = scene.name();
        let hold = tried(&engine, &name, *mode).await.expect("nobody holds it");
        peer.expect(&lock(&name), "busy").await;
        // Also not by its own cleaning up after it failed.
        peer.expect(&lock(&name), "busy").await;
        hold.confirm().await.expect("it did us no harm");
        let elsewhere = scene.name();
        peer.expect(&lock(&elsewhere), "granted").await;
        peer.expect(&unlock(&elsewhere), "released").await;
    }
}

/// It gets what we give back; of two who share, what the last one gives back.
pub(crate) async fn our_release_lets_it_in(scene: &Scene) {
    let (mut peer, engine) = (scene.peer().await, scene.engine().await);
    for mode in scene.modes() {
        let name = scene.name();
        let hold = tried(&engine, &name, *mode).await.expect("nobody holds it");
        if *mode != Mode::Exclusive {
            let other = tried(&engine, &name, *mode).await.expect("they share");
            other.release().await.expect("a release");
            peer.expect(&lock(&name), "busy").await;
        }
        peer.send(&wait(&name));
        hold.release().await.expect("a release");
        assert_eq!(peer.answer().await, "granted", "{mode}");
        peer.expect(&unlock(&name), "released").await;
    }
}

/// SIGKILL while it holds: the servers end its session, and we are let in.
pub(crate) async fn its_lock_ends_when_it_was_killed(scene: &Scene) {
    let (mut peer, engine, name) = (scene.peer().await, scene.engine().await, scene.name());
    peer.expect(&lock(&name), "granted").await;
    peer.kill();
    assert!(tried(&engine, &name, Mode::Exclusive).await.is_none(), "its session is not over yet");
    won(&engine, &name, Mode::Exclusive).await.confirm().await.expect("it is ours now");
}

/// SIGKILL while we hold: the servers end our session, and it is let in.
pub(crate) async fn our_lock_ends_when_we_were_killed(scene: &Scene) {
    let (mut peer, name) = (scene.peer().await, scene.name());
    let words = format!("{} session=3000", scene.words());
    let mut ours = Peer::start(&Program::itself("holder"), &words, ANSWER_LIMIT).await;
    ours.expect(&lock(&name), "granted").await;
    peer.expect(&lock(&name), "busy").await;
    ours.kill();
    peer.expect(&wait(&name), "granted").await;
    assert!(tried(&scene.engine().await, &name, Mode::Exclusive).await.is_none());
    peer.expect(&unlock(&name), "released").await;
}

const ROUNDS: usize = 10;

/// Two of them and two of us take turns: never is more than one inside.
pub(crate) async fn in_a_crowd_one_is_inside(scene: &Scene) {
    let (one, two) = (scene.peer().await, scene.peer().await);
    let (engine, other) = (scene.engine().await, scene.engine().await);
    let (name, inside) = (scene.name(), AtomicUsize::new(0));
    let work = async || {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one is inside");
        scene.env.sleep(Duration::from_millis(1)).await;
        inside.fetch_sub(1, Ordering::SeqCst);
    };
    let theirs = async |mut peer: Peer| {
        for _ in 0..ROUNDS {
            peer.expect(&wait(&name), "granted").await;
            work().await;
            peer.expect(&unlock(&name), "released").await;
        }
    };
    let ours = async |engine: &Engine| {
        for _ in 0..ROUNDS {
            let hold = won(engine, &name, Mode::Exclusive).await;
            work().await;
            hold.release().await.expect("a release");
        }
    };
    tokio::join!(theirs(one), theirs(two), ours(&engine), ours(&other));
}

/// kazoo does not see our own layout: we refuse to stand in its queue, rather than to hold with it.
pub(crate) async fn its_layout_is_refused(scene: &Scene) {
    let (mut peer, engine, name) = (scene.peer().await, scene.engine().await, scene.name());
    peer.expect(&lock(&name), "granted").await;
    let error =
        engine.acquire(&name, Mode::Exclusive, &LockOptions::default(), Wait::No, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe, "{error:?}");
    assert!(error.hint_text().unwrap().contains("dialect=kazoo"), "{error:?}");
    peer.expect(&unlock(&name), "released").await;
    // The control: it does not see us.
    let hold = tried(&engine, &name, Mode::Exclusive).await.expect("nobody holds it");
    peer.expect(&lock(&name), "granted").await;
    drop(hold);
}

/// This program as a holder of its own process.
pub(crate) fn play(_role: &str) -> ExitCode {
    let words = std::env::var(STORE).expect("where the locks are");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("this machine can poll");
    runtime.block_on(async {
        let env = common::env();
        let store = common::open(env.clone(), words).await.expect("a server that serves");
        let engine = Engine::new(Arc::new(store), env);
        say("ready leasehold");
        let mut holds = Vec::new();
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let name = line.split(' ').nth(1).expect("a name");
            let name = LockName::new(name).expect("a short name");
            let terms = LockOptions { ttl: Duration::from_secs(3), ..LockOptions::default() };
            let hold =
                engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None).await.expect("an answer");
            say(if hold.is_some() { "granted" } else { "busy" });
            holds.push(hold);
        }
    });
    ExitCode::SUCCESS
}

fn say(line: &str) {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    // The other side may have gone; then so does this process, at the end of its input.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
