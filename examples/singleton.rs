//! A service of which one replica works at a time: a leader election, and a shutdown that lets the next one lead at once.
//!
//! `cargo run -p leasehold-examples --bin singleton -- sqlite:leader.db a`, and the same in another terminal with `b`. End the first
//! one with Ctrl-C or SIGTERM, or kill it: with SQLite the second one leads at once in both cases, with Redis after the ttl
//! when it was killed.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{error::Error, time::Duration};

use leasehold::{Client, Lease, election::Candidate};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

/// The work of the leader. It is dropped before its next step when the leadership is lost, and begun again when it is won back.
async fn work(name: &str, lease: Lease, client: &Client) {
    let token = lease.fencing_token();
    println!("{name} leads, with a token: {}", token.is_some());
    loop {
        // One step: give the token to all that it changes.
        client.env().sleep(Duration::from_secs(1)).await;
    }
}

/// A health check, as an orchestrator or a load balancer would ask for. It reads a clock, and nothing else.
fn health(candidate: &Candidate) -> &'static str {
    if candidate.is_leader() { "leader" } else { "standby" }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let client = Client::connect(args.next().unwrap_or_else(|| "memory:".into())).await?;
    let name = args.next().unwrap_or_else(|| "a".into());
    let candidate = client.election("scheduler")?.ttl(Duration::from_secs(10)).candidate(&name);
    println!("{name} is {}", health(&candidate));

    let mut terminated = signal(SignalKind::terminate())?;
    select! {
        // It campaigns, leads, and campaigns again after a loss, until the process is told to end.
        ended = candidate.lead(|lease| work(&name, lease, &client)) => ended?,
        _ = terminated.recv() => println!("{name} was told to end"),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    // The leadership was dropped with the future: this waits until the store knows it.
    client.close(Duration::from_secs(5)).await?;
    println!("{name} is {}", health(&candidate));
    Ok(())
}
