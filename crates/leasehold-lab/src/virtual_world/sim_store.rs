//! [`SimStore`]: the store of a client, over the network of the virtual world.
//!
//! A lost answer is an error after which the request may have been applied, as in the store of Redis. Nothing is sent
//! twice.

use std::{fmt, sync::Arc, time::Duration};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Drift, Env, Error, ErrorKind, Fencing, Interest, Liveness,
    LockName, Outcome, Release, Renewal, Result, ServerInfo, Snapshot, Standing, Store, Wake, memory::Memory,
};

use super::{
    network::Way,
    process::Process,
    server::{Connection, Server, WatchChannel, at_once},
};

/// The capability of a Redis server, which the simulated server stands for.
const CAPABILITY: Capability = Capability {
    scheme: "sim",
    fencing: Fencing::Durable,
    liveness: Liveness::Ttl,
    ttl_min: Duration::from_millis(50),
    drift: Drift::TWO_CLOCKS,
    ..Memory::CAPABILITY
};

/// A client's connection to one server.
pub(crate) struct SimStore {
    process: Process,
    env: Env,
    server: Server,
    url: String,
    timeout: Duration,
    connection: Arc<Connection>,
}

impl SimStore {
    /// A client, in `process`, of a server, with a time limit for each answer.
    pub(crate) fn new(process: &Process, server: &Server, timeout: Duration) -> SimStore {
        let connection = Arc::new(Connection::new(process.number()));
        server.connect(connection.clone());
        SimStore {
            process: process.clone(),
            env: process.env(),
            server: server.clone(),
            url: format!("sim:node-{}", server.process().number()),
            timeout,
            connection,
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        request: impl Fn(&Server) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let server = self.server.clone();
        let reply =
            self.process.call(self.server.process(), move |is_alive| is_alive.then(|| request(&server)));
        match self.env.until(self.env.now() + self.timeout, reply).await {
            Some(Some(answer)) => answer,
            Some(None) => Err(Error::new(ErrorKind::Unreachable, "connection refused")),
            None => {
                let message = format!("no answer within {:?}", self.timeout);
                Err(Error::new(ErrorKind::TimedOut, message).store(&*self.url).unknown())
            }
        }
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimStore").field(&self.url).finish()
    }
}

impl Store for SimStore {
    fn capability(&self) -> &Capability {
        &CAPABILITY
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(self.ask(Server::server_info))
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.connection.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        let claim = claim.clone();
        Box::pin(self.ask(move |server| at_once(server.memory().claim(&claim))))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        let all: Arc<[Claim]> = claims.into();
        Box::pin(async move {
            self.ask(move |server| Ok(at_once(server.memory().renew(&all)))).await.unwrap_or_else(|error| {
                let again = || match error.outcome() {
                    Outcome::Unknown => Error::new(error.kind(), error.to_string()).unknown(),
                    Outcome::NotApplied => Error::new(error.kind(), error.to_string()),
                };
                claims.iter().map(|_| Err(again())).collect()
            })
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        let claim = claim.clone();
        Box::pin(self.ask(move |server| at_once(server.memory().release(&claim))))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        let channel = Arc::new(WatchChannel::default());
        let (name, watched, client) = (name.clone(), channel.clone(), self.process.number());
        Box::pin(async move {
            self.connection.watch(&channel);
            let subscription = Subscription {
                breaks: self.connection.breaks(),
                process: self.process.clone(),
                way: self.process.way_to(self.server.process()),
                connection: self.connection.clone(),
                channel,
            };
            self.ask(move |server| server.watch(&name, interest, client, &watched)).await?;
            Ok(Box::new(subscription) as Box<dyn Wake>)
        })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        let name = name.clone();
        Box::pin(self.ask(move |server| at_once(server.memory().inspect(&name))))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        let prefix = prefix.to_string();
        Box::pin(self.ask(move |server| at_once(server.memory().list(&prefix, limit))))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        let name = name.clone();
        Box::pin(self.ask(move |server| at_once(server.memory().force_release(&name))))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Ends when the client drops it or the connection breaks.
struct Subscription {
    process: Process,
    way: Way,
    connection: Arc<Connection>,
    /// How often the connection had broken at the beginning.
    breaks: u64,
    channel: Arc<WatchChannel>,
}

impl Wake for Subscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.channel.changed.notified().await;
            match self.connection.breaks() == self.breaks {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Unreachable, "the connection broke")),
            }
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let channel = self.channel.clone();
        self.process.world().send(self.way, move |_| channel.ended.notify_one());
    }
}
