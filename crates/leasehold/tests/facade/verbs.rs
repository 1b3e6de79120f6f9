//! Every lock has the same verbs.

use std::time::Duration;

use leasehold::{ErrorKind, Lease, LockName, Owner, Result, Ticket};

use crate::bench::{Bench, TTL};

/// An error type of a user, with one conversion.
#[derive(Debug)]
enum Failure {
    Lock(ErrorKind),
    Work,
}

impl From<leasehold::Error> for Failure {
    fn from(error: leasehold::Error) -> Self {
        Failure::Lock(error.kind())
    }
}

async fn fails<T>(_: T) -> Result<(), Failure> {
    Err(Failure::Work)
}

async fn is_valid(lease: Lease) -> bool {
    lease.check().is_ok()
}

#[test]
fn every_lock_runs_work_under_its_lease_and_gives_it_back() {
    let bench = Bench::new(1);
    let client = bench.client();
    let (owner, work) = (Owner::new(), |result| assert!(matches!(result, Err(Failure::Work)), "{result:?}"));
    bench.world.block_on(async {
        let mutex = client.mutex("x").unwrap();
        assert!(mutex.with(is_valid).await.unwrap());
        work(mutex.try_with(fails).await);
        let lock = client.rw_lock("x").unwrap();
        assert!(lock.with_read(is_valid).await.unwrap() && lock.with_write(is_valid).await.unwrap());
        work(lock.try_with_read(fails).await);
        work(lock.try_with_write(fails).await);
        let semaphore = client.semaphore("s", 2).unwrap();
        assert!(semaphore.with(is_valid).await.unwrap());
        work(semaphore.try_with(fails).await);
        let reentrant = client.reentrant_mutex("x").unwrap();
        assert!(reentrant.with(&owner, is_valid).await.unwrap());
        work(reentrant.try_with(&owner, fails).await);
        let multi = client.multi_lock(["x", "y"]).unwrap();
        assert_eq!(multi.with(|leases| async move { leases.len() }).await.unwrap(), 2);
        work(multi.try_with(fails).await);
        let election = client.election("x").unwrap();
        assert!(election.with("me", is_valid).await.unwrap());
        work(election.try_with("me", fails).await);
    });
    bench.assert_clean(&[&client], "with");
}

#[test]
fn work_whose_lease_is_lost_is_an_error_of_the_one_type() {
    let bench = Bench::new(1);
    let (client, operator) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let work = client.mutex("x").unwrap();
        let work = work.try_with(|lease| async move {
            operator.force_release("x").await?;
            lease.lost().await;
            Ok::<(), Failure>(())
        });
        assert!(matches!(work.await, Err(Failure::Lock(ErrorKind::Lost))));
    });
}

#[test]
fn a_busy_lock_names_its_holder_and_when_to_come_back() {
    let bench = Bench::new(1);
    let (holder, other) = (bench.client().note("worker-7"), bench.client());
    bench.world.block_on(async {
        let name = LockName::new("x").unwrap();
        let guard = holder.mutex(&name).unwrap().try_lock_or_busy().await.unwrap().unwrap();
        let mutex = other.mutex(name).unwrap();
        let busy = mutex.try_lock_or_busy().await.unwrap().unwrap_err();
        assert_eq!(busy.holder.as_ref().unwrap().note.as_deref(), Some("worker-7"));
        assert!(!busy.retry_after().is_zero() && busy.retry_after() <= TTL, "{busy:?}");
        let lock = other.rw_lock("x").unwrap();
        assert!(lock.try_read_or_busy().await.unwrap().is_err());
        assert!(lock.try_write_or_busy().await.unwrap().is_err());
        guard.release().await.unwrap();
        let permit = holder.semaphore("s", 1).unwrap().try_acquire_or_busy().await.unwrap().unwrap();
        let semaphore = other.semaphore("s", 1).unwrap();
        assert!(semaphore.try_acquire_or_busy().await.unwrap().is_err());
        assert!(semaphore.try_acquire_for(Duration::from_millis(10)).await.unwrap().is_none());
        permit.release().await.unwrap();
    });
    bench.assert_clean(&[&holder, &other], "busy");
}

#[test]
fn every_lock_shows_its_holders_and_can_be_freed_by_force() {
    let bench = Bench::new(1);
    let (holder, operator) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let guard = holder.multi_lock(["a", "b"]).unwrap().lock().await.unwrap();
        guard.confirm().await.unwrap();
        let multi = operator.multi_lock(["b", "a"]).unwrap();
        let seen = multi.inspect().await.unwrap();
        assert_eq!(
            seen.iter().map(|it| (it.name.as_str(), it.holders.len())).collect::<Vec<_>>(),
            [("a", 1), ("b", 1)]
        );
        assert_eq!(multi.force_release().await.unwrap().len(), 2);
        assert_eq!(guard.confirm().await.unwrap_err().kind(), ErrorKind::Lost);
        let read = holder.rw_lock("r").unwrap().read().await.unwrap();
        let lock = operator.rw_lock("r").unwrap();
        assert_eq!(lock.inspect().await.unwrap().holders.len(), 1);
        assert_eq!(lock.force_release().await.unwrap().len(), 1);
        assert_eq!(read.confirm().await.unwrap_err().kind(), ErrorKind::Lost);
        let leadership = holder.election("e").unwrap().campaign("me").await.unwrap();
        assert_eq!(operator.election("e").unwrap().force_release().await.unwrap().len(), 1);
        assert_eq!(leadership.confirm().await.unwrap_err().kind(), ErrorKind::Lost);
    });
}

#[test]
fn every_guard_can_be_detached_and_hears_of_those_who_wait() {
    let bench = Bench::new(1);
    let (holder, other) = (bench.client(), bench.client());
    let owner = Owner::new();
    bench.world.block_on(async {
        let guard = holder.multi_lock(["a", "b"]).unwrap().lock().await.unwrap();
        let waiting = other.mutex("b").unwrap();
        let waiter = async { waiting.lock().await.unwrap().release().await.unwrap() };
        let given_back = async {
            guard.contended().await.unwrap();
            guard.release().await.unwrap();
        };
        tokio::join!(waiter, given_back);
        let tickets = holder.multi_lock(["a", "b"]).unwrap().lock().await.unwrap().detach(TTL).await.unwrap();
        assert_eq!(tickets.iter().map(|it: &Ticket| it.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for ticket in &tickets {
            other.adopt(ticket).await.unwrap().release().await.unwrap();
        }
        let reentrant = holder.reentrant_mutex("x").unwrap();
        let (outer, inner) = (reentrant.lock(&owner).await.unwrap(), reentrant.lock(&owner).await.unwrap());
        inner.confirm().await.unwrap();
        assert!(inner.detach(TTL).await.unwrap().is_none(), "the other guard goes on");
        let ticket = outer.detach(TTL).await.unwrap().unwrap();
        other.release(&ticket).await.unwrap();
        let ticket = holder.election("e").unwrap().campaign("me").await.unwrap().detach(TTL).await.unwrap();
        other.release(&ticket).await.unwrap();
    });
    bench.assert_clean(&[&holder, &other], "guards");
}
