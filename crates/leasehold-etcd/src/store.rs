//! [`EtcdStore`]: the store behind the trait.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Error, Interest, LockName, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

use crate::{
    client::ClientState,
    guarded_write::{self, Committed, Write},
    options::EtcdOptions,
    server_info,
    verbs::{claim, inspect, release, renew},
};

/// A client of an etcd cluster.
///
/// Nothing is ever sent twice: a request whose answer was lost is an error that says "it may have taken effect", and
/// the engine asks again by the claim's id. A verb that has begun is carried to its end, also when its future is dropped.
#[derive(Clone)]
pub struct EtcdStore {
    client: Arc<ClientState>,
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
        Ok(EtcdStore { client: Arc::new(ClientState::new(options, env)?), capability })
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
        let client = store.client.clone();
        let checked = store.client.carry(async move { server_info::server_info(&client).await }).await;
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
        let (client, theirs) = (self.client.clone(), claim.clone());
        let done =
            self.client.carry(async move { guarded_write::commit(&client, &theirs, writes).await }).await;
        self.explain(done, "commit", &claim.name)
    }

    pub(crate) fn client(&self) -> &Arc<ClientState> {
        &self.client
    }

    fn named(&self, error: Error, verb: &'static str) -> Error {
        error.verb(verb).store(&*self.client.options.url)
    }

    /// Names verb, lock and store in an error.
    fn explain<T>(&self, result: Result<T>, verb: &'static str, name: &LockName) -> Result<T> {
        result.map_err(|error| self.named(error, verb).lock(name))
    }

    async fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        self.client.refuse_closed()?;
        self.capability.admits(claim)?;
        // Whatever comes later for this claim waits for its turn.
        let slot = self.client.slot(claim.id);
        let (client, claim) = (self.client.clone(), claim.clone());
        self.client.carry(async move { claim::claim(&client, &claim, slot).await }).await
    }

    async fn release_now(&self, claim: &Claim) -> Result<Release> {
        self.client.refuse_closed()?;
        let slot = self.client.known(claim.id);
        let (client, claim) = (self.client.clone(), claim.clone());
        self.client.carry(async move { release::release(&client, &claim, slot).await }).await
    }
}

impl Store for EtcdStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.client.options.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            let client = self.client.clone();
            let asked = self.client.carry(async move { server_info::server_info(&client).await }).await;
            asked.map_err(|error| self.named(error, "vitals"))
        })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.client.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.explain(self.claim_now(claim).await, "claim", &claim.name) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let (client, theirs) = (self.client.clone(), claims.to_vec());
            let answers = self.client.carry(async move { renew::renew(&client, &theirs).await }).await;
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| self.explain(answer, "renew", &claim.name)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.explain(self.release_now(claim).await, "release", &claim.name) })
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.explain(self.client.watch(name, interest).await, "watch", name) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move {
            let (client, theirs) = (self.client.clone(), name.clone());
            let seen = self.client.carry(async move { inspect::inspect(&client, &theirs).await }).await;
            self.explain(seen, "inspect", name)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let (client, prefix) = (self.client.clone(), prefix.to_string());
            let listed = self.client.carry(async move { inspect::list(&client, &prefix, limit).await }).await;
            listed.map_err(|error| self.named(error, "list"))
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            let (client, theirs) = (self.client.clone(), name.clone());
            let done = self.client.carry(async move { inspect::force_release(&client, &theirs).await }).await;
            self.explain(done, "force-release", name)
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let client = self.client.clone();
            let closed = self.client.carry(async move { release::close(&client).await }).await;
            closed.map_err(|error| self.named(error, "close"))
        })
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdStore").field(&self.client.options.url).finish()
    }
}
