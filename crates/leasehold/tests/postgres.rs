//! Locks and marks in the transactions of a real PostgreSQL, with tokio-postgres and with sqlx.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may panic, and drive connections")]

#[path = "../examples/postgres_transaction.rs"]
mod example;

use std::time::Duration;

use leasehold::{
    Client, ErrorKind, FencingToken,
    fencing::postgres::PostgresHighWaterMark,
    postgres::{sqlx, tokio_postgres},
};
use leasehold_testkit::postgres::Server;

async fn locks(server: &Server, keys: &str) -> Client {
    Client::connect(&*format!("{}?timeout=20s&{keys}", server.url())).await.unwrap()
}

async fn session(server: &Server) -> tokio_postgres::Client {
    let (session, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    session
}

/// `locks` may make tables.
fn start() -> Server {
    let server = Server::start().unwrap();
    server.sql("GRANT CREATE ON SCHEMA public TO locks").unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs() {
    let server = start();
    assert_eq!(example::run(&format!("{}?timeout=20s", server.url())).await.unwrap(), 8);
}

/// The control is a transaction that does not check: its late write is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_was_overtaken_fails_in_the_transactions_of_both_clients() {
    let server = start();
    let (mut session, pool) = (session(&server).await, sqlx::PgPool::connect(&server.url()).await.unwrap());
    session.batch_execute("CREATE TABLE stock (n int); INSERT INTO stock VALUES (10)").await.unwrap();
    for keys in ["", "prefix=shop/"] {
        let (one, two) = (locks(&server, keys).await, locks(&server, keys).await);
        let guard = one.mutex("stock").unwrap().ttl(Duration::from_secs(600)).lock().await.unwrap();
        let transaction = session.transaction().await.unwrap();
        guard.check_in(&transaction).await.unwrap();
        drop(transaction);
        let mut transaction = pool.begin().await.unwrap();
        guard.check_in(&mut transaction).await.unwrap();
        assert!(
            two.mutex("stock").unwrap().try_lock().await.unwrap().is_none(),
            "the holder is in a transaction"
        );
        transaction.rollback().await.unwrap();

        two.force_release("stock").await.unwrap();
        let next = two.mutex("stock").unwrap().lock().await.unwrap();
        session.execute("UPDATE stock SET n = n - 1", &[]).await.unwrap();
        let mut transaction = session.transaction().await.unwrap();
        assert_eq!(guard.check_in(&mut transaction).await.unwrap_err().kind(), ErrorKind::Stale);
        assert!(transaction.execute("UPDATE stock SET n = 0", &[]).await.is_err(), "it is aborted");
        drop(transaction);
        let mut transaction = pool.begin().await.unwrap();
        let error = guard.check_in(&mut transaction).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
        assert!(error.to_string().contains("stock"), "{error}");
        drop(transaction);
        let mut transaction = pool.begin().await.unwrap();
        next.check_in(&mut transaction).await.unwrap();
    }
    let left: i32 = session.query_one("SELECT n FROM stock", &[]).await.unwrap().get(0);
    assert_eq!(left, 8, "the control wrote twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_elsewhere_are_not_checked_in() {
    let server = start();
    let mut session = session(&server).await;
    let transaction = session.transaction().await.unwrap();
    let guard = Client::connect("memory:").await.unwrap().mutex("x").unwrap().lock().await.unwrap();
    let error = guard.check_in(&transaction).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// Read, then overtaken, then write: the update is lost without the claim, and refused with it.
#[tokio::test(flavor = "multi_thread")]
async fn marks_keep_the_late_write_out_in_both_clients() {
    let server = start();
    let (mut session, pool) = (session(&server).await, sqlx::PgPool::connect(&server.url()).await.unwrap());
    let [old, new] = [41u64, 42].map(|number| FencingToken::new(number).unwrap());
    let transaction = session.transaction().await.unwrap();
    for _ in 0..2 {
        PostgresHighWaterMark::create(&transaction).await.unwrap();
    }
    let unclaimed = PostgresHighWaterMark::admit(&transaction, "a", old).await.unwrap_err();
    assert_eq!(unclaimed.kind(), ErrorKind::Invalid);
    PostgresHighWaterMark::claim(&transaction, "tokio", old).await.unwrap();
    PostgresHighWaterMark::claim(&transaction, "sqlx", old).await.unwrap();
    transaction.commit().await.unwrap();

    let mut transaction = pool.begin().await.unwrap();
    PostgresHighWaterMark::admit(&mut transaction, "tokio", old)
        .await
        .expect("the control: nobody was here since");
    PostgresHighWaterMark::claim(&mut transaction, "tokio", new).await.unwrap();
    PostgresHighWaterMark::claim(&mut transaction, "sqlx", new).await.unwrap();
    transaction.commit().await.unwrap();

    let transaction = session.transaction().await.unwrap();
    for answer in [
        PostgresHighWaterMark::admit(&transaction, "tokio", old).await,
        PostgresHighWaterMark::claim(&transaction, "tokio", old).await,
    ] {
        let error = answer.unwrap_err();
        assert!(error.kind() == ErrorKind::Stale && error.to_string().contains("41 is stale: 42"), "{error}");
    }
    drop(transaction);
    let mut transaction = pool.begin().await.unwrap();
    let error = PostgresHighWaterMark::admit(&mut transaction, "sqlx", old).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    PostgresHighWaterMark::admit(&mut transaction, "sqlx", new).await.unwrap();
}
