//! [`RedisStore`]: the store behind the trait.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Error, ErrorKind, Interest, LockName, Release, Renewal,
    Result, Revalidations, ServerInfo, Snapshot, Standing, Store, Wake,
};

use crate::{
    connection::Node,
    dial::Dial,
    dialect::{native, plain},
    enrol,
    keys::Keys,
    list,
    options::{Dialect, RedisOptions, Servers},
    renew,
    route::Router,
    session::{Session, acknowledged, first, wait_for},
    topology::{Topology, cluster::Cluster, sentinel::Sentinel, single::Single},
    vitals,
    wake::{Deaf, Hearing, Topic, Tracked},
};

/// A client of Redis: one server, its replicas, Sentinel or Cluster.
///
/// Nothing is ever sent twice: a request whose answer was lost is an error that says "it may have taken effect", and
/// the engine asks again by the claim's id.
#[derive(Clone)]
pub struct RedisStore {
    session: Arc<Session>,
    capability: Arc<Capability>,
}

impl RedisStore {
    /// A client of these servers. No I/O but for reading the file of authorities: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for options that make no sense together.
    pub fn new(options: RedisOptions, env: Env) -> Result<Self> {
        options.check()?;
        let database = if matches!(options.servers, Servers::Cluster(_)) { 0 } else { options.database };
        let dial = Arc::new(Dial::new(&options, database)?);
        Ok(RedisStore::over(options, dial, env))
    }

    /// A client of one server that connects as `client` does: address, login, TLS and all.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for options that make no sense together.
    #[cfg(feature = "redis-1")]
    pub fn with_client(client: &redis::Client, mut options: RedisOptions, env: Env) -> Result<Self> {
        use redis::ConnectionAddr::{Tcp, TcpTls, Unix};
        let endpoint = match client.get_connection_info().addr() {
            Tcp(host, port) | TcpTls { host, port, .. } => crate::options::Endpoint::tcp(host, *port),
            Unix(path) => crate::options::Endpoint::Unix(path.clone()),
            _ => return Err(Error::new(ErrorKind::Invalid, "a client of an address of an unknown kind")),
        };
        options.servers = Servers::Single(endpoint);
        options.check()?;
        let dial = Arc::new(Dial::given(client, &options));
        Ok(RedisStore::over(options, dial, env))
    }

    /// As [`RedisStore::new`], and makes sure that it can be used: the servers are reached, and their configuration is
    /// looked at. One that may evict locks is warned of, and refused when `strict` is set.
    ///
    /// # Errors
    /// Those of [`RedisStore::new`]; [`ErrorKind::Unreachable`], [`ErrorKind::Rejected`] for a login or certificate that
    /// is not accepted, [`ErrorKind::Unsafe`] when strict. Nothing is written.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(options: RedisOptions, env: Env) -> Result<Self> {
        let store = RedisStore::new(options, env)?;
        let checked = crate::safety::check(&store.session).await;
        checked.map_err(|error| error.verb("connect").store(&*store.session.options.url))?;
        Ok(store)
    }

    /// Gives a member of a quorum its vote at once, although it has only just come up or was emptied: whoever calls this
    /// vouches that nobody can hold anything on it, as on a server that is new.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a store that is no member; those of the server.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn promote(&self) -> Result<()> {
        let vouched = vitals::promote(&self.session).await;
        vouched.map_err(|error| error.verb("vouch").store(&*self.session.options.url))
    }

    fn over(options: RedisOptions, dial: Arc<Dial>, env: Env) -> Self {
        let revalidations = Revalidations::default();
        let topology: Arc<dyn Topology> = match &options.servers {
            Servers::Single(endpoint) => {
                Arc::new(Single(Node::new(endpoint.clone(), dial, env.clone(), revalidations.clone())))
            }
            Servers::Sentinel { sentinels, master } => {
                Arc::new(Sentinel::start(sentinels, master, dial, env.clone(), revalidations.clone()))
            }
            Servers::Cluster(seeds) => {
                Arc::new(Cluster::start(seeds, dial, env.clone(), revalidations.clone()))
            }
        };
        let capability = Arc::new(options.capability());
        let router = Router { topology, env: env.clone() };
        RedisStore { session: Arc::new(Session::new(options, router, env, revalidations)), capability }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    fn is_plain(&self) -> bool {
        self.session.options.dialect != Dialect::Native
    }

    fn keys(&self, name: &LockName) -> Keys {
        match &self.session.options.dialect {
            Dialect::Native => Keys::of(name),
            Dialect::Plain { template } => Keys::templated(template, name),
        }
    }

    async fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        self.session.refuse_closed()?;
        self.capability.admits(claim)?;
        let keys = self.keys(&claim.name);
        let result = if self.is_plain() {
            self.claim_plain(claim, &keys).await
        } else {
            self.claim_native(claim, &keys).await
        };
        self.session.note_doubt(claim, &result);
        let (standing, is_foreign) = result?;
        self.session.note_stranger(claim, &keys, is_foreign && !matches!(standing, Standing::Granted(_)));
        Ok(standing)
    }

    async fn claim_native(&self, claim: &Claim, keys: &Keys) -> Result<(Standing, bool)> {
        let session = &self.session;
        let inbox = session.inbox(keys.slot());
        let marker = session.options.membership.map(enrol::unknown_run);
        let call =
            native::claim(&session.scripts.claim, keys, claim, &inbox, &session.voice(), marker.as_deref());
        let timeout = session.options.timeout;
        let (value, have) = session.run_confirmed(keys, &session.scripts.claim, call, timeout).await?;
        let (standing, is_foreign) = native::read_claim(value)?;
        if matches!(standing, Standing::Granted(_)) && have < session.options.min_replicas {
            return Err(self.undo(claim, have).await);
        }
        Ok((standing, is_foreign && session.tracks()))
    }

    /// Gives back what too few replicas have. What cannot be given back may be there.
    async fn undo(&self, claim: &Claim, have: u32) -> Error {
        let error = self.session.too_few_replicas(have);
        match self.release_now(claim).await {
            Ok(_) => error,
            Err(_) => error.unknown(),
        }
    }

    async fn claim_plain(&self, claim: &Claim, keys: &Keys) -> Result<(Standing, bool)> {
        let session = &self.session;
        let (timeout, wanted) = (session.options.timeout, session.options.min_replicas);
        let mut commands = plain::claim(&keys.hold, claim);
        if wanted > 0 {
            commands.push(wait_for(wanted, timeout));
        }
        let (_, mut replies) = session.router.send(keys.slot(), &commands, 0, timeout).await?;
        let mut last = if wanted > 0 { replies.split_off(commands.len() - 1) } else { Vec::new() };
        if let Some((standing, is_foreign)) = plain::read_claim(claim, replies, session.tracks())? {
            if matches!(standing, Standing::Granted(_)) && wanted > 0 {
                let have = acknowledged(&mut last)?;
                if have < wanted {
                    return Err(self.undo(claim, have).await);
                }
            }
            let is_held = matches!(standing, Standing::Held(_));
            return Ok((standing, is_foreign || is_held));
        }
        // Its own value is there: a repetition or an amendment, which prolongs.
        let standing = match renew::batch(session, &[claim], timeout).await.into_iter().next() {
            Some(Ok(Renewal::Renewed { valid_for })) => {
                Standing::Granted(leasehold_core::Grant::lasting(None, valid_for))
            }
            Some(Ok(Renewal::Gone(reason))) => Standing::Gone(reason),
            Some(Err(error)) => return Err(error),
            None => return Err(Error::new(ErrorKind::Corrupt, "the server answered nothing").unknown()),
        };
        Ok((standing, false))
    }

    async fn release_now(&self, claim: &Claim) -> Result<Release> {
        let session = &self.session;
        session.refuse_closed()?;
        let keys = self.keys(&claim.name);
        let value = if self.is_plain() {
            self.release_plain(claim, &keys).await?
        } else {
            let script = &session.scripts.release;
            let refuse = session.doubt(claim);
            session
                .run(&keys, script, native::release(script, &keys, claim, refuse, &session.voice()))
                .await?
        };
        session.forget(claim.id);
        native::read_release(value)
    }

    /// By the server's own compare-and-delete where it has one; the first release asks, in the same piece.
    async fn release_plain(&self, claim: &Claim, keys: &Keys) -> Result<redis::Value> {
        let session = &self.session;
        if let Some(command) = session.compare_and_delete.get().copied().flatten() {
            let call = plain::release_by(command, &keys.hold, claim);
            let (_, mut replies) =
                session.router.send(keys.slot(), &[call], 0, session.options.timeout).await?;
            return first(&mut replies);
        }
        let script = &session.scripts.plain_release;
        let call = plain::release(script, &keys.hold, claim);
        let asks = session.compare_and_delete.get().is_none().then(plain::ask_for_compare_and_delete);
        let timeout = session.options.timeout;
        let (_, mut replies) = session.router.run(keys.slot(), script, call, asks, timeout).await?;
        if let Some(known) = replies.get(1) {
            // Who may not ask uses the script. Another release may have been faster.
            let command = known.as_ref().ok().and_then(plain::read_compare_and_delete);
            let _ = session.compare_and_delete.set(command);
        }
        first(&mut replies)
    }

    async fn watch_now(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        let session = &self.session;
        session.refuse_closed()?;
        let keys = self.keys(name);
        if self.is_plain() && !self.capability.wakes {
            return Ok(Box::new(Deaf));
        }
        match interest {
            Interest::Turn(id) => {
                let listener = session.listen(keys.slot(), None).await?;
                let topics = vec![Topic::Turn(Contender::tag_of(id))];
                let hearing = Hearing::new(listener.clone(), topics);
                if !listener.tracks() {
                    return Ok(Box::new(hearing));
                }
                let strangers = session.watch_strangers(id);
                Ok(Box::new(hearing.tracking(Tracked::Stranger(strangers)).await?))
            }
            Interest::Changes if self.is_plain() => {
                let listener = session.listen(keys.slot(), None).await?;
                Ok(Box::new(Hearing::new(listener, Vec::new()).tracking(Tracked::Always(keys.hold)).await?))
            }
            Interest::Changes => {
                let channel = keys.changes();
                let listener = session.listen(keys.slot(), Some(channel.clone())).await?;
                let hearing = Hearing::new(listener, vec![Topic::Channel(channel)]);
                Ok(Box::new(hearing.tracking(Tracked::Announced(session.observe(&keys).await?)).await?))
            }
        }
    }

    async fn inspect_now(&self, name: &LockName) -> Result<Snapshot> {
        let session = &self.session;
        session.refuse_closed()?;
        let keys = self.keys(name);
        if self.is_plain() {
            let commands = plain::inspect(&keys.hold);
            let (_, replies) =
                session.router.send(keys.slot(), &commands, 0, session.options.timeout).await?;
            return plain::read_snapshot(name, replies);
        }
        let script = &session.scripts.inspect;
        native::read_snapshot(name, session.run(&keys, script, native::inspect(script, &keys)).await?)
    }

    async fn force_release_now(&self, name: &LockName) -> Result<Vec<Contender>> {
        let session = &self.session;
        session.refuse_closed()?;
        let keys = self.keys(name);
        if self.is_plain() {
            let snapshot = self.inspect_now(name).await?;
            let mut delete = redis::cmd("DEL");
            delete.arg(&keys.hold);
            let (_, mut replies) =
                session.router.send(keys.slot(), &[delete], 0, session.options.timeout).await?;
            first(&mut replies)?;
            return Ok(snapshot.holders);
        }
        let script = &session.scripts.force_release;
        let call = native::force_release(script, &keys, &session.voice());
        native::read_force_release(session.run(&keys, script, call).await?)
    }

    /// Names verb, lock and store in an error.
    fn explain<T>(&self, result: Result<T>, verb: &'static str, name: &LockName) -> Result<T> {
        result.map_err(|error| error.verb(verb).lock(name).store(&*self.session.options.url))
    }
}

impl Store for RedisStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.session.options.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            let asked = vitals::server_info(&self.session).await;
            asked.map_err(|error| error.verb("vitals").store(&*self.session.options.url))
        })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.session.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.explain(self.claim_now(claim).await, "claim", &claim.name) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let answers = renew::all(&self.session, claims).await;
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| self.explain(answer, "renew", &claim.name)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.explain(self.release_now(claim).await, "release", &claim.name) })
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.explain(self.watch_now(name, interest).await, "watch", name) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.explain(self.inspect_now(name).await, "inspect", name) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let listed = list::list(self, prefix, limit).await;
            listed.map_err(|error| error.verb("list").store(&*self.session.options.url))
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move { self.explain(self.force_release_now(name).await, "force-release", name) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.session.close();
            Ok(())
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStore").field(&self.session.options.url).finish()
    }
}
