//! A Cluster: slots that move, masters that die.

use std::time::Duration;

use leasehold_core::{Hold, Release, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::redis::Cluster;

use crate::{
    common,
    fixture::{
        LATE, Naive, claim, engine, eventually, holder, lock, name, options, run, store, try_lock, ttl,
    },
};

fn words(kit: &Cluster) -> String {
    let ports: Vec<String> = (0..6).map(|at| kit.node(at).port().to_string()).collect();
    format!("cluster={}", ports.join(","))
}

/// A lock in a slot of this master.
fn text_at(kit: &Cluster, master: usize) -> (String, u16) {
    let found = (0..10_000).find_map(|at| {
        let text = format!("lock {at}");
        let slot = kit.slot_of(&text).ok()?;
        (kit.master_of(slot).ok()? == master).then_some((text, slot))
    });
    found.expect("every master has slots")
}

async fn renewed(hold: &Hold) {
    let before = hold.lease().deadline();
    eventually(&common::env(), "a renewal", || async { hold.lease().deadline() > before }).await;
    assert!(hold.lease().check().is_ok());
}

/// S10. Renewed before, between and after the keys have moved; released at the new owner; and a waiter whose channel moved
/// with the slot is still woken.
#[test]
fn a_slot_that_moves_during_a_hold_loses_neither_hold_nor_waiter() {
    let kit = Cluster::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), engine(&words(&kit)), engine(&words(&kit)));
        let (text, slot) = text_at(&kit, 0);
        let hold = lock(&one, &text, &ttl(3_000)).await;
        let waiter = tokio::spawn({
            let (two, text) = (two.clone(), text.clone());
            async move { lock(&two, &text, &ttl(3_000)).await }
        });
        let watched = store(&words(&kit));
        eventually(&env, "a waiter", || async {
            !watched.inspect(&name(&text)).await.unwrap().waiters.is_empty()
        })
        .await;
        kit.begin_move(slot, 0, 1).unwrap();
        renewed(&hold).await;
        let count = kit.move_keys(slot, 0, 1).unwrap();
        assert!(count >= 2, "{count} keys");
        renewed(&hold).await;
        kit.finish_move(slot, 0, 1).unwrap();
        renewed(&hold).await;
        assert_eq!(kit.node(0).command(&["GET", &text]).unwrap().error().map(|it| &it[..5]), Some("MOVED"));
        hold.release().await.unwrap();
        waiter.await.unwrap().release().await.unwrap();
    });
}

/// The control is in the answer of the server: a client that knows one node only is sent away.
#[test]
fn one_node_alone_is_not_enough() {
    let kit = Cluster::start().unwrap();
    let (text, _) = text_at(&kit, 1);
    let reply = kit.node(0).command(&["SET", &text, "me", "NX", "PX", "1000"]).unwrap();
    assert!(reply.error().is_some_and(|error| error.starts_with("MOVED")), "the control: {reply:?}");
    run(async {
        // As a single server, our error says what to use instead.
        let single = store(&format!("single={}", kit.node(0).port()));
        let error = single.claim(&crate::fixture::claim(&common::env(), &text, 1_000)).await.unwrap_err();
        assert!(error.hint_text().unwrap().contains("redis+cluster"), "{error:?}");
        assert!(try_lock(&engine(&words(&kit)), &text, &ttl(1_000)).await.unwrap().is_some());
    });
}

/// A shard that is silent does not keep the locks of the others from being renewed in time; its own end by their deadline.
#[test]
fn a_dead_shard_delays_no_other() {
    let kit = Cluster::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&words(&kit)));
        let terms = ttl(3_000);
        let mut holds = Vec::new();
        for master in 0..3 {
            holds.push(lock(&engine, &text_at(&kit, master).0, &terms).await);
        }
        // Nobody is to replace it.
        kit.node(3).kill();
        kit.node(0).pause().unwrap();
        let dead = holds.remove(0);
        let deadline = dead.lease().deadline();
        crate::fixture::loss(&env, &dead).await;
        assert!(env.now() < deadline + LATE);
        let until = env.now() + terms.ttl;
        while env.now() < until {
            assert!(holds.iter().all(|hold| hold.lease().check().is_ok()), "the others are renewed");
            env.sleep(Duration::from_millis(20)).await;
        }
        kit.node(0).resume().unwrap();
    });
}

/// A master dies and its replica is promoted: the lock is there, is renewed, and can be taken by others afterwards.
#[test]
fn a_failover_of_a_shard_is_followed() {
    let kit = Cluster::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&words(&kit)));
        let (text, slot) = text_at(&kit, 0);
        let hold = lock(&engine, &text, &ttl(30_000)).await;
        let token = hold.lease().fencing_token();
        eventually(&env, "a replica that has the grant", || async {
            kit.node(3).info("replication").get("slave_repl_offset")
                == kit.node(0).info("replication").get("master_repl_offset")
        })
        .await;
        kit.node(0).kill();
        let promoted =
            leasehold_testkit::wait::until(Duration::from_secs(20), || kit.master_of(slot) == Ok(3));
        assert!(promoted, "the replica is promoted");
        eventually(&env, "a confirmed hold", || async { hold.confirm().await.is_ok() }).await;
        assert!(hold.lease().check().is_ok());
        hold.release().await.unwrap();
        let next = lock(&engine, &text, &ttl(30_000)).await;
        assert!(next.lease().fencing_token() > token);
    });
}

/// No name is refused for its braces: its side keys are in its slot, and foreign clients are kept out by the name itself.
#[test]
fn names_whose_braces_are_no_hash_tag_are_locks_like_any_other() {
    let kit = Cluster::start().unwrap();
    run(async {
        let engine = engine(&words(&kit));
        for text in ["{}x", "a}b{c", "}", "{a}b", "{{a}}", "a{b"] {
            let hold = lock(&engine, text, &ttl(30_000)).await;
            assert!(try_lock(&engine, text, &ttl(30_000)).await.unwrap().is_none());
            let owner = kit.node(kit.master_of(kit.slot_of(text).unwrap()).unwrap());
            let foreign = owner.command(&["SET", text, "stranger", "NX", "PX", "1000"]).unwrap();
            assert!(foreign.is_nil(), "{text}: {foreign:?}");
            hold.release().await.unwrap();
        }
    });
}

/// Silent or dead, without a replica: who opens now gets the locks of the other masters all the same.
#[test]
fn a_master_that_does_not_answer_keeps_no_new_client_out() {
    let kit = Cluster::start().unwrap();
    run(async {
        let (env, texts) = (common::env(), [0, 1].map(|master| text_at(&kit, master).0));
        // Nobody is to replace it.
        kit.node(3).kill();
        let mut naive = Naive::at(&kit.node(0).address());
        kit.node(0).pause().unwrap();
        naive.ask(&texts[0], "me", 30_000);
        for round in ["silent", "dead"] {
            let store = RedisStore::open(options(&words(&kit)), env.clone()).await.unwrap();
            assert!(store.inspect(&name(&texts[1])).await.unwrap().holders.is_empty());
            let mine = claim(&env, &texts[1], 30_000);
            assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)), "{round}");
            assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
            assert!(store.claim(&claim(&env, &texts[0], 30_000)).await.is_err(), "its own locks are away");
            let mut strict = options(&words(&kit));
            strict.strict = true;
            assert!(RedisStore::open(strict, env.clone()).await.unwrap_err().is_transient(), "not examined");
            // The control: a client that asks every master before it begins.
            assert!(!naive.hears(LATE), "the control hears nothing");
            if round == "silent" {
                kit.node(0).kill();
            }
        }
    });
}

/// Some keys of the lock are on their way to another node: TRYAGAIN, for as long as that takes, is no redirection.
#[test]
fn a_release_waits_for_the_keys_of_a_slot_that_moves() {
    let kit = Cluster::start().unwrap();
    run(async {
        let env = common::env();
        let mut patient = options(&words(&kit));
        patient.timeout = crate::fixture::SOON;
        let store = RedisStore::new(patient, env.clone()).unwrap();
        let (text, slot) = text_at(&kit, 0);
        let mine = claim(&env, &text, 60_000);
        store.claim(&mine).await.unwrap();
        kit.begin_move(slot, 0, 1).unwrap();
        let releasing = tokio::spawn({
            let (store, mine) = (store.clone(), mine.clone());
            async move { store.release(&mine).await }
        });
        let refusals = |at: usize| {
            let count =
                kit.node(at).info("errorstats").get("errorstat_TRYAGAIN").cloned().unwrap_or_default();
            count.trim_start_matches("count=").parse::<u32>().unwrap_or_default()
        };
        eventually(&env, "more refusals than redirections are allowed", || async {
            refusals(0) + refusals(1) > 20
        })
        .await;
        // The control: a client that gives up has left the key.
        assert!(!releasing.is_finished());
        assert_eq!(holder(kit.node(0), &text), Some(mine.id.to_string()));
        kit.move_keys(slot, 0, 1).unwrap();
        kit.finish_move(slot, 0, 1).unwrap();
        assert_eq!(releasing.await.unwrap().unwrap(), Release::Released);
        assert_eq!(holder(kit.node(1), &text), None);
    });
}
