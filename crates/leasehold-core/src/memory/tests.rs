//! Behaviour of the reference store beyond the conformance suite.

use super::*;
use crate::{Queueing, Store, env::Virtual};

fn claim(world: &Virtual, queueing: Queueing) -> Claim {
    let name = LockName::new("x").unwrap();
    Claim { queueing, ..Claim::new(name, ClaimId::mint(&world.env()), Duration::from_secs(10)) }
}

#[test]
fn a_release_wakes_the_first_in_the_queue_and_only_it() {
    let world = Virtual::new(1);
    let store = Memory::new(world.env());
    world.block_on(async {
        let (holder, first, second) =
            (claim(&world, Queueing::No), claim(&world, Queueing::Fifo), claim(&world, Queueing::Fifo));
        store.claim(&holder).await.unwrap();
        store.claim(&first).await.unwrap();
        store.claim(&second).await.unwrap();
        let mut first_wake = store.watch(&first.name, Interest::Turn(first.id)).await.unwrap();
        let mut second_wake = store.watch(&second.name, Interest::Turn(second.id)).await.unwrap();
        store.release(&holder).await.unwrap();
        first_wake.wait().await.unwrap();
        let soon = world.env().now() + Duration::from_secs(1);
        assert!(world.env().until(soon, second_wake.wait()).await.is_none());
    });
}

#[test]
fn nothing_is_kept_of_a_lock_that_nobody_uses() {
    let world = Virtual::new(1);
    let store = Memory::new(world.env());
    let holder = claim(&world, Queueing::No);
    world.block_on(async {
        store.claim(&holder).await.unwrap();
        drop(store.watch(&holder.name, Interest::Changes).await.unwrap());
        store.release(&holder).await.unwrap();
    });
    let locks = store.shared().lock();
    assert!(locks.documents.is_empty() && !locks.waiters.has(&holder.name));
}

#[test]
fn what_is_forgotten_is_admitted() {
    let world = Virtual::new(1);
    let store = Memory::new(world.env());
    world.block_on(async {
        let holder = claim(&world, Queueing::No);
        store.claim(&holder).await.unwrap();
        let before = store.server_info().await.unwrap();
        assert_eq!(before.remembers_for, Duration::MAX);
        store.forget();
        world.env().sleep(Duration::from_secs(3)).await;
        let Standing::Granted(grant) = store.claim(&claim(&world, Queueing::No)).await.unwrap() else {
            panic!("it has forgotten who held the lock")
        };
        assert_eq!(grant.remembers_for, Duration::from_secs(3));
        assert_eq!(store.server_info().await.unwrap().server, before.server);
    });
}

#[test]
fn a_dropped_client_frees_its_holds() {
    let world = Virtual::new(1);
    let store = Memory::new(world.env());
    let other = store.client();
    world.block_on(async {
        store.claim(&claim(&world, Queueing::No)).await.unwrap();
        drop(store);
        let standing = other.claim(&claim(&world, Queueing::No)).await.unwrap();
        assert!(matches!(standing, Standing::Granted(_)));
    });
}
