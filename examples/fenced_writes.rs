//! Writes that the database refuses when they come too late: a high-water mark of fencing tokens in SQLite.
//!
//! `cargo run -p leasehold-examples --bin fenced_writes`. A lock alone cannot do this: a worker that is paused between its last look
//! at the lock and its write does not know that another one has begun.
//!
//! With sqlx or any other driver, `leasehold::fencing::statements` has the same SQL; in PostgreSQL, `guard.check_in` is shorter
//! (`crates/leasehold/examples/postgres_transaction.rs`).
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{error::Error, time::Duration};

use leasehold::{
    Client, ErrorKind, FencingToken, MutexGuard,
    fencing::sqlite::{
        SqlHighWaterMark,
        rusqlite::{Connection, Transaction},
    },
};

const ACCOUNT: &str = "account/7";

/// Step 1: the token is claimed, and only then the balance is read.
fn read(database: &mut Connection, token: FencingToken) -> Result<i64, Box<dyn Error>> {
    let transaction = database.transaction()?;
    SqlHighWaterMark::claim(&transaction, ACCOUNT, token)?;
    let balance = balance(&transaction)?;
    transaction.commit()?;
    Ok(balance)
}

/// Steps 2 and 3: the token is checked in the transaction that writes.
fn write(database: &mut Connection, token: FencingToken, balance: i64) -> Result<(), Box<dyn Error>> {
    let transaction = database.transaction()?;
    SqlHighWaterMark::admit(&transaction, ACCOUNT, token)?;
    transaction.execute("UPDATE account SET balance = ?1", [balance])?;
    transaction.commit()?;
    Ok(())
}

fn balance(transaction: &Transaction<'_>) -> Result<i64, Box<dyn Error>> {
    Ok(transaction.query_row("SELECT balance FROM account", [], |row| row.get(0))?)
}

fn token(guard: &MutexGuard) -> Result<FencingToken, Box<dyn Error>> {
    guard.fencing_token().ok_or_else(|| "required when the lock was made".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut database = Connection::open_in_memory()?;
    SqlHighWaterMark::create(&database)?;
    database.execute_batch("CREATE TABLE account (balance INTEGER); INSERT INTO account VALUES (100)")?;

    let directory = tempfile::tempdir()?;
    let locks = Client::connect(format!("sqlite:{}", directory.path().join("locks.db").display())).await?;
    let account = locks.mutex(ACCOUNT)?.ttl(Duration::from_secs(10)).require_fencing();

    let paused = account.lock().await?;
    let seen_by_paused = read(&mut database, token(&paused)?)?;
    println!("the first worker reads {seen_by_paused}, and is paused");

    // The lease of the paused worker ends. Here an operator ends it; otherwise time does.
    account.force_release().await?;
    let next = account.lock().await?;
    let seen = read(&mut database, token(&next)?)?;
    write(&mut database, token(&next)?, seen - 30)?;
    println!("the second worker reads {seen}, and writes {}", seen - 30);

    // The first one comes back and does not look at the lock: the database does.
    let refused = write(&mut database, token(&paused)?, seen_by_paused - 50).expect_err("a late write");
    let kind = refused.downcast_ref::<leasehold::Error>().map(leasehold::Error::kind);
    println!("the first worker writes {}: refused, {:?}", seen_by_paused - 50, kind);
    assert_eq!(kind, Some(ErrorKind::Stale));
    println!("the balance is {}", balance(&database.transaction()?)?);
    next.release().await?;
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}
