use std::time::Duration;

use leasehold::{ErrorKind, MultiLock, store::Release};
use leasehold_core::layer::{Fault, Verb};

use crate::bench::{Bench, TTL};

#[test]
fn names_are_sorted_and_named_once() {
    let bench = Bench::new(1);
    let multi = bench.client().multi_lock(["b", "a", "b", "c"]).unwrap();
    assert_eq!(multi.names().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn all_or_none() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    let multi = a.multi_lock(["c", "a", "b"]).unwrap();
    bench.world.block_on(async {
        let blocker = b.mutex("c").unwrap().lock().await.unwrap();
        assert!(multi.try_lock().await.unwrap().is_none());
        let begin = bench.world.env().now();
        assert!(multi.try_lock_for(Duration::from_secs(3)).await.unwrap().is_none());
        assert_eq!(bench.world.env().now().since(begin), Duration::from_secs(3));
        blocker.release().await.unwrap();
    });
    bench.assert_clean(&[&a, &b], "what was taken is released");
    bench.world.block_on(async {
        let guard = multi.lock().await.unwrap();
        assert_eq!(guard.fencing_tokens().filter(|(_, token)| token.is_some()).count(), 3);
        assert!(guard.lease("b").is_some() && guard.lease("x").is_none());
        for name in ["a", "b", "c"] {
            assert!(b.mutex(name).unwrap().try_lock().await.unwrap().is_none());
        }
        assert_eq!(guard.release().await.unwrap(), Release::Released);
    });
    bench.assert_clean(&[&a, &b], "released");
}

#[test]
fn a_failure_in_the_middle_releases_what_was_taken() {
    let bench = Bench::new(1);
    let client = bench.chaotic(|number, verb| match verb {
        Verb::Claim if number >= 2 => Fault::LoseRequest,
        _ => Fault::None,
    });
    let multi = client.multi_lock(["a", "b", "c"]).unwrap();
    assert_eq!(bench.world.block_on(multi.try_lock()).unwrap_err().kind(), ErrorKind::Unreachable);
    bench.world.advance(TTL);
    bench.assert_clean(&[&client], "a failure");
}

#[test]
fn the_wait_is_one_for_all_names() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let (first, second) = (b.mutex("a").unwrap(), b.mutex("b").unwrap());
        let (first, _second) = (first.lock().await.unwrap(), second.lock().await.unwrap());
        let begin = bench.world.env().now();
        let release = async {
            bench.world.env().sleep(Duration::from_secs(3)).await;
            first.release().await.unwrap();
        };
        let multi = a.multi_lock(["a", "b"]).unwrap();
        let (answer, ()) = tokio::join!(multi.try_lock_for(Duration::from_secs(5)), release);
        assert!(answer.unwrap().is_none());
        assert_eq!(bench.world.env().now().since(begin), Duration::from_secs(5));
    });
}

/// Two clients that lock two names in opposite orders, ten times each; answers whether they were done within an hour.
fn opposite_orders(lock_in_order: impl AsyncFn(&leasehold::Client, [&str; 2])) -> bool {
    let bench = Bench::new(3);
    let (one, two) = (bench.client(), bench.client());
    let work = async |client: &leasehold::Client, names: [&str; 2]| {
        for _ in 0..10 {
            lock_in_order(client, names).await;
        }
    };
    bench.world.block_on(async {
        let both = async { tokio::join!(work(&one, ["a", "b"]), work(&two, ["b", "a"])) };
        let env = bench.world.env();
        env.until(env.now() + Duration::from_secs(3600), both).await.is_some()
    })
}

#[test]
fn a11_opposite_orders_complete() {
    let done = opposite_orders(async |client, names| {
        let guard = client.multi_lock(names).unwrap().lock().await.unwrap();
        client.env().sleep(Duration::from_millis(50)).await;
        guard.release().await.unwrap();
    });
    assert!(done);
}

#[test]
fn a11_the_negative_control_one_mutex_after_the_other_deadlocks() {
    let done = opposite_orders(async |client, [first, second]| {
        let first = client.mutex(first).unwrap().lock().await.unwrap();
        client.env().sleep(Duration::from_millis(50)).await;
        let second = client.mutex(second).unwrap().lock().await.unwrap();
        drop((first, second));
    });
    assert!(!done);
}

#[test]
fn it_is_lost_when_any_is_lost_and_the_work_is_dropped() {
    let bench = Bench::new(1);
    let client = bench.client();
    bench.world.block_on(async {
        let guard = client.multi_lock(["a", "b"]).unwrap().lock().await.unwrap();
        client.force_release("b").await.unwrap();
        let lost = guard.run(std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(lost.reason, leasehold::LostReason::ForceReleased);
        assert!(guard.check().is_err() && guard.remaining().is_zero());
        assert!(guard.lease("a").unwrap().check().is_ok());
        assert_eq!(guard.release().await.unwrap(), Release::NotHeld);
    });
    bench.assert_clean(&[&client], "released");
}

#[test]
fn a_lock_that_is_lost_while_another_is_waited_for_is_taken_anew() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let blocker = b.mutex("b").unwrap().lock().await.unwrap();
        let multi = a.multi_lock(["a", "b"]).unwrap();
        let disturb = async {
            let env = bench.world.env();
            env.sleep(Duration::from_secs(1)).await;
            b.force_release("a").await.unwrap();
            env.sleep(TTL).await;
            drop(blocker);
        };
        let (guard, ()) = tokio::join!(multi.lock(), disturb);
        guard.unwrap().check().unwrap();
    });
}

#[test]
fn no_names_and_too_many_are_refused() {
    let client = Bench::new(1).client();
    assert_eq!(client.multi_lock(Vec::<&str>::new()).unwrap_err().kind(), ErrorKind::Invalid);
    let many = (0..=MultiLock::NAMES_MAX).map(|number| number.to_string());
    assert_eq!(client.multi_lock(many).unwrap_err().kind(), ErrorKind::Invalid);
}
