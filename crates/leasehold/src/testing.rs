//! Tests of code that locks: a virtual clock, and a store in memory.
//!
//! The clock of a [`Virtual`] world moves only when nothing else is to be done, so a lease of an hour runs out in
//! microseconds, through the real engine.
//!
//! ```
//! use std::time::Duration;
//! let (world, client) = leasehold::testing::world();
//! world.block_on(async {
//!     let report = client.mutex("report").unwrap().ttl(Duration::from_secs(10)).without_renewal();
//!     let late = report.lock().await.unwrap();
//!     client.env().sleep(Duration::from_secs(11)).await;             // the holder was paused
//!     assert!(late.check().is_err());
//!     let next = report.try_lock().await.unwrap().unwrap();
//!     assert!(next.fencing_token() > late.fencing_token());
//! });
//! ```
//!
//! Code that sleeps by `tokio::time` is tested on tokio's paused time instead: see `on_tokio`, with the feature `testing`.
//!
//! More clients of the same store: `Client::new(Arc::new(memory.client()), world.env())` with one [`Memory`]. Faults are
//! injected by the layer [`Chaos`](crate::layer::Chaos).

use std::sync::Arc;

pub use leasehold_core::{
    Env, Moment,
    env::{Environment, Virtual},
    memory::Memory,
};

use crate::Client;

/// A virtual world and a client in it, of a store in memory of its own.
pub fn world() -> (Virtual, Client) {
    let world = Virtual::new(1);
    let client = Client::new(Arc::new(Memory::new(world.env())), world.env());
    (world, client)
}

/// A client of a store in memory of its own, on the time of the calling tokio runtime. Under
/// `#[tokio::test(start_paused = true)]`, leases are renewed and end in paused time, together with `tokio::time::sleep`.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind) outside of a tokio runtime.
#[cfg(feature = "testing")]
pub fn on_tokio() -> crate::Result<Client> {
    let env = Env::tokio()?;
    Ok(Client::new(Arc::new(Memory::new(env.clone())), env))
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the code under test sleeps on tokio's time")]
    async fn leases_live_and_end_in_the_paused_time_of_tokio() {
        let client = on_tokio().unwrap();
        let mutex = client.mutex("x").unwrap().ttl(Duration::from_secs(10));
        let guard = mutex.lock().await.unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(guard.check().is_ok(), "it is renewed");
        guard.release().await.unwrap();
        let guard = mutex.without_renewal().lock().await.unwrap();
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(guard.check().is_err());
    }
}
