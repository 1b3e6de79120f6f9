//! [`SharedConnection`]: a connection of the program, which carries other requests as well.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use leasehold_core::{Env, Result, Revalidations};
use redis::{
    Cmd,
    aio::{ConnectionManager, MultiplexedConnection},
    cmd,
};

use super::stream::{exchange_by_library, library_replies, pipeline};
use crate::format::{Replies, next, text};

/// A connection that a program already has. Of those of the `redis` crate, these carry the requests of several tasks and
/// send none of them twice.
#[derive(Clone)]
#[non_exhaustive]
pub enum SharedConnection {
    /// One that ends with its socket: every lock fails from then on.
    Multiplexed(MultiplexedConnection),
    /// One that connects again by itself.
    Manager(ConnectionManager),
}

impl From<MultiplexedConnection> for SharedConnection {
    fn from(connection: MultiplexedConnection) -> Self {
        SharedConnection::Multiplexed(connection)
    }
}

impl From<ConnectionManager> for SharedConnection {
    fn from(manager: ConnectionManager) -> Self {
        SharedConnection::Manager(manager)
    }
}

impl fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedConnection").finish_non_exhaustive()
    }
}

/// A shared connection for as long as it has one socket.
#[derive(Debug)]
pub(crate) struct SharedLink {
    connection: SharedConnection,
    socket: String,
    env: Env,
    revalidations: Revalidations,
    /// The connection has another socket now, perhaps to a server that has lost the locks.
    ended: AtomicBool,
}

impl SharedLink {
    /// Finds out which socket the connection has.
    ///
    /// # Errors
    /// Nothing was sent but the question.
    pub(super) async fn open(
        connection: SharedConnection,
        env: Env,
        revalidations: Revalidations,
    ) -> Result<SharedLink> {
        let socket = socket(&next(&mut send(&connection, &[client_info()]).await?.into_iter())?)?;
        Ok(SharedLink { connection, socket, env, revalidations, ended: AtomicBool::new(false) })
    }

    /// Sends commands, and the question which socket they went by: nobody else tells that it is a new one.
    pub(super) async fn exchange(&self, commands: &[Cmd]) -> Result<Replies> {
        let mut replies = send(&self.connection, &[commands, &[client_info()]].concat()).await?;
        let told = replies.pop().and_then(|reply| socket(&reply.ok()?).ok());
        if told.as_ref() != Some(&self.socket) && !self.ended.swap(true, Ordering::AcqRel) {
            self.revalidations.raise_sparingly(&self.env);
        }
        Ok(replies)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

async fn send(connection: &SharedConnection, commands: &[Cmd]) -> Result<Replies> {
    match connection {
        SharedConnection::Multiplexed(connection) => {
            exchange_by_library(connection, commands).await.map_err(|error| {
                error.hint("this connection does not connect again: hand in a ConnectionManager or the redis::Client")
            })
        }
        SharedConnection::Manager(manager) => {
            let (mut manager, pipeline) = (manager.clone(), pipeline(commands));
            library_replies(manager.send_packed_commands(&pipeline, 0, commands.len()).await)
        }
    }
}

fn client_info() -> Cmd {
    cmd("CLIENT").arg("INFO").to_owned()
}

/// Id and both addresses of a socket, which `CLIENT INFO` begins with.
fn socket(info: &redis::Value) -> Result<String> {
    Ok(text(info)?.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
