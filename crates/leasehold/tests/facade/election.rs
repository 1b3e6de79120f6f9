use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold::{ErrorKind, Note};
use leasehold_core::layer::{Fault, Verb};

use crate::bench::{Bench, TTL};

#[test]
fn one_leads_says_something_and_is_followed_by_another_with_a_higher_token() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    let (here, there) = (a.election("x").unwrap(), b.election("x").unwrap());
    bench.world.block_on(async {
        assert!(there.leader().await.unwrap().is_none());
        let mut first = here.campaign("a:1").await.unwrap();
        assert!(there.try_campaign("b:1").await.unwrap().is_none());
        assert!(there.try_campaign_for("b:1", TTL).await.unwrap().is_none());
        let seen = there.leader().await.unwrap().unwrap();
        assert_eq!((seen.value.as_str(), seen.fencing_token), ("a:1", first.fencing_token()));
        assert_eq!(seen.note.pid, Some(std::process::id()));
        assert_eq!(seen.age, Some(TTL));
        first.proclaim("a:2").await.unwrap();
        assert_eq!(there.leader().await.unwrap().unwrap().value, "a:2");
        let token = first.fencing_token();
        let (second, _) = tokio::join!(there.campaign("b:1"), first.resign());
        let second = second.unwrap();
        assert!(second.fencing_token() > token);
        assert_eq!(here.leader().await.unwrap().unwrap().value, "b:1");
        second.resign().await.unwrap();
    });
    bench.assert_clean(&[&a, &b], "resigned");
}

#[test]
fn an_observer_sees_terms_of_office_values_and_their_end_without_polling() {
    let bench = Bench::new(1);
    let questions = Arc::new(AtomicU64::new(0));
    let asked = questions.clone();
    let watching = bench.chaotic(move |_, verb| {
        asked.fetch_add(u64::from(verb == Verb::Inspect), Ordering::AcqRel);
        Fault::None
    });
    let leading = bench.client();
    bench.world.block_on(async {
        let env = bench.world.env();
        let mut observer = watching.election("x").unwrap().observe();
        assert!(observer.changed().await.unwrap().is_none(), "the first call answers at once");
        let hour = async {
            env.sleep(Duration::from_secs(3600)).await;
            leading.election("x").unwrap().campaign("one").await.unwrap()
        };
        let (seen, mut leadership) = tokio::join!(observer.changed(), hour);
        assert_eq!(seen.unwrap().unwrap().value, "one");
        assert!(questions.load(Ordering::Acquire) <= 3, "an hour without a leader is not polled");
        let (seen, said) = tokio::join!(observer.changed(), leadership.proclaim("two"));
        said.unwrap();
        assert_eq!(seen.unwrap().unwrap().value, "two");
        let (seen, _) = tokio::join!(observer.changed(), leadership.resign());
        assert!(seen.unwrap().is_none());
    });
}

#[test]
fn an_observer_sees_the_end_of_a_leader_that_died() {
    let bench = Bench::new(1);
    let client = bench.client();
    let lasting = bench.client().outlives_client();
    bench.world.block_on(async {
        let mut observer = client.election("x").unwrap().observe();
        let leadership = lasting.election("x").unwrap().campaign("me").await.unwrap();
        assert_eq!(observer.changed().await.unwrap().unwrap().value, "me");
        lasting.close(Duration::ZERO).await.ok();
        std::mem::forget(leadership);
        let begin = client.env().now();
        assert!(observer.changed().await.unwrap().is_none());
        assert!(client.env().now().since(begin) <= TTL + Duration::from_secs(1));
    });
}

#[test]
fn an_observer_survives_broken_subscriptions_and_failing_questions() {
    for at in 0..6 {
        let bench = Bench::new(at);
        let shaky = bench.chaotic(move |number, _| if number == at { Fault::LoseReply } else { Fault::None });
        let steady = bench.client();
        bench.world.block_on(async {
            let mut observer = shaky.election("x").unwrap().observe();
            assert!(observer.changed().await.unwrap().is_none());
            let election = steady.election("x").unwrap();
            let (seen, leadership) = tokio::join!(observer.changed(), election.campaign("me"));
            assert_eq!(seen.unwrap().unwrap().value, "me", "{at}");
            leadership.unwrap().resign().await.unwrap();
            assert!(observer.changed().await.unwrap().is_none());
        });
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused_and_nothing_is_written() {
    let bench = Bench::new(1);
    let client = bench.client();
    let election = client.election("x").unwrap();
    bench.world.block_on(async {
        let error = election.campaign("x".repeat(5000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("5000") && error.to_string().contains("4096"), "{error}");
        let mut leadership = election.campaign("y".repeat(2000)).await.unwrap();
        assert!(leadership.proclaim("x".repeat(5000)).await.is_err());
        assert_eq!(election.leader().await.unwrap().unwrap().value.len(), 2000);
    });
}

#[test]
fn whoever_holds_the_lock_otherwise_leads_without_a_word() {
    let bench = Bench::new(1);
    let client = bench.client().note("worker-7");
    bench.world.block_on(async {
        let _guard = client.mutex("x").unwrap().lock().await.unwrap();
        let leader = client.election("x").unwrap().leader().await.unwrap().unwrap();
        assert_eq!((leader.value.as_str(), leader.note), ("", Note::default().text("worker-7")));
    });
}

#[test]
fn a_candidate_leads_again_after_each_loss_and_knows_whether_it_leads() {
    let bench = Bench::new(1);
    let client = bench.client();
    let candidate = client.election("x").unwrap().ttl(TTL).candidate("me");
    let (health, operator, env) = (candidate.clone(), bench.client(), bench.world.env());
    let terms = AtomicU64::new(0);
    let work = |lease: leasehold::Lease| {
        let term = terms.fetch_add(1, Ordering::AcqRel);
        let (health, operator, env, bench) = (&health, &operator, &env, &bench);
        async move {
            assert!(health.is_leader());
            assert_eq!(health.lease().unwrap().fencing_token(), lease.fencing_token());
            match term {
                0 => drop(operator.force_release("x").await.unwrap()),
                1 => {
                    // In the first instruction after the pause.
                    bench.world.pause(TTL);
                    assert!(!health.is_leader(), "after a pause");
                }
                _ => return "done",
            }
            env.sleep(TTL * 100).await;
            unreachable!("the leadership was lost")
        }
    };
    bench.world.block_on(async {
        assert!(!health.is_leader());
        assert_eq!(candidate.lead(work).await.unwrap(), "done");
        assert!(!health.is_leader(), "it has resigned");
        assert_eq!(terms.load(Ordering::Acquire), 3);
    });
    bench.assert_clean(&[&client, &operator], "resigned");
}

#[test]
fn a_candidate_campaigns_while_the_store_fails_and_resigns_when_it_is_dropped() {
    let bench = Bench::new(1);
    let fails = Arc::new(AtomicU64::new(1));
    let failing = fails.clone();
    let client = bench.chaotic(move |_, _| match failing.load(Ordering::Acquire) {
        0 => Fault::None,
        _ => Fault::LoseRequest,
    });
    let candidate = client.election("x").unwrap().candidate("me");
    let env = bench.world.env();
    bench.world.block_on(async {
        let leading = candidate.lead(|_| std::future::pending::<()>());
        let outage = async {
            env.sleep(TTL * 10).await;
            assert!(!candidate.is_leader());
            fails.store(0, Ordering::Release);
            while !candidate.is_leader() {
                env.sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            ended = leading => panic!("{ended:?}"),
            () = outage => {}
        }
        assert!(!candidate.is_leader(), "it was dropped");
        // The claims that were in doubt during the outage are released, too.
        env.sleep(TTL * 3).await;
    });
    bench.assert_clean(&[&client], "dropped");
}
