use std::{
    future::Future,
    pin::pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    Binding, BoxFuture, FencingToken, Lost, LostReason, Release, Status,
    env::Virtual,
    layer::{Chaos, Fault, Verb},
    memory::Memory,
};

mod amend;
mod contention;
mod dropped;
mod fairness;
mod handover;
mod health;
mod in_doubt;
mod lease;
mod neighbours;
mod panics;
mod random_faults;
mod release;
mod revalidation;
mod spurious_wakes;
mod suspend;
mod ticket;
mod waits;

const TTL: Duration = Duration::from_secs(10);

struct Bench {
    world: Virtual,
    memory: Memory,
}

fn bench(seed: u64) -> Bench {
    let world = Virtual::new(seed);
    let memory = Memory::new(world.env());
    Bench { world, memory }
}

impl Bench {
    fn engine(&self) -> Engine {
        Engine::new(Arc::new(self.memory.client()), self.world.env())
    }

    fn chaotic(&self, plan: impl Fn(u64, Verb) -> Fault + Send + Sync + 'static) -> Engine {
        let env = self.world.env();
        Engine::new(Arc::new(Chaos::new(Arc::new(self.memory.client()), env.clone(), plan)), env)
    }

    fn snapshot(&self) -> Snapshot {
        self.world.block_on(self.memory.inspect(&name())).unwrap()
    }

    /// Nothing is held or queued, and no task but the watchdogs is left.
    fn is_clean(&self, watchdogs: u64) -> bool {
        self.world.settle();
        let snapshot = self.snapshot();
        snapshot.holders.is_empty() && snapshot.waiters.is_empty() && self.world.tasks_alive() == watchdogs
    }
}

fn name() -> LockName {
    LockName::new("x").unwrap()
}

fn terms() -> LockOptions {
    LockOptions { ttl: TTL, ..LockOptions::default() }
}

async fn lock(engine: &Engine) -> Hold {
    engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::Forever, None).await.unwrap().unwrap()
}

async fn try_lock(engine: &Engine) -> Result<Option<Hold>> {
    engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::No, None).await
}

#[test]
fn promise_1_contention_is_none_and_names_the_holder() {
    let bench = bench(1);
    let (a, b) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let noted = LockOptions { note: Some("a".into()), ..terms() };
        let hold = a.acquire(&name(), Mode::Exclusive, &noted, Wait::No, None).await.unwrap().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let observer: Observer = Arc::new(move |busy: &crate::Busy| {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(busy.clone());
        });
        let answer = b.acquire(&name(), Mode::Exclusive, &terms(), Wait::No, Some(&observer)).await.unwrap();
        assert!(answer.is_none());
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].holder.as_ref().unwrap().note.as_deref(), Some("a"));
        drop(hold);
    });
}

#[test]
fn promise_6_a_stale_holder_cannot_end_its_successor() {
    let bench = bench(1);
    let (paused, next) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let stale = lock(&paused).await;
        bench.world.pause(TTL * 2);
        let hold = lock(&next).await;
        assert!(stale.check().is_err());
        assert_eq!(stale.release().await.unwrap(), Release::NotHeld);
        hold.confirm().await.unwrap();
    });
}

#[test]
fn promise_7_a_store_without_durable_tokens_is_refused_when_they_are_required() {
    let bench = bench(1);
    let engine = bench.engine();
    let strict = LockOptions { require_fencing: true, ..terms() };
    let error = engine.admits(&name(), Mode::Exclusive, &strict).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn promise_9_a_store_that_never_answers_is_given_up_on_and_a_late_grant_released() {
    let bench = bench(1);
    let hung = bench
        .chaotic(|number, _| if number == 0 { Fault::Delay(Duration::from_secs(60)) } else { Fault::None });
    let begin = bench.world.env().now();
    let error = bench.world.block_on(try_lock(&hung)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, crate::Outcome::Unknown));
    assert_eq!(bench.world.env().now().since(begin), terms().retry_timeout);
    bench.world.advance(Duration::from_secs(61));
    assert!(bench.is_clean(1));
}

#[test]
fn the_tasks_of_one_client_make_one_attempt_a_lock() {
    let bench = bench(1);
    let (busy, other) = (bench.engine(), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let done = Arc::new(std::sync::atomic::AtomicU32::new(0));
    for _ in 0..50 {
        let (busy, done) = (busy.clone(), done.clone());
        bench.world.env().spawn(async move {
            lock(&busy).await.release().await.unwrap();
            done.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        });
    }
    bench.world.advance(Duration::from_secs(1));
    assert_eq!(bench.snapshot().waiters.len(), 1);
    bench.world.block_on(hold.release()).unwrap();
    bench.world.advance(Duration::from_secs(1));
    assert_eq!(done.load(std::sync::atomic::Ordering::Acquire), 50);
}

#[test]
fn waiting_ends_on_time_and_leaves_no_place_in_the_queue() {
    let bench = bench(1);
    let (holder, waiter) = (bench.engine(), bench.engine());
    let hold = bench.world.block_on(lock(&holder));
    let begin = bench.world.env().now();
    let two_seconds = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(waiter.acquire(&name(), Mode::Exclusive, &terms(), two_seconds, None));
    assert!(answer.unwrap().is_none());
    assert_eq!(bench.world.env().now().since(begin), Duration::from_secs(2));
    assert!(bench.snapshot().waiters.is_empty());
    drop(hold);
}

#[test]
fn an_uncontended_lock_and_unlock_are_one_operation_each_and_so_is_a_busy_try() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = Arc::new(Chaos::new(Arc::new(bench.memory.client()), env.clone(), |_, _| Fault::None));
    let (engine, other) = (Engine::new(counted.clone(), env), bench.engine());
    bench.world.block_on(async {
        let hold = lock(&engine).await;
        assert_eq!(counted.operations(), 1);
        hold.release().await.unwrap();
        assert_eq!(counted.operations(), 2);
        let hold = lock(&other).await;
        assert!(try_lock(&engine).await.unwrap().is_none());
        assert_eq!(counted.operations(), 3);
        drop(hold);
    });
}

#[test]
fn a_waiter_enters_right_after_the_lock_delay_of_a_holder_that_died() {
    let bench = bench(1);
    let (holder, waiter) = (Engine::new(Arc::new(bench.memory.client()), bench.world.env()), bench.engine());
    let delay = Duration::from_millis(20);
    let delayed = LockOptions { lock_delay: delay, ..terms() };
    let hold = bench
        .world
        .block_on(holder.acquire(&name(), Mode::Exclusive, &delayed, Wait::No, None))
        .unwrap()
        .unwrap();
    let entered = Arc::new(Mutex::new(None));
    let (log, env) = (entered.clone(), bench.world.env());
    bench.world.env().spawn(async move {
        let hold = lock(&waiter).await;
        *log.lock().unwrap() = Some(env.now());
        drop(hold);
    });
    bench.world.advance(Duration::from_millis(100));
    let death = bench.world.env().now();
    bench.world.block_on(holder.store().close()).unwrap();
    bench.world.advance(Duration::from_secs(1));
    let after = entered.lock().unwrap().expect("the waiter entered").since(death);
    assert!(after >= delay && after < delay * 2, "{after:?}");
    drop(hold);
}

#[test]
fn different_limits_are_an_error_that_names_both() {
    let bench = bench(1);
    let engine = bench.engine();
    let permits = |of| Mode::Permits { take: 1, of };
    bench.world.block_on(async {
        let hold = engine.acquire(&name(), permits(3), &terms(), Wait::No, None).await.unwrap().unwrap();
        let error = engine.acquire(&name(), permits(5), &terms(), Wait::No, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(
            error.to_string().contains("5 permits") && error.to_string().contains("3 permits"),
            "{error}"
        );
        drop(hold);
    });
}

#[test]
fn everything_is_send_and_sync() {
    fn both<T: Send + Sync>() {}
    fn send<T: Send>(_: &T) {}
    both::<Engine>();
    both::<Hold>();
    both::<crate::Lease>();
    let bench = bench(1);
    let engine = bench.engine();
    let (name, terms) = (name(), terms());
    send(&engine.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None));
    let hold = bench.world.block_on(lock(&engine));
    send(&hold.lost());
    send(&hold.changed_from(Status::Safe));
    send(&hold.run(async {}));
    send(&hold.confirm());
}
