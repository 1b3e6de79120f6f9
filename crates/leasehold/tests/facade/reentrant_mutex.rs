use std::{sync::Arc, time::Duration};

use leasehold::{Client, Owner, store::Release};
use leasehold_core::layer::{Chaos, Fault};

use crate::bench::{Bench, TTL};

#[test]
fn an_owner_enters_again_with_the_same_token_and_others_wait_until_its_last_guard_goes() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    let (lock, same_elsewhere) = (a.reentrant_mutex("x").unwrap(), b.reentrant_mutex("x").unwrap());
    bench.world.block_on(async {
        let (me, other) = (Owner::new(), Owner::new());
        let outer = lock.lock(&me).await.unwrap();
        let inner = a.mutex("x").unwrap().reentrant().lock(&me.clone()).await.unwrap();
        assert_eq!((outer.id(), outer.fencing_token()), (inner.id(), inner.fencing_token()));
        assert!(lock.try_lock(&other).await.unwrap().is_none());
        assert!(same_elsewhere.try_lock(&me).await.unwrap().is_none(), "another client is another owner");
        drop(outer);
        assert!(lock.try_lock(&other).await.unwrap().is_none());
        assert_eq!(inner.release().await.unwrap(), Some(Release::Released));
        let next = lock.try_lock(&other).await.unwrap().unwrap();
        assert_eq!(next.release().await.unwrap(), Some(Release::Released));
    });
    bench.assert_clean(&[&a, &b], "released");
}

#[test]
fn a_waiting_owner_gets_it_when_the_holder_leaves() {
    let bench = Bench::new(1);
    let client = bench.client();
    let lock = client.reentrant_mutex("x").unwrap();
    bench.world.block_on(async {
        let (one, two) = (Owner::new(), Owner::new());
        let guard = lock.lock(&one).await.unwrap();
        let waiter = lock.lock(&two);
        let leave = async {
            client.env().sleep(TTL).await;
            guard.release().await.unwrap();
        };
        let (next, ()) = tokio::join!(waiter, leave);
        next.unwrap().check().unwrap();
    });
}

#[test]
fn two_first_locks_of_one_owner_share_one_acquisition() {
    let bench = Bench::new(1);
    let env = bench.world.env();
    let delay = |_, _| Fault::Delay(Duration::from_millis(5));
    let chaos = Arc::new(Chaos::new(Arc::new(bench.memory.client()), env.clone(), delay));
    let client = Client::new(chaos.clone(), env);
    let lock = client.reentrant_mutex("x").unwrap();
    bench.world.block_on(async {
        let me = Owner::new();
        let (one, two) = tokio::join!(lock.lock(&me), lock.lock(&me));
        assert_eq!(one.unwrap().id(), two.unwrap().id());
        assert_eq!(chaos.operations(), 1);
    });
}

#[test]
fn a_first_lock_that_is_dropped_lets_the_next_of_its_owner_ask() {
    let bench = Bench::new(1);
    let client = bench.chaotic(|_, _| Fault::Delay(Duration::from_millis(500)));
    let lock = client.reentrant_mutex("x").unwrap();
    bench.world.block_on(async {
        let me = Owner::new();
        let env = client.env();
        let dropped = env.until(env.now() + Duration::from_millis(100), lock.lock(&me));
        let (dropped, second) = tokio::join!(dropped, lock.lock(&me));
        assert!(dropped.is_none());
        second.unwrap().check().unwrap();
    });
}

#[test]
fn a_lost_lease_is_not_entered_again() {
    let bench = Bench::new(1);
    let client = bench.client();
    let lock = client.reentrant_mutex("x").unwrap();
    bench.world.block_on(async {
        let me = Owner::new();
        let stale = lock.lock(&me).await.unwrap();
        client.force_release("x").await.unwrap();
        stale.lost().await;
        let fresh = lock.lock(&me).await.unwrap();
        assert!(fresh.fencing_token() > stale.fencing_token());
        assert!(stale.check().is_err() && fresh.check().is_ok());
        drop(stale);
        let again = lock.lock(&me).await.unwrap();
        assert_eq!(again.id(), fresh.id());
    });
}
