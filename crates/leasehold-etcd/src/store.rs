//! [`EtcdStore`]: the [`Store`] of this crate.

use std::{fmt, future::Future, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake, store_kit::Explain,
};

use crate::{
    client::Client,
    guarded_write::{self, Committed, KeyWrite},
    options::EtcdOptions,
    server_info,
    verbs::{Detached, claim, inspect, list, release, renew},
};

/// A client of an etcd cluster.
///
/// No request is sent twice: a request without an answer is an error with an unknown outcome, and the engine repeats the
/// claim by its id. A verb that has begun runs to its end, also when its future is dropped.
#[derive(Clone)]
pub struct EtcdStore {
    client: Arc<Client>,
    capability: Arc<Capability>,
}

impl EtcdStore {
    /// A client of this cluster. It reads the certificate file and does no other I/O: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that contradict each other.
    pub fn new(options: EtcdOptions, env: Env) -> Result<Self> {
        options.check()?;
        let capability = Arc::new(options.capability());
        Ok(EtcdStore { client: Arc::new(Client::new(options, env)?), capability })
    }

    /// The same, after a check that a member can be reached and is not too old.
    ///
    /// # Errors
    /// Those of [`EtcdStore::new`]; [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like,
    /// `Rejected` for a login or certificate that is not accepted, `Unsafe` for a version before 3.4.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is written.
    pub async fn open(options: EtcdOptions, env: Env) -> Result<Self> {
        let store = EtcdStore::new(options, env)?;
        store
            .run(
                "connect",
                None,
                |client: Arc<Client>| async move { server_info::server_info(&client).await },
            )
            .await?;
        Ok(store)
    }

    /// Writes keys of the application in the transaction that checks that `claim` holds its lock: all of them, or none
    /// when the hold has ended, however late the request arrives. So the data are safe also from a holder that has not
    /// noticed its loss. A transaction takes about a hundred keys (`--max-txn-ops` of the cluster), each once.
    ///
    /// # Errors
    /// Those of the transport; with an unknown outcome when it may have been written. `Rejected` for a transaction that
    /// etcd refuses.
    ///
    /// # Cancel safety
    /// Dropped half-way, it is written or not.
    pub async fn commit(&self, claim: &Claim, writes: Vec<KeyWrite>) -> Result<Committed> {
        let own = claim.clone();
        let work = |client: Arc<Client>| async move { guarded_write::commit(&client, &own, writes).await };
        self.run("commit", Some(&claim.name), work).await
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Runs a verb of an open client to its end, and names verb, lock and store in its error.
    async fn run<T, F>(
        &self,
        verb: &'static str,
        name: Option<&LockName>,
        work: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let result = match self.client.state.check_open() {
            Ok(()) => Detached::new(&self.client.env, work(self.client.clone())).await,
            Err(error) => Err(error),
        };
        match name {
            Some(name) => result.explain(verb, name, self.url()),
            None => result.explain_store(verb, self.url()),
        }
    }

    async fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        self.capability.admits(claim).explain("claim", &claim.name, self.url())?;
        // Before the first await: whatever comes later for this claim waits for it.
        let own = self.client.own_claims.enter(claim, self.client.env.now());
        let wanted = claim.clone();
        let work = |client: Arc<Client>| async move { claim::claim(&client, &wanted, own).await };
        self.run("claim", Some(&claim.name), work).await
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
        let work = |client: Arc<Client>| async move { server_info::server_info(&client).await };
        Box::pin(self.run("server-info", None, work))
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.client.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(self.claim_now(claim))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let own = claims.to_vec();
            let work = |client: Arc<Client>| async move { Ok(renew::renew(&client, &own).await) };
            let answers = self.run("renew", None, work).await;
            let answers = answers.unwrap_or_else(|error| vec![Err(error); claims.len()]);
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| answer.explain("renew", &claim.name, self.url())).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        let wanted = claim.clone();
        let work = |client: Arc<Client>| async move { release::release(&client, &wanted).await };
        Box::pin(self.run("release", Some(&claim.name), work))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.client.watch(name, interest).await.explain("watch", name, self.url()) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        let wanted = name.clone();
        let work = |client: Arc<Client>| async move { inspect::inspect(&client, &wanted).await };
        Box::pin(self.run("inspect", Some(name), work))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        let prefix = prefix.to_string();
        let work = move |client: Arc<Client>| async move { list::list(&client, &prefix, limit).await };
        Box::pin(self.run("list", None, work))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        let wanted = name.clone();
        let work = |client: Arc<Client>| async move { release::force_release(&client, &wanted).await };
        Box::pin(self.run("force-release", Some(name), work))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let client = self.client.clone();
            let closed =
                Detached::new(&client.env.clone(), async move { release::close(&client).await }).await;
            closed.explain_store("close", self.url())
        })
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdStore").field(&self.url()).finish()
    }
}
