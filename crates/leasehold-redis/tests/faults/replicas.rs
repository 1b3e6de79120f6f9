//! Replicas that must confirm.

use leasehold_core::{Claim, Env, ErrorKind, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::redis::Replicated;

use crate::{
    common,
    fixture::{LATE, Naive, claim, engine, eventually, holder, lock, run, store, ttl},
};

/// Asks as an engine does: replicas of a busy machine may take longer than one question waits.
async fn granted(env: &Env, store: &RedisStore, claim: &Claim) {
    eventually(env, "a grant that is confirmed", || async {
        matches!(store.claim(claim).await, Ok(Standing::Granted(_)))
    })
    .await;
}

/// One of two is not enough when two are wanted: refused, and given back. One is enough when one is wanted.
#[test]
fn too_few_confirmations_are_no_grant_and_nothing_stays() {
    let kit = Replicated::start(2).unwrap();
    run(async {
        let env = common::env();
        let words = |count: u32| format!("single={} replicas={count}", kit.master().port());
        let (one, two) = (store(&words(1)), store(&words(2)));
        granted(&env, &two, &claim(&env, "warm", 30_000)).await;
        kit.link(0).blackhole();
        let error = two.claim(&claim(&env, "orders", 30_000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoQuorum, "{error:?}");
        assert!(error.to_string().contains("1 of 2 replicas"), "{error:?}");
        assert_eq!(holder(kit.master(), "orders"), None, "given back");
        granted(&env, &one, &claim(&env, "orders", 30_000)).await;
        assert!(holder(kit.master(), "orders").is_some());
    });
}

/// S6, in a pipeline: a script that was forgotten is loaded in front of itself and of the `WAIT` behind it.
#[test]
fn a_forgotten_script_in_front_of_wait_is_loaded_again() {
    let kit = Replicated::start(1).unwrap();
    run(async {
        let env = common::env();
        let store = store(&format!("single={} replicas=1", kit.master().port()));
        for text in ["one", "two"] {
            kit.master().command(&["SCRIPT", "FLUSH"]).unwrap();
            let mine = claim(&env, text, 30_000);
            granted(&env, &store, &mine).await;
            kit.master().command(&["SCRIPT", "FLUSH"]).unwrap();
            eventually(&env, "a confirmed renewal", || async {
                store.renew(std::slice::from_ref(&mine)).await.remove(0).is_ok()
            })
            .await;
            assert_eq!(holder(kit.replica(0), text), Some(mine.id.to_string()), "confirmed is confirmed");
        }
    });
}

/// A renewal that too few have does not count: jeopardy, and the loss by the deadline, before a replica may be promoted
/// that knows an older end.
#[test]
fn a_renewal_without_confirmations_does_not_prolong_the_lease() {
    let kit = Replicated::start(1).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("single={} replicas=1", kit.master().port())));
        let hold = lock(&engine, "orders", &ttl(2_400)).await;
        kit.link(0).blackhole();
        let deadline = hold.lease().deadline();
        crate::fixture::loss(&env, &hold).await;
        assert!(env.now() < deadline + LATE);
        assert!(hold.lease().deadline() <= deadline, "no renewal was confirmed");
    });
}

/// The failover that `min_replicas` is for: a grant that the replica has is still there after its promotion.
#[test]
fn a_confirmed_grant_survives_the_promotion_and_an_unconfirmed_one_does_not() {
    let kit = Replicated::start(1).unwrap();
    run(async {
        let (env, careful) = (common::env(), store(&format!("single={} replicas=1", kit.master().port())));
        let mine = claim(&env, "careful", 60_000);
        granted(&env, &careful, &mine).await;
        // The control takes a lock that is not replicated any more, and believes in it.
        kit.link(0).blackhole();
        assert!(Naive::at(&kit.master().address()).lock("naive", "me", 60_000));
        kit.master().kill();
        kit.failover_to(0).unwrap();
        eventually(&env, "a new master", || async {
            kit.replica(0).command(&["ROLE"]).unwrap().items().first().and_then(|it| it.text())
                == Some("master")
        })
        .await;
        assert_eq!(holder(kit.replica(0), "careful"), Some(mine.id.to_string()));
        assert!(
            Naive::at(&kit.replica(0).address()).lock("naive", "other", 60_000),
            "the control: a second holder"
        );
    });
}

/// The grant of one client waits for replicas and is given back: the other is told that there are too few, not that the
/// lock is taken, for nobody has it.
#[test]
fn a_grant_that_is_given_back_makes_nobody_busy() {
    let kit = Replicated::start(1).unwrap();
    run(async {
        let env = common::env();
        let words = format!("single={} replicas=1", kit.master().port());
        let (one, two) = (store(&words), store(&words));
        for store in [&one, &two] {
            granted(&env, store, &claim(&env, &claim(&env, "warm", 1).id.to_string(), 30_000)).await;
        }
        kit.link(0).blackhole();
        let first = tokio::spawn({
            let (one, mine) = (one.clone(), claim(&env, "orders", 30_000));
            async move { one.claim(&mine).await }
        });
        eventually(&env, "a grant without confirmation", || async {
            holder(kit.master(), "orders").is_some()
        })
        .await;
        // The control: it finds a key, and calls that a holder.
        assert!(
            !Naive::at(&kit.master().address()).lock("orders", "me", 30_000),
            "the control is told: taken"
        );
        let error = two.claim(&claim(&env, "orders", 30_000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoQuorum, "{error:?}");
        assert_eq!(first.await.unwrap().unwrap_err().kind(), ErrorKind::NoQuorum);
        assert_eq!(holder(kit.master(), "orders"), None);
    });
}
