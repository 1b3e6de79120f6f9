use std::time::Duration;

use leasehold::{Client, ErrorKind, Note, RunOutcome, Slot};
use leasehold_core::layer::{Fault, Verb};

use crate::bench::{Bench, TTL};

const MINUTE: Duration = Duration::from_secs(60);

/// What a node that is started a little later than the others does with a plain lock and with a slot.
async fn late_node_runs_again(node: &Client, late: &Client, with_slot: bool) -> bool {
    let mut runs = 0;
    for client in [node, late] {
        let ran = match with_slot {
            true => {
                let once = client.once_per("job", Slot::every(MINUTE)).unwrap();
                once.run(|_| async {}).await.unwrap().ran().is_some()
            }
            false => client.mutex("job").unwrap().try_lock().await.unwrap().is_some(),
        };
        runs += u32::from(ran);
        client.env().sleep(Duration::from_secs(5)).await;
    }
    runs == 2
}

#[test]
fn a_quick_job_runs_once_per_slot_where_a_plain_lock_lets_it_run_twice() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    bench.world.block_on(async {
        assert!(late_node_runs_again(&a, &b, false).await, "the negative control");
        assert!(!late_node_runs_again(&a, &b, true).await);
    });
}

#[test]
fn the_next_slot_is_free_and_the_last_one_stays_taken_for_clocks_that_are_behind() {
    let bench = Bench::new(1);
    let (a, behind) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let once = a.once_per("job", Slot::every(MINUTE)).unwrap();
        let slot = once.name().unwrap();
        assert_eq!(once.run(|_| async { 1 }).await.unwrap(), RunOutcome::Ran(1));
        let begin = bench.world.env().now();
        while once.name().unwrap() == slot {
            bench.world.env().sleep(Duration::from_secs(1)).await;
        }
        assert!(bench.world.env().now().since(begin) <= MINUTE);
        assert!(behind.mutex(slot.as_str()).unwrap().try_lock().await.unwrap().is_none(), "a clock behind");
        assert_eq!(once.run(|_| async { 2 }).await.unwrap(), RunOutcome::Ran(2));
        assert!(matches!(once.run(|_| async { 2 }).await.unwrap(), RunOutcome::AlreadyTaken { .. }));
        bench.world.env().sleep(Duration::from_secs(11)).await;
        assert!(behind.mutex(slot.as_str()).unwrap().try_lock().await.unwrap().is_some(), "not for ever");
    });
}

#[test]
fn a_taken_slot_names_its_holder() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client().note("node a"), bench.client());
    bench.world.block_on(async {
        a.once_per("job", Slot::named("1")).unwrap().run(|_| async {}).await.unwrap();
        let taken = b.once_per("job", Slot::named("1")).unwrap().run(|_| async {}).await.unwrap();
        let RunOutcome::AlreadyTaken { by, finished } = taken else { panic!("taken") };
        assert_eq!(Note::read(by.unwrap().note.as_deref().unwrap()).text, "node a");
        assert_eq!(finished, Some(true));
        assert!(
            b.once_per("job", Slot::named("2")).unwrap().run(|_| async {}).await.unwrap().ran().is_some()
        );
    });
}

#[test]
fn a_failed_run_is_not_repeated_unless_that_is_asked_for() {
    for retry in [false, true] {
        let bench = Bench::new(1);
        let (a, b) = (bench.client(), bench.client());
        let describe = |client: &Client| {
            let once = client.once_per("job", Slot::named("1")).unwrap();
            if retry { once.retry_failed() } else { once }
        };
        bench.world.block_on(async {
            let failed = describe(&a).try_run(|_| async { Err::<(), _>("disk full") }).await.unwrap();
            assert_eq!(failed, RunOutcome::Ran(Err("disk full")));
            a.env().sleep(Duration::from_secs(1)).await;
            let again = describe(&b).run(|_| async {}).await.unwrap();
            assert_eq!(again.ran().is_some(), retry);
        });
    }
}

#[test]
fn a_run_that_is_dropped_or_panics_has_failed() {
    for (retry, panics) in [(false, false), (true, false), (false, true), (true, true)] {
        let bench = Bench::new(1);
        let (a, b) = (bench.client(), bench.client());
        let describe = |client: &Client| {
            let once = client.once_per("job", Slot::named("1")).unwrap();
            if retry { once.retry_failed() } else { once }
        };
        let run = || {
            bench.world.block_on(async {
                let once = describe(&a);
                let work = once.run(|_| async {
                    assert!(!panics, "on purpose");
                    std::future::pending::<()>().await;
                });
                let env = bench.world.env();
                assert!(env.until(env.now() + TTL, work).await.is_none());
            });
        };
        assert_eq!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err(), panics);
        bench.world.advance(TTL);
        let again = bench.world.block_on(describe(&b).run(|_| async {})).unwrap();
        assert_eq!(again.ran().is_some(), retry, "panics {panics}");
    }
}

#[test]
fn a_node_that_dies_frees_the_slot_only_when_retries_are_wanted() {
    for retry in [false, true] {
        let bench = Bench::new(1);
        let b = bench.client();
        let describe = |client: &Client| {
            let once = client.once_per("job", Slot::named("1")).unwrap();
            if retry { once.retry_failed() } else { once }
        };
        bench.world.block_on(async {
            let store = std::sync::Arc::new(bench.memory.client());
            let a = Client::new(store.clone(), bench.world.env()).ttl(TTL);
            let once = describe(&a);
            let mut run = Box::pin(once.run(|_| std::future::pending::<()>()));
            let env = bench.world.env();
            assert!(env.until(env.now() + TTL, run.as_mut()).await.is_none());
            // The process ends without a word: its session ends, its futures are never dropped.
            leasehold_core::Store::close(&*store).await.unwrap();
            std::mem::forget(run);
            let again = describe(&b).run(|_| async {}).await.unwrap();
            assert_eq!(again.ran().is_some(), retry);
        });
    }
}

#[test]
fn a_job_that_takes_too_long_is_dropped() {
    let bench = Bench::new(1);
    let client = bench.client();
    let once = client.once_per("job", Slot::named("1")).unwrap().hold_at_most(MINUTE);
    let error = bench.world.block_on(once.run(|_| std::future::pending::<()>())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_job_longer_than_its_slot_keeps_its_lease() {
    let bench = Bench::new(1);
    let client = bench.client();
    let once = client.once_per("job", Slot::every(Duration::from_secs(1))).unwrap();
    let ran = bench.world.block_on(once.run(|lease| async move {
        client.env().sleep(MINUTE).await;
        lease.check().is_ok()
    }));
    assert_eq!(ran.unwrap(), RunOutcome::Ran(true));
}

#[test]
fn job_and_slot_never_run_together_to_the_name_of_another_pair() {
    let bench = Bench::new(1);
    let client = bench.client();
    let name = |job: &str, slot: &str| client.once_per(job, Slot::named(slot)).unwrap().name().unwrap();
    assert_ne!(name("a@b", "c"), name("a", "b@c"));
    assert_ne!(name("a%40b", "c"), name("a@b", "c"));
}

#[test]
fn a_taken_slot_tells_whether_the_run_is_over_and_when_the_next_one_begins() {
    for retry in [false, true] {
        let bench = Bench::new(1);
        let (a, b) = (bench.client(), bench.client());
        let describe = |client: &Client| {
            let once = client.once_per("job", Slot::every(MINUTE)).unwrap();
            if retry { once.retry_failed() } else { once }
        };
        let finished = |outcome: RunOutcome<()>| match outcome {
            RunOutcome::AlreadyTaken { finished, by } => by.is_some() && finished == Some(true),
            RunOutcome::Ran(()) => panic!("it ran twice"),
        };
        bench.world.block_on(async {
            let (running, other) = (describe(&a), describe(&b));
            let meanwhile = running.run(|_| async { other.run(|_| async {}).await.unwrap() });
            assert!(!finished(meanwhile.await.unwrap().ran().unwrap()), "retry {retry}");
            assert!(finished(other.run(|_| async {}).await.unwrap()), "retry {retry}");
            let next = other.next_in().unwrap();
            assert!(!next.is_zero() && next <= MINUTE);
            a.env().sleep(next).await;
            assert!(other.run(|_| async {}).await.unwrap().ran().is_some());
            assert!(b.once_per("job", Slot::named("1")).unwrap().next_in().is_none());
        });
    }
}

/// A request that is delivered late, or a process that stands still before it asks, finds the slot free once it is over. The
/// control asks for the lock of that slot without looking at the time again.
#[test]
fn a_slot_that_was_over_before_it_was_granted_is_not_run() {
    let late = |number, verb| match verb {
        Verb::Claim if number == 0 => Fault::Delay(Duration::from_secs(4)),
        _ => Fault::None,
    };
    for (retry, looks) in [(false, true), (true, true), (true, false)] {
        let bench = Bench::new(1);
        let [a, b] = [bench.client(), bench.chaotic(late)].map(|client| client.ttl(Duration::from_secs(1)));
        let once = |client: &Client| {
            let once = client.once_per("job", Slot::every(Duration::from_secs(2))).unwrap();
            if retry { once.retry_failed() } else { once }
        };
        let run = async |client: &Client| once(client).run(|lease| async move { lease.name().clone() }).await;
        bench.world.block_on(async {
            let first = run(&a).await.unwrap().ran().unwrap();
            if looks {
                assert_eq!(once(&b).name().unwrap(), first);
                let other = run(&b).await.unwrap().ran();
                assert!(other.is_some_and(|name| name != first), "retry {retry}: the present slot is free");
            } else {
                assert!(b.mutex(first.as_str()).unwrap().try_lock().await.unwrap().is_some(), "the control");
            }
        });
    }
}
