//! Locks by a client or a connection of the `redis` crate that a program already has.

use std::sync::Arc;

use leasehold_core::{Env, Result};
pub use leasehold_redis::SharedConnection;
pub use leasehold_redis::redis;
use leasehold_redis::{Endpoint, RedisOptions, RedisStore, Servers};

use crate::Client;

/// Redis by a client of the `redis` crate, version 1.
impl Client {
    /// Connects to one server as `client` does, with its address, login, database and TLS. No I/O: the first lock connects.
    ///
    /// The connections are its own, so that a renewal waits neither behind the requests of the program nor for its runtime, and waiters
    /// are woken by the server. For Sentinel and Cluster, [`connect`](Client::connect) to their URL: the `redis` crate does not tell the
    /// addresses of a client of theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for an address of an unknown kind.
    pub fn with_redis(client: &redis::Client) -> Result<Client> {
        let env = Env::system()?;
        // The server is the client's.
        let options = RedisOptions::new(Servers::Single(Endpoint::tcp("localhost", 6379)));
        let store = RedisStore::with_client(client, options, env.clone())?;
        Ok(Client::new(Arc::new(store), env))
    }

    /// Sends the requests of locks by a connection to one server that the program has: a
    /// [`ConnectionManager`](redis::aio::ConnectionManager), which connects again by itself, or a
    /// [`MultiplexedConnection`](redis::aio::MultiplexedConnection), with which all locks end. No I/O.
    ///
    /// Take [`with_redis`](Client::with_redis) unless another connection is what the server lacks. This one has no wake-ups, so a waiter asks
    /// every 100 ms; a request waits behind those of the program, so a `BLPOP`, or a runtime that is blocked, can cost the
    /// lease; and a connection that was made anew is noticed by the next request of a lock, not before. The user needs
    /// `+client|info`.
    ///
    /// # Errors
    /// None as yet but those of [`Env::system`].
    pub fn with_redis_connection(connection: impl Into<SharedConnection>) -> Result<Client> {
        let env = Env::system()?;
        let name = "a connection of the program";
        let mut options = RedisOptions::new(Servers::Single(Endpoint::Unix(name.into())));
        options.url = format!("redis://{name}");
        let store = RedisStore::with_connection(connection, options, env.clone())?;
        Ok(Client::new(Arc::new(store), env))
    }
}
