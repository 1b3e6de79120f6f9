//! Failovers under Sentinel.

use std::time::Duration;

use leasehold_core::{Engine, FencingToken, Hold, LockOptions, LostReason, Mode, Store, Wait};
use leasehold_redis::RedisStore;
use leasehold_testkit::{proxy::Proxy, redis::Sentinels};

use crate::{
    common,
    fixture::{Naive, SOON, claim, engine, eventually, holder, lock, loss, name, options, run, store, ttl},
};

fn words(kit: &Sentinels) -> String {
    let ports: Vec<String> = (0..3).map(|at| kit.sentinel(at).port().to_string()).collect();
    format!("sentinel={}", ports.join(","))
}

/// A resource that checks tokens.
#[derive(Default)]
struct Resource {
    highest: Option<FencingToken>,
    refused: u32,
    written: Vec<FencingToken>,
}

impl Resource {
    fn write(&mut self, token: FencingToken) {
        if self.highest.is_some_and(|highest| token < highest) {
            self.refused += 1;
        } else {
            self.highest = Some(token);
            self.written.push(token);
        }
    }
}

/// S1, S2. The master dies before its replicas have the grant: a second client is let in. The first is told as soon as the
/// switch is seen, long before its own renewal; the second has the higher token, so the resource loses nothing.
#[test]
fn a_master_killed_before_replication_is_noticed_reported_and_fenced() {
    is_noticed_reported_and_fenced("");
}

/// How the first client holds each lock, and how the second takes it when the first one is forgotten.
const HOLDS: [(&str, Mode, Mode); 3] = [
    ("orders", Mode::Exclusive, Mode::Exclusive),
    ("read", Mode::Shared, Mode::Exclusive),
    ("permits", Mode::Permits { take: 1, of: 1 }, Mode::Permits { take: 1, of: 1 }),
];

/// The same in Redisson's dialect, whose own clients are told nothing.
#[test]
fn a_failover_in_redissons_format_is_noticed_reported_and_fenced() {
    is_noticed_reported_and_fenced(" redisson");
}

async fn hold(engine: &Engine, text: &str, mode: Mode, terms: &LockOptions) -> Hold {
    let hold = engine.acquire(&name(text), mode, terms, Wait::For(SOON), None).await;
    hold.expect("no error").expect("in time")
}

fn is_noticed_reported_and_fenced(dialect: &str) {
    let kit = Sentinels::start().unwrap();
    run(async {
        let env = common::env();
        let words = words(&kit) + dialect;
        let (one, two) = (engine(&words), engine(&words));
        let terms = ttl(30_000);
        for engine in [&one, &two] {
            lock(engine, "warm", &terms).await.release().await.unwrap();
        }
        kit.starve_replicas().unwrap();
        let mut first = Vec::new();
        for (text, mode, _) in HOLDS {
            first.push(hold(&one, text, mode, &terms).await);
        }
        let master = kit.master_port().unwrap();
        assert!(Naive::at(&format!("127.0.0.1:{master}")).lock("naive", "one", 30_000));
        let mut resources = HOLDS.map(|_| Resource::default());
        for (resource, first) in resources.iter_mut().zip(&first) {
            resource.write(first.lease().fencing_token().unwrap());
        }
        kit.server_at(master).unwrap().kill();
        let promoted = kit.await_other_than(master).unwrap();
        let begin = env.now();
        let mut second = Vec::new();
        for (text, _, mode) in HOLDS {
            second.push(hold(&two, text, mode, &terms).await);
            assert!(env.now().since(begin) < Duration::from_secs(2), "followed within two seconds");
        }
        for ((resource, first), second) in resources.iter_mut().zip(&first).zip(&second) {
            resource.write(second.lease().fencing_token().unwrap());
            // Its guard may still say that it is valid in this moment: that is the double hold. Its write is refused.
            resource.write(first.lease().fencing_token().unwrap());
            assert_eq!((resource.refused, resource.written.len()), (1, 2));
        }
        for (first, second) in first.iter().zip(&second) {
            let told = loss(&env, first).await;
            assert!(told < Duration::from_secs(3), "told at the switch, not at the renewal after 10 s");
            assert_eq!(first.lease().check().unwrap_err().reason, LostReason::Gone);
            assert!(second.lease().check().is_ok());
        }
        // The control: a second naive client has the same lock, and the first will never know.
        assert!(Naive::at(&format!("127.0.0.1:{promoted}")).lock("naive", "two", 30_000));
    });
}

/// A planned failover, with everything replicated: no lock is lost, and the old master is not written to any more.
#[test]
fn a_planned_failover_loses_nothing_and_leaves_the_old_master_alone() {
    let kit = Sentinels::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&words(&kit)));
        let hold = lock(&engine, "orders", &ttl(6_000)).await;
        let before = kit.master_port().unwrap();
        let after = kit.failover().unwrap();
        let begin = env.now();
        // From the switch on, within two seconds, everything goes to the new master.
        let (old, new) = (kit.server_at(before).unwrap(), kit.server_at(after).unwrap());
        let served = new.calls("evalsha");
        eventually(&env, "the new master", || async {
            drop(lock(&engine, "other", &ttl(6_000)).await);
            new.calls("evalsha") > served
        })
        .await;
        assert!(env.now().since(begin) < Duration::from_secs(2), "{:?}", env.now().since(begin));
        let written = old.calls("evalsha");
        for at in 0..20 {
            lock(&engine, &format!("lock {at}"), &ttl(6_000)).await.release().await.unwrap();
        }
        // Replication carries effects, not scripts.
        assert_eq!(old.calls("evalsha"), written, "the old master is left alone");
        assert!(hold.lease().check().is_ok(), "the grant was replicated");
        hold.release().await.unwrap();
    });
}

/// The master is stopped, replaced, and goes on: what it answers late does not count.
#[test]
fn an_old_master_that_wakes_up_is_not_believed() {
    let kit = Sentinels::start().unwrap();
    run(async {
        let env = common::env();
        let store = store(&words(&kit));
        store.claim(&claim(&env, "warm", 1_000)).await.unwrap();
        let before = kit.master_port().unwrap();
        kit.server_at(before).unwrap().pause().unwrap();
        let mine = claim(&env, "orders", 60_000);
        // Sent into the stopped server, or to nobody.
        let asked = store.claim(&mine).await;
        assert!(asked.is_err(), "{asked:?}");
        let after = kit.await_other_than(before).unwrap();
        eventually(&env, "a grant by the new master", || async { store.claim(&mine).await.is_ok() }).await;
        kit.server_at(before).unwrap().resume().unwrap();
        assert_eq!(
            crate::fixture::holder(kit.server_at(after).unwrap(), "orders"),
            Some(mine.id.to_string())
        );
        store.release(&mine).await.unwrap();
        assert_eq!(crate::fixture::holder(kit.server_at(after).unwrap(), "orders"), None);
    });
}

#[test]
fn a_master_that_no_sentinel_knows_is_named() {
    let kit = Sentinels::start().unwrap();
    run(async {
        let error = {
            let mut options = crate::fixture::options(&words(&kit));
            if let leasehold_redis::Servers::Sentinel { master, .. } = &mut options.servers {
                *master = "other".into();
            }
            leasehold_redis::RedisStore::open(options, common::env()).await.unwrap_err()
        };
        assert_eq!(error.kind(), leasehold_core::ErrorKind::Invalid, "{error:?}");
        assert!(error.to_string().contains("know no master `other`"), "{error:?}");
    });
}

/// The master is dead and its successor not yet named: a client that opens now waits like those that were there before.
#[test]
fn a_client_that_opens_during_a_failover_waits_for_the_new_master() {
    let kit = Sentinels::start().unwrap();
    run(async {
        let before = kit.master_port().unwrap();
        kit.server_at(before).unwrap().kill();
        // The control: the address that the Sentinels name now is dead.
        assert!(!Naive::reaches(&format!("127.0.0.1:{before}")));
        let store = RedisStore::open(options(&words(&kit)), common::env()).await.unwrap();
        let engine = Engine::new(std::sync::Arc::new(store), common::env());
        let hold = lock(&engine, "orders", &ttl(30_000)).await;
        let after = kit.master_port().unwrap();
        assert!(after != before && holder(kit.server_at(after).unwrap(), "orders").is_some());
        hold.release().await.unwrap();
        let mut strict = options("sentinel=1,2");
        strict.timeout = Duration::from_millis(300);
        assert!(
            RedisStore::open(strict, common::env()).await.is_err(),
            "without a Sentinel nothing is known"
        );
    });
}

/// One Sentinel missed the failover, and is the only one that answers; the old master, which says that it is one, is back.
#[test]
fn a_sentinel_that_missed_the_failover_is_not_believed() {
    let kit = Sentinels::start().unwrap();
    run(async {
        let (env, late) = (common::env(), Proxy::to(&kit.sentinel(2).address()).unwrap());
        let ports =
            [kit.sentinel(0).port(), kit.sentinel(1).port(), late.port()].map(|port| port.to_string());
        let store = store(&format!("sentinel={}", ports.join(",")));
        store.claim(&claim(&env, "warm", 1_000)).await.unwrap();
        let before = kit.master_port().unwrap();
        kit.sentinel(2).kill();
        kit.server_at(before).unwrap().pause().unwrap();
        let after = kit.await_other_than(before).unwrap();
        let mine = claim(&env, "orders", 60_000);
        eventually(&env, "a grant by the new master", || async { store.claim(&mine).await.is_ok() }).await;
        for at in [0, 1] {
            kit.sentinel(at).pause().unwrap();
        }
        kit.server_at(before).unwrap().resume().unwrap();
        kit.sentinel(2).restart().unwrap();
        late.reset_counters();
        eventually(&env, "answers of the late Sentinel", || async { late.round_trips() >= 3 }).await;
        let next = claim(&env, "next", 60_000);
        store.claim(&next).await.unwrap();
        assert_eq!(holder(kit.server_at(after).unwrap(), "next"), Some(next.id.to_string()));
        // The control believes it, and has a lock that others have, too.
        let named = kit.sentinel(2).command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]).unwrap();
        assert_eq!(named.items()[1].text(), Some(before.to_string().as_str()));
        assert!(Naive::at(&format!("127.0.0.1:{before}")).lock("next", "me", 60_000), "the control");
        for at in [0, 1] {
            kit.sentinel(at).resume().unwrap();
        }
    });
}
