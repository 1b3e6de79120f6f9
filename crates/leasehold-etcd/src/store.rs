//! [`EtcdStore`]: the store behind the trait.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Error, Interest, LockName, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

use crate::{
    claim,
    commit::{self, Committed, Write},
    look,
    options::EtcdOptions,
    release, renew,
    session::Session,
    vitals,
};

/// A client of an etcd cluster.
///
/// Nothing is ever sent twice: a request whose answer was lost is an error that says "it may have taken effect", and
/// the engine asks again by the claim's id. A verb that has begun is carried to its end, also when its future is dropped.
#[derive(Clone)]
pub struct EtcdStore {
    session: Arc<Session>,
    capability: Arc<Capability>,
}

impl EtcdStore {
    /// A client of this cluster. No I/O but for reading the file of authorities: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that make no sense together.
    pub fn new(options: EtcdOptions, env: Env) -> Result<Self> {
        options.check()?;
        let capability = Arc::new(options.capability());
        Ok(EtcdStore { session: Arc::new(Session::new(options, env)?), capability })
    }

    /// As [`EtcdStore::new`], and makes sure that it can be used: a member is reached, and is not too old.
    ///
    /// # Errors
    /// Those of [`EtcdStore::new`]; [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like,
    /// `Rejected` for a login or certificate that is not accepted, `Unsafe` for a version before 3.4.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is written.
    pub async fn open(options: EtcdOptions, env: Env) -> Result<Self> {
        let store = EtcdStore::new(options, env)?;
        let session = store.session.clone();
        let checked = store.session.carry(async move { vitals::server_info(&session).await }).await;
        checked.map_err(|error| store.named(error, "connect"))?;
        Ok(store)
    }

    /// Writes keys of the user's in the transaction that checks that `claim` holds its lock: all of it, or nothing when
    /// the hold has ended, however late the request arrives. So such data is safe even from a holder that does not know
    /// yet that it is none. At most some hundred keys at a time (`--max-txn-ops` of the cluster), each once.
    ///
    /// # Errors
    /// Those of the transport; unknown when it may have been written. `Rejected` for a transaction that etcd refuses.
    ///
    /// # Cancel safety
    /// Dropped half-way, it is written or not.
    pub async fn commit(&self, claim: &Claim, writes: Vec<Write>) -> Result<Committed> {
        let (session, theirs) = (self.session.clone(), claim.clone());
        let done = self.session.carry(async move { commit::commit(&session, &theirs, writes).await }).await;
        self.explain(done, "commit", &claim.name)
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    fn named(&self, error: Error, verb: &'static str) -> Error {
        error.verb(verb).store(&*self.session.options.url)
    }

    /// Names verb, lock and store in an error.
    fn explain<T>(&self, result: Result<T>, verb: &'static str, name: &LockName) -> Result<T> {
        result.map_err(|error| self.named(error, verb).lock(name))
    }

    async fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        self.session.refuse_closed()?;
        self.capability.admits(claim)?;
        // Whatever comes later for this claim waits for its turn.
        let slot = self.session.slot(claim.id);
        let (session, claim) = (self.session.clone(), claim.clone());
        self.session.carry(async move { claim::claim(&session, &claim, slot).await }).await
    }

    async fn release_now(&self, claim: &Claim) -> Result<Release> {
        self.session.refuse_closed()?;
        let slot = self.session.known(claim.id);
        let (session, claim) = (self.session.clone(), claim.clone());
        self.session.carry(async move { release::release(&session, &claim, slot).await }).await
    }
}

impl Store for EtcdStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.session.options.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            let session = self.session.clone();
            let asked = self.session.carry(async move { vitals::server_info(&session).await }).await;
            asked.map_err(|error| self.named(error, "vitals"))
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
            let (session, theirs) = (self.session.clone(), claims.to_vec());
            let answers = self.session.carry(async move { renew::renew(&session, &theirs).await }).await;
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| self.explain(answer, "renew", &claim.name)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.explain(self.release_now(claim).await, "release", &claim.name) })
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.explain(self.session.watch(name, interest).await, "watch", name) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move {
            let (session, theirs) = (self.session.clone(), name.clone());
            let seen = self.session.carry(async move { look::inspect(&session, &theirs).await }).await;
            self.explain(seen, "inspect", name)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let (session, prefix) = (self.session.clone(), prefix.to_string());
            let listed = self.session.carry(async move { look::list(&session, &prefix, limit).await }).await;
            listed.map_err(|error| self.named(error, "list"))
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            let (session, theirs) = (self.session.clone(), name.clone());
            let done = self.session.carry(async move { look::force_release(&session, &theirs).await }).await;
            self.explain(done, "force-release", name)
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let session = self.session.clone();
            let closed = self.session.carry(async move { release::close(&session).await }).await;
            closed.map_err(|error| self.named(error, "close"))
        })
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdStore").field(&self.session.options.url).finish()
    }
}
