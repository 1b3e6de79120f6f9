//! Every async function, dropped after any number of polls, leaves nothing.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use leasehold::{Client, Owner, Slot};
use leasehold_core::layer::Fault;

use crate::bench::{Bench, TTL};

type Work<'a> = Pin<Box<dyn Future<Output = leasehold::Result<()>> + 'a>>;

const HOUR: Duration = Duration::from_secs(3600);

/// Drops `work` after 0, 1, 2 … polls, until it is once polled to its end.
fn drop_after_each_poll(name: &str, work: impl Fn(Client) -> Work<'static>) {
    for contended in [false, true] {
        for polls in 0.. {
            assert!(polls < 300, "{name} never ends");
            if drop_after(name, polls, contended, &work) {
                break;
            }
        }
    }
}

fn drop_after(name: &str, polls: u64, contended: bool, work: &impl Fn(Client) -> Work<'static>) -> bool {
    let bench = Bench::new(polls);
    let (slow, other) = (bench.chaotic(|_, _| Fault::Delay(Duration::from_millis(7))), bench.client());
    let mut blocker = contended.then(|| bench.world.block_on(other.mutex("x").unwrap().lock()).unwrap());
    let mut completed = false;
    {
        let mut future = work(slow.clone());
        for poll in 0..polls {
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                completed = true;
                break;
            }
            bench.world.advance(Duration::from_millis(3));
            blocker = blocker.filter(|_| poll < 12);
        }
    }
    drop(blocker);
    // What is to outlive its client does so for an hour when it has come about; else it is gone at once.
    bench.world.advance(if completed { HOUR * 2 } else { Duration::from_secs(1) });
    bench.assert_clean(&[&slow, &other], &format!("{name}, contended {contended}, {polls} polls"));
    completed
}

macro_rules! dropped {
    ($($test:ident: |$client:ident| $work:block)*) => {
        $(#[test]
        fn $test() {
            drop_after_each_poll(stringify!($test), |$client| Box::pin(async move {
                $work
                Ok(())
            }));
        })*
    };
}

dropped! {
    a3_mutex_lock: |client| { let _guard = client.mutex("x")?.lock().await?; }
    a3_mutex_fair_lock: |client| {
        let _guard = client.mutex("x")?.fair().lock().await?;
    }
    a3_mutex_try_lock: |client| { let _guard = client.mutex("x")?.try_lock().await?; }
    a3_mutex_try_lock_for: |client| { let _guard = client.mutex("x")?.try_lock_for(TTL).await?; }
    a3_mutex_with: |client| {
        let env = client.env().clone();
        client.mutex("x")?.with(|_| env.sleep(Duration::from_millis(9))).await?;
    }
    a3_mutex_inspect: |client| { client.mutex("x")?.inspect().await?; }
    a4_mutex_release: |client| { client.mutex("x")?.lock().await?.release().await?; }
    a4_mutex_confirm: |client| { client.mutex("x")?.lock().await?.confirm().await?; }
    a4_mutex_detach: |client| { client.mutex("x")?.lock().await?.detach(HOUR).await?; }
    a3_mutex_force_release: |client| { client.mutex("y")?.force_release().await?; }
    a3_rw_lock_read: |client| { let _guard = client.rw_lock("x")?.read().await?; }
    a3_rw_lock_try_read_for: |client| { let _guard = client.rw_lock("x")?.try_read_for(TTL).await?; }
    a3_rw_lock_write: |client| { let _guard = client.rw_lock("x")?.write().await?; }
    a3_rw_lock_try_write: |client| { let _guard = client.rw_lock("x")?.try_write().await?; }
    a3_rw_lock_upgrade: |client| {
        let guard = client.rw_lock("x")?.read().await?;
        let _guard = guard.upgrade().await.map_err(|refused| refused.error)?;
    }
    a3_rw_lock_downgrade: |client| { let _guard = client.rw_lock("x")?.write().await?.downgrade().await?; }
    a3_semaphore_acquire_many: |client| { let _permit = client.semaphore("s", 3)?.acquire_many(2).await?; }
    a3_semaphore_try_acquire: |client| { let _permit = client.semaphore("s", 3)?.try_acquire().await?; }
    a3_semaphore_available: |client| { client.semaphore("s", 3)?.available_permits().await?; }
    a3_reentrant: |client| {
        let (lock, owner) = (client.reentrant_mutex("x")?, Owner::new());
        let (one, two) = tokio::join!(lock.lock(&owner), lock.lock(&owner));
        one?.release().await?;
        two?.release().await?;
    }
    a3_reentrant_try_for: |client| {
        let _guard = client.reentrant_mutex("x")?.try_lock_for(&Owner::new(), TTL).await?;
    }
    a3_multi_lock: |client| { let _guard = client.multi_lock(["z", "x", "a"])?.lock().await?; }
    a3_multi_try_lock: |client| { let _guard = client.multi_lock(["z", "x", "a"])?.try_lock().await?; }
    a3_multi_try_lock_for: |client| { let _guard = client.multi_lock(["z", "x", "a"])?.try_lock_for(TTL).await?; }
    a4_multi_release: |client| { client.multi_lock(["z", "x", "a"])?.lock().await?.release().await?; }
    a3_election_campaign: |client| { let _leadership = client.election("x")?.campaign("me").await?; }
    a3_election_proclaim: |client| {
        let mut leadership = client.election("x")?.campaign("me").await?;
        leadership.proclaim("still me").await?;
    }
    a4_election_resign: |client| { client.election("x")?.campaign("me").await?.resign().await?; }
    a3_election_leader: |client| { client.election("x")?.leader().await?; }
    a3_election_observe: |client| {
        let mut observer = client.election("x")?.observe();
        if observer.changed().await?.is_some() {
            observer.changed().await?;
        }
    }
    a3_latch_count_down: |client| { client.count_down_latch("l", 2)?.remember_for(HOUR).count_down().await?; }
    a3_latch_wait: |client| {
        client.count_down_latch("l", 1)?.wait_for(Duration::from_millis(20)).await?;
        client.count_down_latch("l", 1)?.reset().await?;
    }
    a3_once: |client| {
        let env = client.env().clone();
        let once = client.once_per("job", Slot::named("s"))?.hold_at_least(HOUR).retry_failed();
        once.run(|_| env.sleep(Duration::from_millis(9))).await?;
    }
    a3_client_questions: |client| {
        client.inspect("x").await?;
        client.list("", 10).await?;
        client.force_release("y").await?;
    }
}

/// What a ticket stands for is bounded by its time alone, as its documentation says; so it is looked at later.
#[test]
fn a3_an_adoption_or_a_release_by_ticket_that_is_dropped_ends_by_its_ttl() {
    for (polls, adopts) in (0..12).flat_map(|polls| [(polls, true), (polls, false)]) {
        let bench = Bench::new(polls);
        let (slow, other) = (bench.chaotic(|_, _| Fault::Delay(Duration::from_millis(7))), bench.client());
        let ticket = bench
            .world
            .block_on(async { other.mutex("x").unwrap().lock().await.unwrap().detach(HOUR).await.unwrap() });
        {
            let mut work: Work<'_> = match adopts {
                true => Box::pin(async { slow.adopt(&ticket).await.map(drop) }),
                false => Box::pin(async { slow.release(&ticket).await.map(drop) }),
            };
            for _ in 0..polls {
                if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                bench.world.advance(Duration::from_millis(3));
            }
        }
        bench.world.advance(HOUR + TTL);
        bench.assert_clean(&[&slow, &other], &format!("{polls} polls, adopts {adopts}"));
    }
}
