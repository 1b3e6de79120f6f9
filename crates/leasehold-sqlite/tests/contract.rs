//! The verbs, within one process.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::time::Duration;

use common::{block_on, detached, env, exclusive, fifo, granted, name, shared};
use leasehold_core::{
    Claim, ErrorKind, Fencing, FencingToken, Interest, Liveness, LostReason, Mode, Outcome, Queueing,
    Release, Renewal, Stance, Standing, Store, Wake,
};
use leasehold_sqlite::SqliteStore;
use tempfile::TempDir;

const TTL: Duration = Duration::from_secs(30);

fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(directory.path().join("locks.db"), env()).unwrap()
}

/// News within a second; a wake-up that was lost would come by the recheck, ten seconds later.
async fn woken(wake: &mut dyn Wake) -> bool {
    let env = env();
    env.until(env.now() + Duration::from_secs(1), wake.wait()).await.is_some_and(|news| news.is_ok())
}

/// Takes news that is there already.
async fn drain(wake: &mut dyn Wake) {
    let env = env();
    while env.until(env.now() + Duration::from_millis(50), wake.wait()).await.is_some() {}
}

#[test]
fn the_capability_says_what_is_true() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let capability = store.capability();
    assert_eq!((capability.fencing, capability.liveness), (Fencing::Durable, Liveness::Process));
    assert!(store.url().starts_with("sqlite:/") && store.url().ends_with("locks.db"));
    block_on(async {
        let short = store.claim(&exclusive("a", Duration::from_millis(1))).await.unwrap_err();
        assert_eq!(short.kind(), ErrorKind::Invalid);
        let empty = Claim { mode: Mode::Permits { take: 0, of: 1 }, ..exclusive("a", TTL) };
        assert_eq!(store.claim(&empty).await.unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn a_lock_is_held_by_one_store_and_then_by_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (open(&directory), open(&directory));
    block_on(async {
        let (mine, yours) = (exclusive("a", TTL), exclusive("a", TTL));
        let first = granted(one.claim(&mine).await);
        assert_eq!(granted(one.claim(&mine).await), first, "a repeated claim answers its token unchanged");
        let Standing::Held(busy) = two.claim(&yours).await.unwrap() else { panic!("held") };
        assert_eq!(busy.holder.unwrap().fence, Some(first));
        assert!(busy.recheck_in <= TTL);
        assert_eq!(two.release(&yours).await.unwrap(), Release::NotHeld);
        assert_eq!(one.release(&mine).await.unwrap(), Release::Released);
        assert!(granted(two.claim(&yours).await) > first);
        assert_eq!(
            one.renew(std::slice::from_ref(&mine)).await.remove(0).unwrap(),
            Renewal::Gone(LostReason::Gone)
        );
        let again = two.inspect(&name("a")).await.unwrap();
        assert_eq!(again.holders.len(), 1);
        assert_eq!(again.holders[0].stance, Stance::Holding);
        let listed = one.list("", 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].holders[0].fence, again.holders[0].fence);
    });
}

#[test]
fn a_closed_or_dropped_store_takes_its_claims_along_but_not_the_detached() {
    let directory = tempfile::tempdir().unwrap();
    let stays = open(&directory);
    for how in ["close", "drop"] {
        let goes = open(&directory);
        block_on(async {
            let (bound, free) = (fifo(how, TTL), detached(&format!("{how} detached"), TTL));
            granted(goes.claim(&bound).await);
            granted(goes.claim(&free).await);
            let waits = fifo(how, TTL);
            let mut wake = stays.watch(&waits.name, Interest::Turn(waits.id)).await.unwrap();
            assert!(matches!(stays.claim(&waits).await.unwrap(), Standing::Waiting(_)));
            if how == "close" {
                goes.close().await.unwrap();
                assert_eq!(goes.claim(&bound).await.unwrap_err().kind(), ErrorKind::Closed);
                goes.close().await.unwrap();
            }
            drop(goes);
            assert!(woken(&mut *wake).await, "{how}");
            granted(stays.claim(&waits).await);
            assert_eq!(stays.inspect(&free.name).await.unwrap().holders.len(), 1);
            assert_eq!(stays.release(&free).await.unwrap(), Release::Released, "a ticket is enough");
        });
    }
    block_on(stays.close()).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("locks.db-sessions")).unwrap().count(), 0);
}

#[test]
fn a_release_wakes_whose_turn_it_is_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (open(&directory), open(&directory));
    block_on(async {
        let holder = fifo("a", TTL);
        granted(here.claim(&holder).await);
        let waiters = [fifo("a", TTL), fifo("a", TTL)];
        let stores = [&there, &here];
        let mut wakes = Vec::new();
        for (waiter, store) in waiters.iter().zip(stores) {
            wakes.push(store.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap());
            assert!(matches!(store.claim(waiter).await.unwrap(), Standing::Waiting(_)));
        }
        here.release(&holder).await.unwrap();
        assert!(woken(&mut *wakes[0]).await, "in the other store");
        granted(there.claim(&waiters[0]).await);
        let env = env();
        let early = env.until(env.now() + Duration::from_millis(100), wakes[1].wait()).await;
        assert!(early.is_none(), "no herd");
        there.release(&waiters[0]).await.unwrap();
        assert!(woken(&mut *wakes[1]).await, "in the same store");
        granted(here.claim(&waiters[1]).await);
    });
}

#[test]
fn a_downgrade_a_smaller_take_and_a_forced_release_let_others_in() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (open(&directory), open(&directory));
    block_on(async {
        let mut writer = Claim { mode: Mode::Exclusive, ..shared("rw", TTL) };
        granted(here.claim(&writer).await);
        let reader = shared("rw", TTL);
        let mut wake = there.watch(&reader.name, Interest::Turn(reader.id)).await.unwrap();
        assert!(matches!(there.claim(&reader).await.unwrap(), Standing::Waiting(_)));
        writer.mode = Mode::Shared;
        granted(here.claim(&writer).await);
        assert!(woken(&mut *wake).await);
        granted(there.claim(&reader).await);

        let permits = |take| Claim { mode: Mode::Permits { take, of: 3 }, ..fifo("semaphore", TTL) };
        let (mut much, little) = (permits(3), permits(1));
        granted(here.claim(&much).await);
        let mut wake = there.watch(&little.name, Interest::Turn(little.id)).await.unwrap();
        assert!(matches!(there.claim(&little).await.unwrap(), Standing::Waiting(_)));
        much.mode = Mode::Permits { take: 2, of: 3 };
        granted(here.claim(&much).await);
        assert!(woken(&mut *wake).await);
        granted(there.claim(&little).await);
        let other = Claim { mode: Mode::Permits { take: 1, of: 4 }, ..exclusive("semaphore", TTL) };
        assert_eq!(here.claim(&other).await.unwrap(), Standing::Mismatch { limit: Some(3) });
    });
}

#[test]
fn a_forced_release_tells_the_holder_and_raises_the_counter() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (open(&directory), open(&directory));
    block_on(async {
        let (holder, waiter) = (fifo("a", TTL), fifo("a", TTL));
        let token = granted(here.claim(&holder).await);
        let mut wake = there.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap();
        assert!(matches!(there.claim(&waiter).await.unwrap(), Standing::Waiting(_)));
        let evicted = there.force_release(&name("a")).await.unwrap();
        assert_eq!(evicted.len(), 1);
        let raised = here.inspect(&name("a")).await.unwrap().fence.unwrap();
        assert!(raised > token);
        assert!(woken(&mut *wake).await);
        assert!(granted(there.claim(&waiter).await) > raised);
        let renewal = here.renew(std::slice::from_ref(&holder)).await.remove(0).unwrap();
        assert_eq!(renewal, Renewal::Gone(LostReason::ForceReleased));
    });
}

#[test]
fn an_observer_hears_of_every_change_from_both_stores() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (open(&directory), open(&directory));
    block_on(async {
        let mut leader = exclusive("election", TTL);
        for observer in [&here, &there] {
            let mut wake = observer.watch(&leader.name, Interest::Changes).await.unwrap();
            granted(here.claim(&leader).await);
            assert!(woken(&mut *wake).await, "elected");
            drain(&mut *wake).await;
            leader.note = Some("proclaims".into());
            granted(here.claim(&leader).await);
            assert!(woken(&mut *wake).await, "a note");
            drain(&mut *wake).await;
            here.renew(std::slice::from_ref(&leader)).await.remove(0).unwrap();
            let waiter = fifo("election", TTL);
            assert!(matches!(there.claim(&waiter).await.unwrap(), Standing::Waiting(_)));
            assert!(woken(&mut *wake).await, "the queue");
            drain(&mut *wake).await;
            there.release(&waiter).await.unwrap();
            here.release(&leader).await.unwrap();
            assert!(woken(&mut *wake).await, "free");
            leader.note = None;
        }
        assert!(here.list("", 10).await.unwrap().is_empty(), "who only watches is not in use");
    });
}

#[test]
fn a_watcher_leaves_no_row_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    block_on(async {
        let first = store.watch(&name("a"), Interest::Changes).await.unwrap();
        let second = store.watch(&name("a"), Interest::Changes).await.unwrap();
        assert_eq!(rows(&directory), 1);
        drop(first);
        assert_eq!(rows(&directory), 1);
        drop(second);
        assert_eq!(rows(&directory), 0);
        let claim = exclusive("a", TTL);
        granted(store.claim(&claim).await);
        store.release(&claim).await.unwrap();
        assert_eq!(rows(&directory), 0, "an idle lock costs nothing");
    });
}

fn rows(directory: &TempDir) -> i64 {
    let database = rusqlite::Connection::open(directory.path().join("locks.db")).unwrap();
    database.query_row("SELECT count(*) FROM claims", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_subscription_of_a_closed_store_ends_with_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    block_on(async {
        let mut wake = store.watch(&name("a"), Interest::Changes).await.unwrap();
        store.close().await.unwrap();
        assert_eq!(wake.wait().await.unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn a_floor_raises_a_hold_and_all_later_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    block_on(async {
        let mut claim = exclusive("a", TTL);
        let token = granted(store.claim(&claim).await);
        let floor = FencingToken::new(token.get() + 1_000_000_000_000).unwrap();
        claim.fence_floor = Some(floor);
        assert_eq!(granted(store.claim(&claim).await), floor);
        assert!(granted(store.claim(&exclusive("b", TTL)).await) > floor);
    });
}

#[test]
fn a_thousand_renewals_of_which_some_are_gone_answer_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    block_on(async {
        let claims: Vec<_> = (0..1000).map(|index| exclusive(&format!("lock {index}"), TTL)).collect();
        for claim in claims.iter().step_by(2) {
            granted(store.claim(claim).await);
        }
        let mut all = claims.clone();
        all[10].ttl = Duration::MAX;
        for (index, renewal) in store.renew(&all).await.into_iter().enumerate() {
            match renewal {
                Ok(Renewal::Renewed { valid_for }) => assert!(index % 2 == 0 && valid_for <= TTL),
                Ok(Renewal::Gone(reason)) => assert!(index % 2 == 1 && reason == LostReason::Gone),
                Err(error) => assert!(index == 10 && error.kind() == ErrorKind::Invalid),
            }
        }
    });
}

#[test]
fn a_deleted_or_replaced_file_is_noticed_and_tokens_still_grow() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    block_on(async {
        let claim = exclusive("a", TTL);
        let token = granted(store.claim(&claim).await);
        std::fs::remove_file(directory.path().join("locks.db")).unwrap();
        let error = store.claim(&exclusive("b", TTL)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
        assert!(error.hint_text().unwrap().contains("open the store again"));
        let anew = open(&directory);
        assert!(granted(anew.claim(&exclusive("a", TTL)).await) > token);
        assert_eq!(store.claim(&exclusive("b", TTL)).await.unwrap_err().kind(), ErrorKind::Corrupt);
        let renewal = store.renew(std::slice::from_ref(&claim)).await.remove(0).unwrap();
        assert_eq!(renewal, Renewal::Gone(LostReason::Gone));
    });
}

#[test]
fn a_waiter_that_releases_leaves_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (open(&directory), open(&directory));
    block_on(async {
        let holder = exclusive("a", TTL);
        granted(here.claim(&holder).await);
        let barging = Claim { queueing: Queueing::Barging, ..exclusive("a", TTL) };
        assert!(matches!(there.claim(&barging).await.unwrap(), Standing::Waiting(_)));
        assert_eq!(there.release(&barging).await.unwrap(), Release::Released, "it leaves the queue");
        here.release(&holder).await.unwrap();
        assert!(here.inspect(&name("a")).await.unwrap().waiters.is_empty());
    });
}
