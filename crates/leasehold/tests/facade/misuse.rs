//! What people do wrong, and what must not come of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use leasehold::{
    Client, ErrorKind, Ticket,
    store::{ClaimId, Release},
};

use crate::bench::{Bench, TTL};

#[test]
fn a1_releasing_twice_by_ticket_leaves_the_successor_alone() {
    let bench = Bench::new(1);
    let client = bench.client();
    bench.world.block_on(async {
        let mutex = client.mutex("x").unwrap();
        let ticket = mutex.lock().await.unwrap().detach(TTL).await.unwrap();
        assert_eq!(client.release(&ticket).await.unwrap(), Release::Released);
        let successor = mutex.lock().await.unwrap();
        assert_eq!(client.release(&ticket).await.unwrap(), Release::NotHeld);
        successor.confirm().await.unwrap();
    });
}

#[test]
fn a2_a_foreign_claim_neither_releases_nor_adopts_and_force_raises_the_token() {
    let bench = Bench::new(1);
    let (holder, other) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let guard = holder.mutex("x").unwrap().lock().await.unwrap();
        let forged = Ticket {
            name: guard.name().clone(),
            id: ClaimId::from_bits(7),
            mode: guard.mode(),
            fence: guard.fencing_token(),
        };
        assert_eq!(other.release(&forged).await.unwrap(), Release::NotHeld);
        assert_eq!(other.adopt(&forged).await.unwrap_err().kind(), ErrorKind::Lost);
        guard.confirm().await.unwrap();
        let sequencer = guard.sequencer().unwrap();
        assert!(other.check(&sequencer).await.unwrap());
        other.force_release("x").await.unwrap();
        assert!(!other.check(&sequencer).await.unwrap());
        let next = other.mutex("x").unwrap().lock().await.unwrap();
        assert!(next.fencing_token() > guard.fencing_token());
    });
}

#[test]
fn a5_a_panic_releases_what_was_held() {
    let bench = Bench::new(1);
    let client = bench.client();
    let mutex = client.mutex("x").unwrap();
    let held = AssertUnwindSafe(|| {
        let _guard = bench.world.block_on(mutex.lock()).unwrap();
        panic!("on purpose, with a guard in hand");
    });
    catch_unwind(held).unwrap_err();
    bench.assert_clean(&[&client], "a guard in hand");
    let inside = AssertUnwindSafe(|| {
        bench.world.block_on(mutex.with(|_| async { panic!("on purpose, inside of the work") })).unwrap();
    });
    catch_unwind(inside).unwrap_err();
    bench.assert_clean(&[&client], "inside of the work");
}

#[test]
fn a5_a_guard_dropped_while_another_panic_unwinds_does_not_abort() {
    struct LocksInDrop<'a>(&'a Bench, &'a Client);
    impl Drop for LocksInDrop<'_> {
        fn drop(&mut self) {
            drop(self.0.world.block_on(self.1.mutex("y").unwrap().lock()).unwrap());
        }
    }
    let bench = Bench::new(1);
    let client = bench.client();
    let unwinding = AssertUnwindSafe(|| {
        let _late = LocksInDrop(&bench, &client);
        panic!("on purpose");
    });
    catch_unwind(unwinding).unwrap_err();
    bench.assert_clean(&[&client], "locked in drop");
}

#[test]
fn a6_a_guard_dropped_after_its_runtime_and_outside_of_any_is_released() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = runtime();
    let (client, guard) = first.block_on(async {
        let client = Client::connect("memory:a6").await.unwrap();
        let guard = client.mutex("x").unwrap().lock().await.unwrap();
        (client, guard)
    });
    first.shutdown_timeout(Duration::from_millis(10));
    drop(guard);
    runtime().block_on(async {
        let again = client.mutex("x").unwrap().try_lock_for(Duration::from_secs(5)).await.unwrap();
        assert!(again.is_some(), "long before the ttl of 30 s");
    });
}

#[test]
fn a7_a_forgotten_guard_is_bounded_by_max_hold_and_without_it_by_nothing() {
    for bounded in [true, false] {
        let bench = Bench::new(1);
        let (forgetful, other) = (bench.client(), bench.client());
        bench.world.block_on(async {
            let mutex = forgetful.mutex("x").unwrap();
            let mutex = match bounded {
                true => mutex.max_hold(TTL * 3),
                false => mutex,
            };
            std::mem::forget(mutex.lock().await.unwrap());
            let free = other.mutex("x").unwrap().try_lock_for(TTL * 4).await.unwrap();
            assert_eq!(free.is_some(), bounded, "the unbounded one is the negative control");
        });
    }
}

#[test]
fn a9_a_mutex_that_is_locked_twice_is_busy_and_names_ourselves() {
    let bench = Bench::new(1);
    let client = bench.client();
    bench.world.block_on(async {
        let mutex = client.mutex("x").unwrap();
        let guard = mutex.lock().await.unwrap();
        assert!(mutex.try_lock().await.unwrap().is_none());
        assert!(mutex.try_lock_for(TTL).await.unwrap().is_none());
        guard.check().unwrap();
    });
}

#[test]
fn a10_two_readers_that_both_want_to_write_are_refused_and_keep_reading() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let one = a.rw_lock("x").unwrap().read().await.unwrap();
        let two = b.rw_lock("x").unwrap().read().await.unwrap();
        let (one, two) = tokio::join!(one.upgrade(), two.upgrade());
        let (one, two) = (one.unwrap_err(), two.unwrap_err());
        assert_eq!(one.error.kind(), ErrorKind::WouldDeadlock);
        assert_eq!(two.error.kind(), ErrorKind::WouldDeadlock);
        two.guard.release().await.unwrap();
        let writer = one.guard.upgrade().await.unwrap();
        let reader = writer.downgrade().await.unwrap();
        assert!(b.rw_lock("x").unwrap().try_read().await.unwrap().is_some());
        reader.release().await.unwrap();
    });
}

#[test]
fn a14_a_guard_works_in_another_thread_and_across_awaits() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let client = Client::connect("memory:a14").await.unwrap();
        let guard = client.mutex("x").unwrap().lock().await.unwrap();
        let elsewhere = tokio::task::spawn_blocking(move || {
            guard.check().unwrap();
            guard
        });
        let guard = elsewhere.await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "the user's own runtime is the point")]
        let task = tokio::spawn(async move {
            guard.run(tokio::task::yield_now()).await.unwrap();
            guard.release().await.unwrap()
        });
        assert_eq!(task.await.unwrap(), Release::Released);
    });
}

#[test]
fn a15_an_observer_that_panics_leaks_neither_claim_nor_place() {
    let bench = Bench::new(1);
    let (holder, waiter) = (bench.client(), bench.client());
    let guard = bench.world.block_on(holder.mutex("x").unwrap().lock()).unwrap();
    for fair in [false, true] {
        let mutex = waiter.mutex("x").unwrap().on_busy(|_| panic!("on purpose, in the observer"));
        let mutex = if fair { mutex.fair() } else { mutex };
        catch_unwind(AssertUnwindSafe(|| bench.world.block_on(mutex.lock()))).unwrap_err();
        bench.world.advance(Duration::from_secs(1));
        assert_eq!(waiter.claims_alive(), 0);
        let snapshot = bench.world.block_on(holder.inspect("x")).unwrap();
        assert!(snapshot.waiters.is_empty(), "{snapshot:?}");
    }
    drop(guard);
    bench.assert_clean(&[&holder, &waiter], "released");
    drop(bench.world.block_on(waiter.mutex("x").unwrap().lock()).unwrap());
}

#[test]
fn a14_every_guard_and_every_future_may_move_between_threads() {
    fn send<T: Send>(_: T) {}
    fn both<T: Send + Sync>() {}
    both::<(Client, leasehold::MutexGuard, leasehold::ReadGuard, leasehold::WriteGuard, leasehold::Permit)>();
    both::<(leasehold::MultiGuard, leasehold::ReentrantGuard, leasehold::Leadership, leasehold::Lease)>();
    let client = Bench::new(1).client();
    let (owner, ticket) = (leasehold::Owner::new(), "0".repeat(32) + "@leasehold:x:1:x");
    let ticket: Ticket = ticket.parse().unwrap();
    let (mutex, multi) = (client.mutex("x").unwrap(), client.multi_lock(["x"]).unwrap());
    let (reentrant, election) = (mutex.reentrant(), client.election("x").unwrap());
    let (latch, mut observer) = (client.count_down_latch("x", 1).unwrap(), election.observe());
    let once = client.once_per("x", leasehold::Slot::named("1")).unwrap();
    send(mutex.lock());
    send(mutex.with(|_| async {}));
    send(multi.lock());
    send(reentrant.lock(&owner));
    send(election.campaign("x"));
    send(observer.changed());
    send(latch.count_down());
    send(latch.wait_for(TTL));
    send(once.run(|_| async {}));
    send(client.adopt(&ticket));
    send(Client::connect("sqlite:x"));
}
