//! The lock in the transaction that changes the data: no clock and no pause makes a late write.
//!
//! `cargo run -p leasehold --features sqlx --example postgres_transaction -- postgres://app@localhost/app`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it is a program of its own")]

use leasehold::{
    Client, Result,
    postgres::{sqlx, tokio_postgres},
};

/// Sells one item: with tokio-postgres.
pub(crate) async fn sell(locks: &Client, database: &mut tokio_postgres::Client) -> Result<i32, Error> {
    let guard = locks.mutex("shop/stock")?.lock().await?;
    let mut transaction = database.transaction().await?;
    guard.check_in(&mut transaction).await?; // by the newest holder, or not at all
    let left: i32 = transaction.query_one("SELECT items FROM stock", &[]).await?.get(0);
    transaction.execute("UPDATE stock SET items = $1", &[&(left - 1)]).await?;
    transaction.commit().await?;
    guard.release().await?;
    Ok(left - 1)
}

/// The same with sqlx.
pub(crate) async fn sell_with_sqlx(locks: &Client, pool: &sqlx::PgPool) -> Result<i32, Error> {
    let guard = locks.mutex("shop/stock")?.lock().await?;
    let mut transaction = pool.begin().await?;
    guard.check_in(&mut transaction).await?;
    let left: i32 = sqlx::query_scalar("SELECT items FROM stock").fetch_one(&mut *transaction).await?;
    sqlx::query("UPDATE stock SET items = $1").bind(left - 1).execute(&mut *transaction).await?;
    transaction.commit().await?;
    guard.release().await?;
    Ok(left - 1)
}

/// Any error.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sells two of ten items.
pub(crate) async fn run(url: &str) -> Result<i32, Error> {
    let locks = Client::connect(url).await?;
    // The two libraries have URLs of their own: this one has no keys of Leasehold.
    let plain = url.split('?').next().unwrap_or(url);
    let (mut database, connection) = tokio_postgres::connect(plain, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let pool = sqlx::PgPool::connect(plain).await?;
    database.batch_execute("CREATE TABLE stock (items int); INSERT INTO stock VALUES (10)").await?;
    sell(&locks, &mut database).await?;
    let left = sell_with_sqlx(&locks, &pool).await?;
    locks.close(std::time::Duration::from_secs(10)).await?;
    Ok(left)
}

#[tokio::main]
#[allow(dead_code, reason = "the test of this example has a main of its own")]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).ok_or("name the database: postgres://user@host/name")?;
    println!("{} items are left", run(&url).await?);
    Ok(())
}
