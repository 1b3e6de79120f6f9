//! A majority of independent stores, as in Redlock, and what Redlock lacks: a fencing token that the resource checks.
//!
//! `cargo run -p leasehold-examples --bin redlock_fencing`. Three stores in memory stand for three servers
//! (`redlock://h1,h2,h3`), one of which is lost. Redlock's authors and critics agree that a paused holder can write too
//! late; they differ in whether that matters. With a token it does not.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{error::Error, time::Duration};

use leasehold::{Client, fencing::HighWaterMark};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = Client::connect("quorum:memory:a;memory:b;memory:c").await?;
    let stock = locks.mutex("stock")?.ttl(Duration::from_secs(10));
    // At the resource. It outlives the locks, and stands beside the data, in its database.
    let mark = HighWaterMark::new();

    let first = stock.lock().await?;
    let old = first.fencing_token().ok_or("every store of the quorum has tokens")?;
    mark.claim(old)?;
    println!("the first holder has read");

    // One of three servers loses the lock, which a majority still has.
    Client::connect("memory:a").await?.force_release("stock").await?;
    println!("one of three has lost it: {}", if first.confirm().await.is_ok() { "held" } else { "lost" });
    println!("another holder: {}", stock.try_lock().await?.is_some());

    // Two do. That is more than any quorum tolerates, and the holder, which is paused here, does not know it.
    Client::connect("memory:b").await?.force_release("stock").await?;
    let second = stock.lock().await?;
    let new = second.fencing_token().ok_or("every store of the quorum has tokens")?;
    println!("two of three have lost it: the second holder has a higher token: {}", new > old);
    mark.claim(new)?;
    mark.write(new, || println!("the second holder writes"))?;
    match mark.write(old, || ()) {
        Ok(()) => println!("the first holder writes, too"),
        Err(_) => println!("the first holder is refused"),
    }
    second.release().await?;
    drop(first);
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}
