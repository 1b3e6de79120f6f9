use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use leasehold::{Client, ErrorKind, Owner, RunOutcome, Slot};

fn client(name: &str) -> Client {
    Client::blocking_connect(format!("memory:blocking-{name}?ttl=5s")).unwrap()
}

#[test]
fn threads_exclude_each_other() {
    let (inside, sum) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mutex = client("exclude").mutex("x").unwrap();
                for _ in 0..50 {
                    let guard = mutex.blocking_lock().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0);
                    sum.fetch_add(1, Ordering::AcqRel);
                    inside.fetch_sub(1, Ordering::AcqRel);
                    guard.blocking_release().unwrap();
                }
            });
        }
    });
    assert_eq!(sum.load(Ordering::Acquire), 200);
}

#[test]
fn every_lock_has_blocking_methods() {
    let locks = client("twins");
    let guard = locks.mutex("m").unwrap().blocking_lock().unwrap();
    guard.check().unwrap();
    guard.blocking_confirm().unwrap();
    let ticket = guard.blocking_detach(Duration::from_secs(5)).unwrap();
    locks.blocking_adopt(&ticket).unwrap().blocking_release().unwrap();
    assert!(locks.mutex("m").unwrap().blocking_with(|lease| lease.check().is_ok()).unwrap());

    let read = locks.rw_lock("r").unwrap().blocking_read().unwrap();
    let write = read.blocking_upgrade().unwrap();
    assert!(locks.rw_lock("r").unwrap().blocking_try_read().unwrap().is_none());
    write.blocking_downgrade().unwrap().blocking_release().unwrap();

    let permit = locks.semaphore("s", 2).unwrap().blocking_acquire_many(2).unwrap();
    assert_eq!(locks.semaphore("s", 2).unwrap().blocking_available_permits().unwrap(), 0);
    permit.blocking_release().unwrap();

    let owner = Owner::new();
    let reentrant = locks.reentrant_mutex("e").unwrap();
    let (outer, inner) = (reentrant.blocking_lock(&owner).unwrap(), reentrant.blocking_lock(&owner).unwrap());
    assert!(inner.blocking_release().unwrap().is_none() && outer.blocking_release().unwrap().is_some());

    let multi = locks.multi_lock(["a", "b"]).unwrap().blocking_lock().unwrap();
    assert_eq!(multi.leases().count(), 2);
    multi.blocking_release().unwrap();

    let once = locks.once_per("job", Slot::named("1")).unwrap();
    assert_eq!(once.blocking_run(|_| 5).unwrap(), RunOutcome::Ran(5));
    assert!(once.blocking_run(|_| 5).unwrap().ran().is_none());
    locks.blocking_close(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_leader_and_a_latch_wake_other_threads() {
    let locks = client("wake");
    let mut observer = locks.election("l").unwrap().observe();
    assert!(observer.blocking_changed().unwrap().is_none());
    let latch = locks.count_down_latch("ready", 1).unwrap();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let value = observer.blocking_changed().unwrap().unwrap().value;
            latch.blocking_count_down().unwrap();
            value
        });
        let mut leadership = locks.election("l").unwrap().blocking_campaign("here").unwrap();
        latch.blocking_wait().unwrap();
        assert_eq!(watching.join().unwrap(), "here");
        leadership.blocking_proclaim("there").unwrap();
        assert_eq!(locks.election("l").unwrap().blocking_leader().unwrap().unwrap().value, "there");
        leadership.blocking_resign().unwrap();
    });
}

#[test]
fn a_thread_learns_of_the_loss() {
    let locks = client("loss");
    let guard = locks.mutex("x").unwrap().blocking_lock().unwrap();
    locks.blocking_force_release("x").unwrap();
    assert_eq!(guard.blocking_lost().unwrap().reason, leasehold::LostReason::ForceReleased);
}

#[test]
fn a13_a_blocking_call_in_a_task_is_refused_and_the_read_guard_is_given_back() {
    let locks = client("refused");
    let read = locks.rw_lock("x").unwrap().blocking_read().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let read = runtime.block_on(async {
        assert_eq!(locks.mutex("y").unwrap().blocking_lock().unwrap_err().kind(), ErrorKind::WouldDeadlock);
        let refused = read.blocking_upgrade().unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::WouldDeadlock);
        refused.guard
    });
    read.blocking_release().unwrap();
}

#[test]
fn a_candidate_on_a_thread_leads_again_after_a_loss() {
    let locks = client("candidate");
    let candidate = locks.election("l").unwrap().candidate("here");
    let (health, mut terms) = (candidate.clone(), 0);
    let led = candidate.blocking_lead(|lease| {
        assert!(health.is_leader());
        terms += 1;
        if terms == 1 {
            locks.blocking_force_release("l").unwrap();
            let lost = leasehold::block_on(lease.lost()).unwrap();
            assert_eq!(lost.reason, leasehold::LostReason::ForceReleased);
            assert!(!health.is_leader());
        }
        terms
    });
    assert_eq!(led.unwrap(), 2);
    assert!(!health.is_leader(), "it has resigned");
}
