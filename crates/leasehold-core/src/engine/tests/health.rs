//! How a client stands, as the worst of its leases does.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A link that can be cut and healed.
#[derive(Clone, Default)]
struct Link(Arc<AtomicBool>);

impl Link {
    fn engine(&self, bench: &Bench) -> Engine {
        let cut = self.0.clone();
        bench.chaotic(move |_, _| if cut.load(Ordering::Acquire) { Fault::LoseRequest } else { Fault::None })
    }

    fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn heal(&self) {
        self.0.store(false, Ordering::Release);
    }
}

async fn lock_named(engine: &Engine, text: &str) -> Hold {
    let name = LockName::new(text).unwrap();
    engine.acquire(&name, Mode::Exclusive, &terms(), Wait::No, None).await.unwrap().unwrap()
}

fn is_news(bench: &Bench, session: &mut Session) -> bool {
    let env = bench.world.env();
    let now = env.now();
    bench.world.block_on(async { env.until(now, session.changed()).await.is_some() })
}

#[test]
fn jeopardy_is_announced_before_the_loss_and_taken_back_when_the_link_heals() {
    let (bench, link) = (bench(1), Link::default());
    let (engine, env) = (link.engine(&bench), bench.world.env());
    bench.world.block_on(async {
        let mut session = engine.session();
        assert_eq!(session.state(), SessionState::Safe);
        let hold = lock(&engine).await;
        link.cut();
        assert_eq!(session.changed().await, SessionState::Jeopardy);
        assert_eq!((hold.status(), session.state()), (Status::Jeopardy, SessionState::Jeopardy));
        assert!(hold.remaining() >= TTL / 2, "{:?}", hold.remaining());
        link.heal();
        assert_eq!(session.changed().await, SessionState::Safe);
        assert_eq!(hold.status(), Status::Safe);
        // The second time nobody heals it.
        link.cut();
        assert_eq!(session.changed().await, SessionState::Jeopardy);
        let deadline = hold.deadline();
        assert_eq!(session.changed().await, SessionState::Expired);
        assert!(env.now() <= deadline && deadline.since(env.now()) < TTL / 10);
        assert!(hold.check().is_err());
    });
}

/// Neither a healed link nor the end of the lost guard alone is news of the store.
#[test]
fn after_a_loss_it_is_safe_again_once_the_guard_is_gone_and_the_store_has_granted_something() {
    for guard_goes_first in [true, false] {
        let (bench, link) = (bench(1), Link::default());
        let engine = link.engine(&bench);
        bench.world.block_on(async {
            let mut session = engine.session();
            let lost = lock(&engine).await;
            link.cut();
            assert_eq!(session.changed().await, SessionState::Jeopardy);
            assert_eq!(session.changed().await, SessionState::Expired);
            link.heal();
            bench.world.env().sleep(TTL * 3).await;
            assert_eq!(session.state(), SessionState::Expired);
            let next = if guard_goes_first {
                drop(lost);
                assert_eq!(session.state(), SessionState::Expired);
                lock_named(&engine, "y").await
            } else {
                let next = lock_named(&engine, "y").await;
                assert_eq!(session.state(), SessionState::Expired);
                drop(lost);
                next
            };
            assert_eq!(session.changed().await, SessionState::Safe);
            drop(next);
            assert_eq!(session.state(), SessionState::Safe);
        });
    }
}

#[test]
fn one_lease_of_many_that_is_lost_is_enough() {
    let bench = bench(1);
    let engine = bench.engine();
    bench.world.block_on(async {
        let mut session = engine.session();
        let (lost, kept) = (lock(&engine).await, lock_named(&engine, "y").await);
        bench.memory.force_release(&name()).await.unwrap();
        assert_eq!(session.changed().await, SessionState::Expired);
        assert_eq!(kept.status(), Status::Safe);
        drop(lost);
        // The other one is renewed after a third of the ttl at the latest.
        bench.world.env().sleep(TTL / 3).await;
        assert_eq!(session.changed().await, SessionState::Safe);
    });
}

#[test]
fn a_watcher_that_comes_too_late_still_hears_of_the_loss() {
    let bench = bench(1);
    let engine = bench.engine();
    let mut session = engine.session();
    let lost = bench.world.block_on(lock(&engine));
    bench.world.block_on(bench.memory.force_release(&name())).unwrap();
    bench.world.advance(TTL);
    assert!(lost.check().is_err());
    drop(lost);
    let held = bench.world.block_on(lock(&engine));
    assert_eq!(session.state(), SessionState::Safe);
    assert_eq!(bench.world.block_on(session.changed()), SessionState::Expired);
    assert_eq!(bench.world.block_on(session.changed()), SessionState::Safe);
    assert!(!is_news(&bench, &mut session));
    drop(held);
}

#[test]
fn it_is_exact_after_a_pause_with_nobody_telling() {
    let bench = bench(1);
    let engine = bench.engine();
    let hold = bench.world.block_on(lock(&engine));
    let mut session = engine.session();
    bench.world.pause(TTL / 2);
    assert_eq!((session.state(), hold.status()), (SessionState::Jeopardy, Status::Jeopardy));
    bench.world.pause(TTL / 2 - Duration::from_nanos(1));
    assert_eq!((session.state(), hold.check()), (SessionState::Jeopardy, Ok(())));
    bench.world.pause(Duration::from_nanos(1));
    assert_eq!(session.state(), SessionState::Expired);
    assert!(is_news(&bench, &mut session));
    assert!(hold.check().is_err());
}

#[test]
fn what_is_given_up_in_jeopardy_is_in_jeopardy_no_longer() {
    let (bench, link) = (bench(1), Link::default());
    let engine = link.engine(&bench);
    bench.world.block_on(async {
        let mut session = engine.session();
        let hold = lock(&engine).await;
        let lease = hold.lease().clone();
        link.cut();
        assert_eq!(session.changed().await, SessionState::Jeopardy);
        drop(hold);
        assert_eq!(session.changed().await, SessionState::Safe);
        // Its clone ends at its deadline; the client has not lost anything.
        bench.world.env().sleep(TTL).await;
        assert!(lease.check().is_err());
        assert_eq!(session.state(), SessionState::Safe);
    });
}

#[test]
fn a_closed_client_is_expired_and_so_is_one_that_is_gone() {
    let bench = bench(1);
    for closes in [true, false] {
        let engine = bench.engine();
        let mut session = engine.session();
        if closes {
            bench.world.block_on(engine.close(TTL)).unwrap();
        } else {
            drop(engine);
        }
        assert_eq!(bench.world.block_on(session.changed()), SessionState::Expired);
        assert_eq!(session.state(), SessionState::Expired);
        assert!(!is_news(&bench, &mut session));
    }
}

/// The worst of what the guards say, whatever happens in whatever order.
#[test]
fn in_bad_weather_it_is_what_the_worst_of_the_leases_says() {
    for seed in 0..200 {
        let (bench, link) = (bench(seed), Link::default());
        let (engine, env) = (link.engine(&bench), bench.world.env());
        let mut holds: Vec<Hold> = Vec::new();
        let session = engine.session();
        let mut expired = 0;
        for step in 0..60 {
            match env.random() % 7 {
                0 | 1 => {
                    let name = LockName::new(format!("{step}")).unwrap();
                    let terms = terms();
                    let asked = engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None);
                    holds.extend(bench.world.block_on(asked).ok().flatten());
                }
                2 if !holds.is_empty() => {
                    let at = env.random() as usize % holds.len();
                    drop(holds.swap_remove(at));
                }
                3 => link.cut(),
                4 => link.heal(),
                5 => bench.world.pause(env.jitter(TTL / 2)),
                _ => bench.world.advance(env.jitter(TTL / 2)),
            }
            let state = session.state();
            let worst = holds.iter().map(|hold| match hold.status() {
                Status::Safe => SessionState::Safe,
                Status::Jeopardy => SessionState::Jeopardy,
                Status::Lost(_) => SessionState::Expired,
            });
            let worst = worst.max().unwrap_or_default();
            // Who has dropped what was lost may be told so until the store has confirmed something.
            assert!(state == worst || state == SessionState::Expired, "{state} {worst} {seed} {step}");
            assert!(worst != SessionState::Expired || state == worst, "{seed} {step}");
            expired += usize::from(state == SessionState::Expired);
        }
        link.heal();
        holds.clear();
        let last = bench.world.block_on(lock(&engine));
        assert_eq!(session.state(), SessionState::Safe, "{seed} {expired}");
        drop(last);
    }
}
