//! Members that die, and a majority that does.

use std::time::Duration;

use leasehold_core::{ErrorKind, Standing, Store};
use leasehold_testkit::zookeeper::Ensemble;

use crate::{
    common,
    fixture::{claim, engine, eventually, holders, lock, run, store, try_lock, ttl},
    naive::{Naive, Pending, becomes_first},
};

/// The leader is killed under a holder: the session moves to another member, the hold lives on, nobody enters, and later
/// tokens are higher.
#[test]
fn a_hold_survives_its_leader() {
    let ensemble = Ensemble::start(3).unwrap();
    let words = format!("servers={} session=20000", ensemble.addresses());
    run(async {
        let (env, one, two) = (common::env(), engine(&words).await, engine(&words).await);
        let hold = lock(&one, "orders", &ttl(20_000)).await;
        let first = hold.lease().fencing_token().unwrap();
        let leader = ensemble.leader().unwrap();
        // It knows of one member alone.
        let naive = Naive::with(&leader.address(), Duration::from_secs(2)).await;
        naive.make("/naive").await;
        let number = naive.enqueue("/naive").await.unwrap();
        assert!(naive.is_first("/naive", number).await);
        leader.kill();
        ensemble.leader().unwrap();
        eventually(&env, "another client is served again", || async {
            two.store().inspect(&crate::fixture::name("orders")).await.is_ok()
        })
        .await;
        assert!(try_lock(&two, "orders", &ttl(20_000)).await.unwrap().is_none(), "it is held");
        hold.confirm().await.unwrap();
        assert!(hold.lease().check().is_ok());
        let other = Naive::at(&ensemble.addresses()).await;
        let rival = other.enqueue("/naive").await.unwrap();
        becomes_first(&env, &other, "/naive", rival).await;
        assert!(
            hold.lease().check().is_ok(),
            "the control: the naive one's lock is another's, with the same fault"
        );
        hold.release().await.unwrap();
        let next = lock(&two, "orders", &ttl(20_000)).await;
        assert!(next.lease().fencing_token().unwrap() > first);
        leader.restart().unwrap();
        leader.await_serving().unwrap();
        assert_eq!(holders(&**two.store(), "orders").await, 1);
    });
}

/// Two of three stand still: every verb fails in time and says so; the holder's lease ends by its own clock; when they go
/// on, so does everything.
#[test]
fn without_a_majority_verbs_fail_in_time_and_nothing_hangs() {
    let ensemble = Ensemble::start(3).unwrap();
    let timeout = Duration::from_secs(2);
    let words = format!("servers={} session=6000 timeout=2000", ensemble.addresses());
    run(async {
        let env = common::env();
        let (one, raw) = (engine(&words).await, store(&words).await);
        let hold = lock(&one, "orders", &ttl(6_000)).await;
        // It believes in its session, and that has a minute.
        let naive = Naive::with(&ensemble.addresses(), Duration::from_secs(60)).await;
        naive.make("/naive").await;
        naive.enqueue("/naive").await.unwrap();
        let stopped: Vec<_> = ensemble.members().iter().take(2).collect();
        stopped.iter().for_each(|member| member.pause().unwrap());
        let late = Duration::from_secs(10);
        let begin = env.now();
        let states = naive.client.state_watcher();
        let naive = Pending::on(async move { naive.insist("/naive").await });
        let mine = claim(&env, "invoices", 6_000);
        let error = raw.claim(&mine).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut), "{error:?}");
        assert!(error.hint_text().is_some() && error.to_string().contains("invoices"), "{error:?}");
        assert!(env.now().since(begin) < timeout * 2 + late, "{:?}", env.now().since(begin));
        assert!(raw.inspect(&mine.name).await.is_err() && raw.server_info().await.is_err());
        let lost = env.until(hold.lease().deadline() + late, hold.lease().lost()).await;
        assert!(lost.is_some() && hold.lease().check().is_err(), "by its own clock");
        assert!(naive.hangs(), "the control: it asks for ever, and is not told to stop");
        assert!(!states.peek_state().is_terminated(), "the control: nor that it may hold nothing");
        stopped.iter().for_each(|member| member.resume().unwrap());
        eventually(&env, "the ensemble serves again", || async {
            matches!(raw.claim(&mine).await, Ok(Standing::Granted(_)))
        })
        .await;
        let next = lock(&one, "orders", &ttl(6_000)).await;
        assert!(next.lease().check().is_ok());
    });
}
