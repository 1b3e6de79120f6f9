//! Round trips are exact, so they are counted by a proxy in front of the server.

use std::sync::{Arc, Mutex};

use leasehold_core::{Busy, LockOptions, Mode, Queueing, Renewal, Standing, Store, Wait, engine::Observer};
use leasehold_testkit::{memcached::Server, proxy::Proxy};

use crate::{
    common,
    fixture::{claim, engine, lock, name, run, store, take, ttl},
};

#[test]
fn lock_and_unlock_are_one_round_trip_each_and_a_busy_try_names_the_holder_in_one() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let words = proxy.port().to_string();
    run(async {
        let (one, two) = (engine(&words), engine(&words));
        let terms = LockOptions { note: Some("{\"host\":\"here\"}".into()), ..ttl(30) };
        // The first one connects and asks who answers.
        for engine in [&one, &two] {
            lock(engine, "warm", &terms).await.release().await.unwrap();
        }
        proxy.reset_counters();
        let hold = lock(&one, "x", &terms).await;
        assert!(hold.lease().fencing_token().is_some());
        assert_eq!(proxy.round_trips(), 1, "to lock");
        let seen: Arc<Mutex<Vec<Busy>>> = Arc::default();
        let busy = seen.clone();
        let observer: Observer = Arc::new(move |it: &Busy| busy.lock().unwrap().push(it.clone()));
        let refused = two.acquire(&name("x"), Mode::Exclusive, &terms, Wait::No, Some(&observer)).await;
        assert!(refused.unwrap().is_none());
        assert_eq!(proxy.round_trips(), 2, "to find it busy");
        let holder = seen.lock().unwrap()[0].holder.clone().unwrap();
        assert_eq!(holder.note.as_deref(), Some("{\"host\":\"here\"}"));
        assert_eq!(holder.fence, hold.lease().fencing_token());
        assert!(holder.expires_in.unwrap() <= terms.ttl && !holder.expires_in.unwrap().is_zero());
        hold.release().await.unwrap();
        assert_eq!(proxy.round_trips(), 3, "to unlock");
    });
}

/// All that is asked for is in one packet, and the answer to a stranger's lock too.
#[test]
fn a_foreign_lock_is_answered_with_its_remaining_time_in_one() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, store) = (common::env(), store(&proxy.port().to_string()));
        take(&store, &claim(&env, "warm", 30)).await;
        server.command("add x 0 60 5\r\nthem!").unwrap();
        proxy.reset_counters();
        let Standing::Held(busy) = store.claim(&claim(&env, "x", 30)).await.unwrap() else { panic!() };
        assert_eq!(proxy.round_trips(), 1);
        let holder = busy.holder.unwrap();
        assert!(holder.expires_in.unwrap().as_secs() > 50, "{holder:?}");
        assert!(holder.note.unwrap().contains("value them!"));
        assert!(busy.recheck_in.as_millis() <= 50, "nobody is woken: {:?}", busy.recheck_in);
    });
}

/// The first renewal writes the token down; those after it prolong in place. A waiter that keeps its place only looks.
#[test]
fn a_renewal_is_one_round_trip_and_so_is_another_look_of_a_waiter() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, store) = (common::env(), store(&proxy.port().to_string()));
        let mine = claim(&env, "x", 30);
        take(&store, &mine).await;
        // A second later, for within one there is nothing to prolong.
        env.sleep(std::time::Duration::from_millis(1_100)).await;
        renewed(&store, &mine).await;
        for _ in 0..3 {
            env.sleep(std::time::Duration::from_millis(1_100)).await;
            proxy.reset_counters();
            renewed(&store, &mine).await;
            assert_eq!(proxy.round_trips(), 1, "to renew");
        }
        let mut waiter = claim(&env, "x", 30);
        waiter.queueing = Queueing::Fifo;
        assert!(matches!(store.claim(&waiter).await.unwrap(), Standing::Waiting(_)));
        proxy.reset_counters();
        assert!(matches!(store.claim(&waiter).await.unwrap(), Standing::Waiting(_)));
        assert_eq!(proxy.round_trips(), 1, "to look again");
    });
}

async fn renewed(store: &dyn Store, claim: &leasehold_core::Claim) {
    let renewals = store.renew(std::slice::from_ref(claim)).await;
    assert!(matches!(renewals[..], [Ok(Renewal::Renewed { .. })]), "{renewals:?}");
}

#[test]
fn many_tasks_of_one_client_share_one_connection() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let engine = engine(&proxy.port().to_string());
        let terms = ttl(30);
        let tasks: Vec<_> = (0..200)
            .map(|at| {
                let (engine, terms) = (engine.clone(), terms.clone());
                tokio::spawn(async move {
                    let hold = lock(&engine, &format!("lock {}", at % 10), &terms).await;
                    hold.release().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((proxy.connections(), proxy.open_connections()), (1, 1));
    });
}
