use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use leasehold::{Owner, RunOutcome, Slot, blocking::Client};

fn client(name: &str) -> Client {
    Client::connect(&format!("memory:blocking-{name}?ttl=5s")).unwrap()
}

#[test]
fn threads_exclude_each_other() {
    let (inside, sum) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mutex = client("exclude").mutex("x").unwrap();
                for _ in 0..50 {
                    let guard = mutex.lock().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0);
                    sum.fetch_add(1, Ordering::AcqRel);
                    inside.fetch_sub(1, Ordering::AcqRel);
                    guard.release().unwrap();
                }
            });
        }
    });
    assert_eq!(sum.load(Ordering::Acquire), 200);
}

#[test]
fn every_lock_has_its_blocking_twin() {
    let locks = client("twins");
    let guard = locks.mutex("m").unwrap().lock().unwrap();
    guard.check().unwrap();
    guard.confirm().unwrap();
    let ticket = guard.detach(Duration::from_secs(5)).unwrap();
    locks.adopt(&ticket).unwrap().release().unwrap();
    assert!(locks.mutex("m").unwrap().with(|lease| lease.check().is_ok()).unwrap());

    let read = locks.rw_lock("r").unwrap().read().unwrap();
    let write = read.upgrade().unwrap();
    assert!(locks.rw_lock("r").unwrap().try_read().unwrap().is_none());
    write.downgrade().unwrap().release().unwrap();

    let permit = locks.semaphore("s", 2).unwrap().acquire_many(2).unwrap();
    assert_eq!(locks.semaphore("s", 2).unwrap().available_permits().unwrap(), 0);
    permit.release().unwrap();

    let owner = Owner::new();
    let reentrant = locks.reentrant_mutex("e").unwrap();
    let (outer, inner) = (reentrant.lock_as(&owner).unwrap(), reentrant.lock_as(&owner).unwrap());
    assert!(inner.release().unwrap().is_none() && outer.release().unwrap().is_some());

    let multi = locks.multi_lock(["a", "b"]).unwrap().lock().unwrap();
    assert_eq!(multi.leases().count(), 2);
    multi.release().unwrap();

    let once = locks.once_per("job", Slot::named("1")).unwrap();
    assert_eq!(once.run(|_| 5).unwrap(), RunOutcome::Ran(5));
    assert!(once.run(|_| 5).unwrap().ran().is_none());
    locks.close(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_leader_and_a_latch_wake_other_threads() {
    let locks = client("wake");
    let mut observer = locks.election("l").unwrap().observe();
    assert!(observer.changed().unwrap().is_none());
    let latch = locks.count_down_latch("ready", 1).unwrap();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let value = observer.changed().unwrap().unwrap().value;
            latch.count_down().unwrap();
            value
        });
        let mut leadership = locks.election("l").unwrap().campaign("here").unwrap();
        latch.wait().unwrap();
        assert_eq!(watching.join().unwrap(), "here");
        leadership.proclaim("there").unwrap();
        assert_eq!(locks.election("l").unwrap().leader().unwrap().unwrap().value, "there");
        leadership.resign().unwrap();
    });
}

#[test]
fn a_thread_learns_of_the_loss() {
    let locks = client("loss");
    let guard = locks.mutex("x").unwrap().lock().unwrap();
    locks.force_release("x").unwrap();
    assert_eq!(guard.wait_lost().unwrap().reason, leasehold::LostReason::ForceReleased);
}
