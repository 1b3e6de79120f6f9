use std::{
    future::Future,
    pin::pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    Binding, FencingToken, Lost, LostReason, Release, Status,
    env::Virtual,
    layer::{Chaos, Fault, Verb},
    memory::Memory,
};

mod contention;
mod handover;
mod health;
mod in_doubt;
mod panics;
mod random_faults;
mod release;
mod revalidation;
mod spurious_wakes;
mod suspend;

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
fn promise_2_the_deadline_counts_from_before_the_request_was_sent() {
    let bench = bench(1);
    let slow = bench.chaotic(|_, verb| match verb {
        Verb::Claim => Fault::DelayReply(Duration::from_secs(4)),
        _ => Fault::None,
    });
    let hold = bench.world.block_on(lock(&slow));
    assert_eq!(hold.remaining(), TTL - Duration::from_secs(4));
}

#[test]
fn promise_2_a_renewal_counts_from_before_it_was_sent() {
    let bench = bench(1);
    let late = Duration::from_secs(2);
    let slow =
        bench.chaotic(move |_, verb| if verb == Verb::Renew { Fault::DelayReply(late) } else { Fault::None });
    let hold = bench.world.block_on(lock(&slow));
    let before = hold.deadline();
    bench.world.advance(TTL / 3 + late + Duration::from_millis(1));
    let gained = hold.deadline().since(before);
    assert!(gained > Duration::ZERO && gained <= TTL / 3, "{gained:?}");
}

#[test]
fn promise_2_a_grant_whose_reply_comes_after_the_deadline_is_no_lock() {
    let bench = bench(1);
    let slow = bench.chaotic(|_, verb| match verb {
        Verb::Claim => Fault::DelayReply(TTL),
        _ => Fault::None,
    });
    let patient = LockOptions { retry_timeout: TTL * 10, ..terms() };
    let answer = bench.world.block_on(slow.acquire(&name(), Mode::Exclusive, &patient, Wait::Forever, None));
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(bench.is_clean(1));
}

#[test]
fn promise_3_loss_is_signalled_no_later_than_the_deadline_without_the_store() {
    let bench = bench(1);
    let cut = bench.chaotic(|_, verb| if verb == Verb::Renew { Fault::LoseRequest } else { Fault::None });
    let env = bench.world.env();
    bench.world.block_on(async {
        let hold = lock(&cut).await;
        let begin = env.now();
        assert_eq!(hold.lease().changed_from(Status::Safe).await, Status::Jeopardy);
        assert!(env.now().since(begin) < TTL / 2);
        let lost = hold.lost().await;
        assert_eq!(lost, Lost { reason: LostReason::Expired, certain: false });
        let after = env.now().since(begin);
        assert!(after <= TTL && after > TTL - Duration::from_millis(150), "{after:?}");
    });
}

#[test]
fn promise_3_a_hung_renewal_does_not_keep_the_others_from_being_tried() {
    let bench = bench(1);
    let engine = bench.chaotic(|number, verb| match verb {
        Verb::Renew if number < 3 => Fault::Hang,
        _ => Fault::None,
    });
    let hold = bench.world.block_on(lock(&engine));
    bench.world.advance(TTL * 5);
    assert_eq!(hold.status(), Status::Safe);
}

#[test]
fn a_lease_is_renewed_as_long_as_it_is_held_and_no_longer() {
    let bench = bench(1);
    let engine = bench.engine();
    let hold = bench.world.block_on(lock(&engine));
    bench.world.advance(TTL * 100);
    assert_eq!(hold.status(), Status::Safe);
    assert!(hold.remaining() > TTL / 2);
    drop(hold);
    assert!(bench.is_clean(1));
}

#[test]
fn a_lease_without_renewal_ends_at_its_deadline() {
    let bench = bench(1);
    let engine = bench.engine();
    let once = LockOptions { renew: false, ..terms() };
    let hold = bench
        .world
        .block_on(engine.acquire(&name(), Mode::Exclusive, &once, Wait::No, None))
        .unwrap()
        .unwrap();
    assert_eq!(bench.world.block_on(hold.lost()).reason, LostReason::Expired);
}

#[test]
fn max_hold_ends_the_lease_of_a_holder_that_hangs() {
    let bench = bench(1);
    let engine = bench.engine();
    let bounded = LockOptions { max_hold: Some(TTL * 3), ..terms() };
    let begin = bench.world.env().now();
    let hold = bench
        .world
        .block_on(engine.acquire(&name(), Mode::Exclusive, &bounded, Wait::No, None))
        .unwrap()
        .unwrap();
    assert_eq!(bench.world.block_on(hold.lost()).reason, LostReason::MaxHold);
    assert!(bench.world.env().now().since(begin) <= TTL * 3);
}

#[test]
fn a_forced_release_is_noticed_at_the_next_renewal_and_the_counter_is_raised() {
    let bench = bench(1);
    let (holder, operator) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let hold = lock(&holder).await;
        let before = hold.fencing_token().unwrap();
        assert_eq!(operator.force_release(&name()).await.unwrap().len(), 1);
        assert_eq!(hold.lost().await, Lost { reason: LostReason::ForceReleased, certain: true });
        assert_eq!(hold.release().await.unwrap(), Release::NotHeld);
        let next = lock(&operator).await;
        assert!(
            next.fencing_token().unwrap() > FencingToken::after(before.get(), 0).unwrap(),
            "a gap shows the force"
        );
    });
}

#[test]
fn promise_5_whatever_is_lost_at_whatever_operation_nothing_remains_and_nobody_holds_twice() {
    for fault in [Fault::LoseRequest, Fault::LoseReply, Fault::Hang] {
        for at in 0.. {
            let bench = bench(at);
            let env = bench.world.env();
            let chaos = Arc::new(Chaos::at(Arc::new(bench.memory.client()), env.clone(), at, fault));
            let (faulty, other) = (Engine::new(chaos.clone(), env), bench.engine());
            let holders = std::sync::atomic::AtomicU32::new(0);
            let section = async |engine: &Engine| {
                let Ok(hold) = engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::Forever, None).await
                else {
                    return;
                };
                let work = async {
                    assert_eq!(
                        holders.fetch_add(1, std::sync::atomic::Ordering::AcqRel),
                        0,
                        "{fault:?} at {at}"
                    );
                    engine.env().sleep(TTL).await;
                    holders.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
                };
                let hold = hold.unwrap();
                let _ = hold.run(work).await;
                let _ = hold.release().await;
            };
            bench.world.block_on(async {
                let both = async { tokio::join!(section(&faulty), section(&other)) };
                both.await;
            });
            bench.world.advance(TTL * 2);
            assert!(bench.is_clean(2), "{fault:?} at {at}: {:?}", bench.snapshot());
            if chaos.operations() <= at {
                break;
            }
        }
    }
}

#[test]
fn promise_5_an_acquisition_dropped_after_any_number_of_polls_leaves_nothing() {
    for contended in [false, true] {
        for polls in 0..40 {
            let bench = bench(polls);
            let delay = |_, _| Fault::Delay(Duration::from_millis(7));
            let (slow, other) = (bench.chaotic(delay), bench.engine());
            let hold = contended.then(|| bench.world.block_on(lock(&other)));
            {
                let (name, terms) = (name(), terms());
                let mut acquire = pin!(slow.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None));
                for _ in 0..polls {
                    let ready = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    if let Poll::Ready(answer) = ready {
                        drop(answer);
                        break;
                    }
                    bench.world.advance(Duration::from_millis(3));
                }
            }
            drop(hold);
            bench.world.advance(Duration::from_secs(1));
            assert!(bench.is_clean(2), "{polls} polls: {:?}", bench.snapshot());
            assert_eq!(slow.claims_alive(), 0);
        }
    }
}

#[test]
fn promise_5_a_release_dropped_after_any_number_of_polls_is_carried_out() {
    for polls in 0..10 {
        let bench = bench(polls);
        let slow = bench.chaotic(|_, _| Fault::Delay(Duration::from_millis(7)));
        let hold = bench.world.block_on(lock(&slow));
        {
            let mut release = pin!(hold.release());
            for _ in 0..polls {
                if release.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                bench.world.advance(Duration::from_millis(3));
            }
        }
        bench.world.advance(Duration::from_secs(1));
        assert!(bench.is_clean(1), "{polls} polls");
    }
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
fn promise_8_a_dropped_hold_is_released_and_close_waits_for_it() {
    let bench = bench(1);
    let slow = bench.chaotic(|_, verb| match verb {
        Verb::Release => Fault::Delay(Duration::from_millis(500)),
        _ => Fault::None,
    });
    bench.world.block_on(async {
        drop(lock(&slow).await);
        assert_eq!(bench.memory.inspect(&name()).await.unwrap().holders.len(), 1);
        slow.close(Duration::from_secs(1)).await.unwrap();
        assert!(bench.memory.inspect(&name()).await.unwrap().holders.is_empty());
        assert_eq!(try_lock(&slow).await.unwrap_err().kind(), ErrorKind::Closed);
    });
    drop(slow);
    assert!(bench.is_clean(0));
}

#[test]
fn promise_8_close_ends_the_leases_that_are_still_held() {
    let bench = bench(1);
    let engine = bench.engine();
    let hold = bench.world.block_on(lock(&engine));
    bench.world.block_on(engine.close(Duration::from_secs(1))).unwrap();
    assert_eq!(hold.check().unwrap_err().reason, LostReason::Closed);
    assert!(bench.snapshot().holders.is_empty());
    drop(hold);
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
fn a_thousand_locks_renew_in_few_calls() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = Arc::new(Chaos::new(Arc::new(bench.memory.client()), env.clone(), |_, _| Fault::None));
    let engine = Engine::new(counted.clone(), env);
    let terms = terms();
    let holds: Vec<Hold> = (0..1000)
        .map(|index| {
            let name = LockName::new(format!("lock {index}")).unwrap();
            let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None);
            bench.world.block_on(hold).unwrap().unwrap()
        })
        .collect();
    let before = counted.operations();
    bench.world.advance(TTL / 2);
    assert!(counted.operations() - before <= 10, "{}", counted.operations() - before);
    assert!(holds.iter().all(|hold| hold.status() == Status::Safe));
}

#[test]
fn a_ticket_hands_a_hold_from_one_client_to_another() {
    let bench = bench(1);
    let (a, b) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let hold = lock(&a).await;
        let token = hold.fencing_token();
        let ticket = hold.detach(TTL).await.unwrap();
        a.close(Duration::from_secs(1)).await.unwrap();
        let ticket: Ticket = ticket.to_string().parse().unwrap();
        let hold = b.adopt(&ticket, &terms()).await.unwrap();
        assert_eq!(hold.fencing_token(), token);
        b.env().sleep(TTL * 3).await;
        hold.check().unwrap();
        hold.release().await.unwrap();
        assert_eq!(b.adopt(&ticket, &terms()).await.unwrap_err().kind(), ErrorKind::Lost);
        assert_eq!(b.release_ticket(&ticket).await.unwrap(), Release::NotHeld);
    });
}

#[test]
fn a_hold_that_outlives_its_client_can_be_left_without_io_and_another_is_released() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = Arc::new(Chaos::new(Arc::new(bench.memory.client()), env.clone(), |_, _| Fault::None));
    let engine = Engine::new(counted.clone(), env);
    bench.world.block_on(async {
        let lasting = LockOptions { binding: Binding::Ttl, ..terms() };
        let hold = engine.acquire(&name(), Mode::Exclusive, &lasting, Wait::No, None).await.unwrap().unwrap();
        let ticket = hold.into_ticket().unwrap();
        assert_eq!((counted.operations(), engine.claims_alive()), (1, 0));
        engine.env().sleep(TTL / 2).await;
        assert!(try_lock(&engine).await.unwrap().is_none());
        assert_eq!(engine.release_ticket(&ticket).await.unwrap(), Release::Released);
        let error = lock(&engine).await.into_ticket().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    });
    assert!(bench.is_clean(1));
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
