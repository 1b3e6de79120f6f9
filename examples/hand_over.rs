//! A lock that one process takes and another one gives back: a ticket goes with the job.
//!
//! ```console
//! $ ticket=$(cargo run -p leasehold-examples --bin hand_over -- start sqlite:locks.db)
//! $ cargo run -p leasehold-examples --bin hand_over -- finish sqlite:locks.db "$ticket"
//! ```
//!
//! The lock is held between the two, when neither process is there.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{error::Error, time::Duration};

use leasehold::{Client, Ticket};

/// Takes the lock, does its part, and leaves the lock to the holder of the ticket, for an hour at most.
async fn start(client: &Client) -> Result<(), Box<dyn Error>> {
    let guard = client.mutex("deployment")?.lock().await?;
    let ticket = guard.detach(Duration::from_secs(3600)).await?;
    println!("{ticket}");
    Ok(())
}

/// Takes the lock over, under the same fencing token, and gives it back.
async fn finish(client: &Client, ticket: &str) -> Result<(), Box<dyn Error>> {
    let ticket: Ticket = ticket.parse()?;
    let others = client.mutex(ticket.name.clone())?;
    println!("taken: {}", others.try_lock().await?.is_none());
    let guard = client.adopt(&ticket).await?;
    guard.run(async { println!("the same token: {}", guard.fencing_token() == ticket.fence) }).await?;
    guard.release().await?;
    println!("free: {}", others.try_lock().await?.is_some());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [verb, store, ref ticket @ ..] = args[..] else {
        return Err("start STORE, or finish STORE TICKET".into());
    };
    let client = Client::connect(store).await?;
    match (verb, ticket) {
        ("start", []) => start(&client).await?,
        ("finish", [ticket]) => finish(&client, ticket).await?,
        _ => return Err("start STORE, or finish STORE TICKET".into()),
    }
    client.close(Duration::from_secs(5)).await?;
    Ok(())
}
