//! [`EtcdStore`]: the [`Store`] of this crate.

use std::{fmt, future::Future, sync::Arc};

use leasehold_core::{
    Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo, Snapshot, Standing,
    Wake,
    store_kit::{ClientState, Explain, Verbs},
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
    pub(crate) client: Arc<Client>,
}

impl EtcdStore {
    /// A client of this cluster. It reads the certificate file and does no other I/O: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that contradict each other.
    pub fn new(options: EtcdOptions, env: Env) -> Result<Self> {
        Ok(EtcdStore { client: Arc::new(Client::new(options, env)?) })
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
        Verbs::server_info(&store).await.explain_store("connect", &store.client.state.url)?;
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
        self.client.state.check_open().explain("commit", &claim.name, &self.client.state.url)?;
        let own = claim.clone();
        let work = |client: Arc<Client>| async move { guarded_write::commit(&client, &own, writes).await };
        self.run(work).await.explain("commit", &claim.name, &self.client.state.url)
    }

    /// Runs a verb to its end, also when its future is dropped.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Client>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Detached::new(&self.client.env, work(self.client.clone())).await
    }
}

impl Verbs for EtcdStore {
    fn state(&self) -> &ClientState {
        &self.client.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        self.run(|client| async move { server_info::server_info(&client).await }).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        // Before the first await: whatever comes later for this claim waits for it.
        let own = self.client.own_claims.enter(claim, self.client.env.now());
        let wanted = claim.clone();
        self.run(|client| async move { claim::claim(&client, &wanted, own).await }).await
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let own = claims.to_vec();
        self.run(|client| async move { renew::renew(&client, &own).await }).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let wanted = claim.clone();
        self.run(|client| async move { release::release(&client, &wanted).await }).await
    }

    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.client.watch(name, interest).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        let wanted = name.clone();
        self.run(|client| async move { inspect::inspect(&client, &wanted).await }).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let prefix = prefix.to_string();
        self.run(move |client| async move { list::list(&client, &prefix, limit).await }).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let wanted = name.clone();
        self.run(|client| async move { release::force_release(&client, &wanted).await }).await
    }

    async fn close(&self) -> Result<()> {
        self.run(|client| async move { release::close(&client).await }).await
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdStore").field(&self.client.state.url).finish()
    }
}
