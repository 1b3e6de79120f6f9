//! Round trips are exact, so they are counted, by the member, and timed through a proxy that makes each of them long.

use std::time::Duration;

use leasehold_core::{Claim, Interest, Standing, Store};
use leasehold_testkit::{etcd::Member, proxy::Proxy};

use crate::{
    common,
    fixture::{SOON, at, claim, fifo, port, queue_up, run, store, store_with, take},
};

/// How often a member was asked for transactions and deletions, ranges, leases and renewals.
fn counts(member: &Member) -> [u64; 4] {
    let calls = |procedure| member.calls(procedure).unwrap();
    let writes = calls("Txn") + calls("DeleteRange");
    [writes, calls("Range"), calls("LeaseGrant"), calls("LeaseKeepAlive")]
}

fn since(member: &Member, before: [u64; 4]) -> [u64; 4] {
    let after = counts(member);
    std::array::from_fn(|at| after[at] - before[at])
}

/// The duration of a round trip through the proxy: longer than anything else here.
const HALF: Duration = Duration::from_millis(1_000);

#[test]
fn lock_and_unlock_are_one_round_trip_each() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let store = store_with(&port(proxy.port()), |options| options.timeout = SOON);
        let env = common::env();
        // The first one connects, and gets the lease.
        let warm = claim(&env, "warm", 30);
        take(&store, &warm).await;
        store.release(&warm).await.unwrap();
        let (mine, before) = (claim(&env, "x", 30), counts(&member));
        proxy.delay(HALF);
        let begin = env.now();
        take(&store, &mine).await;
        let locked = env.now();
        // A transaction; and, unless that was just done, the renewal of a lease that was there, in the same moment.
        // (Another lease may be granted for the next claim; no claim waits for it.)
        let [txn, range, _, renewed] = since(&member, before);
        assert!(txn == 1 && range == 0 && renewed <= 1, "to lock: {txn} {range} {renewed}");
        store.release(&mine).await.unwrap();
        let unlocked = env.now();
        let [txn, range, _, again] = since(&member, before);
        assert_eq!([txn, range, again], [2, 0, renewed], "to unlock");
        for took in [locked.since(begin), unlocked.since(locked)] {
            assert!(took >= HALF * 2 && took < HALF * 4, "{took:?} are not one round trip");
        }
    });
}

#[test]
fn a_busy_try_names_the_holder_in_one_round_trip() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let warm = claim(&env, "warm", 30);
        take(&two, &warm).await;
        two.release(&warm).await.unwrap();
        let mine = Claim { note: Some("here".into()), ..claim(&env, "x", 30) };
        take(&one, &mine).await;
        let before = counts(&member);
        let Standing::Held(busy) = two.claim(&claim(&env, "x", 30)).await.unwrap() else {
            panic!("another holds it")
        };
        let [txn, range, _, renewed] = since(&member, before);
        assert!(txn == 1 && range == 0 && renewed <= 1, "{txn} {range} {renewed}");
        let holder = busy.holder.unwrap();
        assert_eq!(holder.note.as_deref(), Some("here"));
        assert!(holder.expires_in.is_some_and(|left| left <= mine.ttl));
    });
}

/// Go reads after the event. Here a transaction takes the lock, visibly for every reader.
#[test]
fn a_hand_over_is_a_push_and_a_transaction() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let (mine, theirs) = (claim(&env, "x", 30), fifo(&env, "x", 30));
        take(&one, &mine).await;
        let mut wake = two.watch(&theirs.name, Interest::Turn(theirs.id)).await.unwrap();
        queue_up(&two, &theirs).await;
        let before = counts(&member);
        one.release(&mine).await.unwrap();
        wake.wait().await.unwrap();
        take(&two, &theirs).await;
        let [txn, range, ..] = since(&member, before);
        assert_eq!([txn, range], [2, 0], "one to release, one to take it");
    });
}

/// Others are not expected where nobody was: the first who has to wait asks twice.
#[test]
fn the_first_contention_costs_one_round_trip_more_and_the_next_none() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        for expected in [2, 1, 1] {
            let (mine, theirs) = (claim(&env, "x", 30), fifo(&env, "x", 30));
            take(&one, &mine).await;
            let before = counts(&member);
            queue_up(&two, &theirs).await;
            assert_eq!(since(&member, before)[..2], [expected, 0]);
            for (store, claim) in [(&two, &theirs), (&one, &mine)] {
                store.release(claim).await.unwrap();
            }
        }
        // Somebody who has the lock for himself expects nobody again.
        let (alone, mine, theirs) = (claim(&env, "x", 30), claim(&env, "x", 30), fifo(&env, "x", 30));
        take(&two, &alone).await;
        two.release(&alone).await.unwrap();
        take(&one, &mine).await;
        let before = counts(&member);
        queue_up(&two, &theirs).await;
        assert_eq!(since(&member, before)[..2], [2, 0]);
    });
}

#[test]
fn many_claims_of_one_client_are_renewed_in_few_transactions() {
    let member = Member::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        let claims: Vec<Claim> = (0..200).map(|at| claim(&env, &format!("lock {at}"), 30)).collect();
        for claim in &claims {
            take(&store, claim).await;
        }
        let before = counts(&member);
        assert!(store.renew(&claims).await.into_iter().all(|answer| answer.is_ok()));
        let [txn, range, _, renewed] = since(&member, before);
        assert_eq!([range, renewed], [0, 200]);
        assert!(txn <= 5, "{txn} transactions for 200 locks");
    });
}
