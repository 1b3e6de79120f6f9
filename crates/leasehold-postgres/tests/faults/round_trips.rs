//! Statements and round trips, counted: by the server's log, and by a proxy.

use leasehold_core::{
    Claim, ClaimId, Env, Interest, LockName, Queueing, Renewal, Standing, Store, engine::Engine,
};
use leasehold_testkit::{
    postgres::{Pooler, Server},
    proxy::Proxy,
};

use crate::fixture::{SOON, engine, env, lock, name, options, runtime, store, try_lock, ttl};

/// A server that logs each statement before it executes it.
fn start() -> Server {
    Server::builder().with("log_statement=all").start().unwrap()
}

/// The statements that the server has been sent.
fn statements(server: &Server) -> usize {
    let is_statement = |line: &&str| line.contains("LOG:  execute ") || line.contains("LOG:  statement: ");
    server.log().lines().filter(is_statement).count()
}

fn claim(env: &Env, name: LockName) -> Claim {
    Claim::new(name, ClaimId::mint(env), SOON * 30)
}

async fn pair(engine: &Engine, text: &str) {
    lock(engine, text, &ttl(600)).await.release().await.unwrap();
}

#[test]
fn lock_renew_and_unlock_are_one_statement_and_one_round_trip_each() {
    let server = start();
    let proxy = Proxy::to(&server.address()).unwrap();
    runtime().block_on(async {
        let engine = engine(options(proxy.port()));
        // The first one connects, and makes the schema.
        pair(&engine, "warm").await;
        proxy.reset_counters();
        let before = statements(&server);
        let since = || (statements(&server) - before, proxy.round_trips());
        let hold = lock(&engine, "orders", &ttl(600)).await;
        assert_eq!(since(), (1, 1), "to lock");
        hold.confirm().await.unwrap();
        assert_eq!(since(), (2, 2), "to renew");
        hold.release().await.unwrap();
        assert_eq!(since(), (3, 3), "to unlock");
        assert_eq!(proxy.connections(), 0, "none was added");
    });
}

/// The statements that the server has executed by a name.
fn named(server: &Server) -> usize {
    server.log().matches("LOG:  execute s").count()
}

/// A statement that has lost its name is sent without, and the caller hears nothing of it.
#[test]
fn a_lost_name_costs_one_more_statement() {
    let server = start();
    runtime().block_on(async {
        let engine = engine(options(server.port()));
        pair(&engine, "orders").await;
        assert_eq!(named(&server), 2, "the control");
        server
            .sql(
                "CREATE OR REPLACE FUNCTION leasehold.now() RETURNS bigint LANGUAGE plpgsql AS
                'BEGIN DEALLOCATE ALL; RETURN extract(epoch FROM clock_timestamp()) * 1000000; END'",
            )
            .unwrap();
        pair(&engine, "orders").await;
        let before = (named(&server), statements(&server));
        pair(&engine, "orders").await;
        assert_eq!((named(&server), statements(&server)), (before.0, before.1 + 2), "without names");
    });
}

/// There a name may be another client's statement. The control is the server without the pooler.
#[test]
fn behind_a_pooler_statements_have_no_names() {
    let (server, pooled) = (start(), start());
    let pooler = Pooler::start(&pooled).unwrap();
    runtime().block_on(async {
        pair(&engine(options(server.port())), "orders").await;
        pair(&engine(options(pooler.port())), "orders").await;
        assert_eq!((named(&server), named(&pooled)), (2, 0));
    });
}

#[test]
fn a_busy_try_names_the_holder_in_one_statement() {
    let server = start();
    runtime().block_on(async {
        let (one, two) = (engine(options(server.port())), engine(options(server.port())));
        pair(&two, "warm").await;
        let _hold = lock(&one, "orders", &ttl(600)).await;
        let before = statements(&server);
        assert!(try_lock(&two, "orders").await.is_none());
        assert_eq!(statements(&server) - before, 1);
    });
}

/// The control: without the push the waiter would ask after a third of ten minutes.
#[test]
fn a_hand_over_is_a_push_and_two_statements() {
    let server = start();
    runtime().block_on(async {
        let (one, two, env) = (store(&server), store(&server), env());
        let mine = claim(&env, name("orders"));
        let theirs = Claim { queueing: Queueing::Fifo, ..claim(&env, name("orders")) };
        assert!(matches!(one.claim(&mine).await.unwrap(), Standing::Granted(_)));
        let mut wake = two.watch(&theirs.name, Interest::Turn(theirs.id)).await.unwrap();
        let Standing::Waiting(busy) = two.claim(&theirs).await.unwrap() else { panic!("it is taken") };
        assert!(busy.recheck_in > SOON, "{busy:?}");
        let before = statements(&server);
        one.release(&mine).await.unwrap();
        env.within(SOON, wake.wait()).await.expect("a push").unwrap();
        assert!(matches!(two.claim(&theirs).await.unwrap(), Standing::Granted(_)));
        assert_eq!(statements(&server) - before, 2, "one to release, one to take it");
    });
}

#[test]
fn a_hundred_holds_are_renewed_in_one_statement() {
    let server = start();
    runtime().block_on(async {
        let (store, env) = (store(&server), env());
        let claims: Vec<Claim> = (0..100).map(|at| claim(&env, name(&format!("lock {at}")))).collect();
        for claim in &claims {
            assert!(matches!(store.claim(claim).await.unwrap(), Standing::Granted(_)));
        }
        let before = statements(&server);
        let renewed = store.renew(&claims).await;
        assert!(renewed.into_iter().all(|answer| matches!(answer, Ok(Renewal::Renewed { .. }))));
        assert_eq!(statements(&server) - before, 1);
    });
}
