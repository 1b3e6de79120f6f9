//! [`Link`]: a connection for commands, and how it is made.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{Error, Result, store_kit::Secrets};
use redis::{
    Cmd, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo,
    aio::{MultiplexedConnection, SendError},
    cmd,
};

use super::{connection::Connector, line::Line, stream};
#[cfg(feature = "redis-1")]
use super::{connection::Given, shared::SharedLink};
use crate::{
    error::ServerError,
    format::{Replies, Reply},
    options::Endpoint,
};

/// A connection for commands.
#[derive(Debug)]
pub(crate) enum Link {
    Line(Arc<Line>),
    /// The connection of redis-rs, and whether its server has closed it; RESP2 does not report that.
    Library(MultiplexedConnection, Arc<AtomicBool>),
    #[cfg(feature = "redis-1")]
    Shared(SharedLink),
}

impl Link {
    /// Sends commands in one piece, and answers one reply for each.
    ///
    /// # Errors
    /// [`Unreachable`](leasehold_core::ErrorKind::Unreachable) when the connection breaks: unknown if a byte of the commands may have left.
    pub(crate) async fn exchange(&self, commands: &[Cmd]) -> Result<Replies> {
        match self {
            Link::Line(line) => line.exchange(commands).await,
            // Boxed: its state is larger than all others on the way of a request.
            Link::Library(connection, _) => Box::pin(stream::exchange_by_library(connection, commands)).await,
            #[cfg(feature = "redis-1")]
            Link::Shared(link) => Box::pin(link.exchange(commands)).await,
        }
    }

    /// Whether it has ended, as far as is known.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Link::Line(line) => line.is_broken(),
            Link::Library(_, ended) => ended.load(Ordering::Acquire),
            #[cfg(feature = "redis-1")]
            Link::Shared(link) => link.has_ended(),
        }
    }

    /// Whether the server has closed it, also when the runtime was too busy to notice.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Link::Line(line) => line.is_closed(),
            _ => self.has_ended(),
        }
    }
}

impl Connector {
    /// Connects for commands, with RESP3 if the server knows it. The current runtime drives the connection.
    ///
    /// # Errors
    /// Nothing was sent but the login.
    pub(super) async fn link(&self, endpoint: &Endpoint) -> Result<Link> {
        #[cfg(feature = "redis-1")]
        if let Some(Given::Connection(connection)) = &self.given {
            let link =
                SharedLink::open(connection.clone(), self.env.clone(), self.revalidations.clone()).await;
            return link.map(Link::Shared).map_err(Error::not_applied);
        }
        let address = self.resolve(endpoint).await?;
        self.link_to(endpoint, address).await.map_err(Error::not_applied)
    }

    /// Connects to one address of an endpoint.
    pub(super) async fn link_to(&self, endpoint: &Endpoint, address: Option<SocketAddr>) -> Result<Link> {
        if self.is_for_library() {
            let ended = Arc::new(AtomicBool::new(false));
            let reported = ended.clone();
            let pushes = Arc::new(move |push: PushInfo| {
                reported.fetch_or(push.kind == PushKind::Disconnection, Ordering::AcqRel);
                Ok::<(), SendError>(())
            });
            return Ok(Link::Library(self.connect_to(endpoint, address, pushes).await?, ended));
        }
        let attempt = |secrets: Secrets| async move {
            loop {
                let newest = self.speaks_resp3();
                let halves = stream::plain(endpoint, address).await;
                let halves = halves.map_err(|error| self.explain(&error.into()))?;
                let line = Line::new(halves, self.options.membership.is_none());
                match self.greet(&line, &self.settings(&secrets)).await? {
                    Some(error) if newest && error.lacks_resp3() => self.resp2.store(true, Ordering::Relaxed),
                    Some(error) => return Err(error.into()),
                    None => return Ok(Link::Line(line)),
                }
            }
        };
        self.options.access.connect(attempt).await
    }

    /// Logs in, and chooses protocol and database; the first error that the server answers.
    async fn greet(&self, line: &Arc<Line>, settings: &RedisConnectionInfo) -> Result<Option<ServerError>> {
        let (resp2, password) = (settings.protocol() == ProtocolVersion::RESP2, settings.password());
        let mut commands = Vec::new();
        if !resp2 {
            let mut hello = cmd("HELLO");
            hello.arg(3);
            if password.is_some() {
                hello.arg("AUTH").arg(settings.username().unwrap_or("default")).arg(password);
            }
            commands.push(hello);
        } else if password.is_some() {
            commands.push(cmd("AUTH").arg(settings.username()).arg(password).to_owned());
        }
        if settings.db() != 0 {
            commands.push(cmd("SELECT").arg(settings.db()).to_owned());
        }
        if commands.is_empty() {
            return Ok(None);
        }
        let replies = line.exchange(&commands).await.map_err(|error| match error.hint_text() {
            None => error.hint("is the server running, and is the address right?"),
            Some(_) => error,
        })?;
        if resp2 && password.is_some() && replies.first().is_some_and(Result::is_err) {
            let refused = (redis::ErrorKind::AuthenticationFailed, "Password authentication failed");
            return Err(self.explain(&refused.into()));
        }
        Ok(replies.into_iter().find_map(Reply::err))
    }
}
