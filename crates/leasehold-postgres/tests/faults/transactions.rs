//! The lock in the user's own transaction.

use leasehold_core::ErrorKind;
use leasehold_postgres::check_in;
use leasehold_testkit::postgres::Server;
use tokio_postgres::Client;

use crate::fixture::{admin, engine, lock, options, runtime, try_lock, ttl};

async fn stock(session: &Client) -> i32 {
    session.query_one("SELECT n FROM stock", &[]).await.unwrap().get(0)
}

/// While it is open, the holder may renew and release, and the next one stays out.
#[test]
fn a_transaction_that_has_checked_in_keeps_the_next_holder_out() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (one, two) = (engine(options(server.port())), engine(options(server.port())));
        let mut session = admin(&server).await;
        let hold = lock(&one, "orders", &ttl(60)).await;
        let token = hold.lease().fencing_token().unwrap();
        let transaction = session.transaction().await.unwrap();
        check_in(&transaction, "orders", token).await.unwrap();
        hold.confirm().await.unwrap();
        hold.release().await.unwrap();
        assert!(try_lock(&two, "orders").await.is_none(), "the transaction is open");
        transaction.commit().await.unwrap();
        assert!(try_lock(&two, "orders").await.is_some());
    });
}

/// The control checks the token and writes later: the write of a holder that was overtaken is taken, and an update lost.
#[test]
fn p9_a_holder_that_was_overtaken_writes_nothing() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (one, two) = (engine(options(server.port())), engine(options(server.port())));
        let (mut session, naive, other) = (admin(&server).await, admin(&server).await, admin(&server).await);
        naive.batch_execute("CREATE TABLE stock (n int); INSERT INTO stock VALUES (10)").await.unwrap();
        let hold = lock(&one, "orders", &ttl(60)).await;
        let token = hold.lease().fencing_token().unwrap();
        let read = stock(&naive).await;
        server.sql("SELECT leasehold.force_release('orders')").unwrap();
        let next = try_lock(&two, "orders").await.expect("it is free");
        let newer = next.lease().fencing_token().unwrap();
        let sell = format!("UPDATE stock SET n = {}", stock(&other).await - 1);
        other.batch_execute(&sell).await.unwrap();

        naive.batch_execute(&format!("UPDATE stock SET n = {}", read - 1)).await.unwrap();
        assert_eq!(stock(&naive).await, 9, "the control: two were sold, and one is missing");

        let transaction = session.transaction().await.unwrap();
        let error = check_in(&transaction, "orders", token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
        assert!(transaction.execute("UPDATE stock SET n = 0", &[]).await.is_err(), "it is aborted");
        drop(transaction);
        let transaction = session.transaction().await.unwrap();
        check_in(&transaction, "orders", newer).await.unwrap();
        transaction.execute("UPDATE stock SET n = 8", &[]).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(stock(&naive).await, 8);
    });
}
