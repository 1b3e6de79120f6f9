//! [`PostgresStore`]: the [`Store`](leasehold_core::Store) of this crate.

use std::{fmt, sync::Arc};

use leasehold_core::{
    Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo, Snapshot, Standing,
    Wake,
    store_kit::{ClientState, Explain, Verbs},
};

use crate::{
    client::Client,
    options::PostgresOptions,
    server_info,
    sql::PROMOTE,
    verbs::{claim, inspect, release, renew},
};

/// A client of a PostgreSQL database.
///
/// No request is sent twice unless the server has undone it: one without an answer is an error with an unknown outcome, and
/// the engine repeats the claim by its id.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) client: Arc<Client>,
}

impl PostgresStore {
    /// A client of this database. It reads the certificate files and does no other I/O: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that contradict each other.
    pub fn new(options: PostgresOptions, env: Env) -> Result<Self> {
        Ok(PostgresStore { client: Arc::new(Client::new(options, env)?) })
    }

    /// The same, after a check that the server can be reached and has the schema, which is made if it is not there.
    ///
    /// # Errors
    /// Those of [`PostgresStore::new`]; [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like, `Rejected` for a
    /// login that is not accepted and without the rights that are needed, `Corrupt` for a schema of a newer version.
    ///
    /// # Cancel safety
    /// Cancel safe: at most the schema is made.
    pub async fn open(options: PostgresOptions, env: Env) -> Result<Self> {
        let store = PostgresStore::new(options, env)?;
        Verbs::server_info(&store).await.explain_store("connect", &store.client.transport.state.url)?;
        Ok(store)
    }

    /// Gives a member of a quorum its vote at once.
    pub(crate) async fn promote(&self) -> Result<()> {
        Verbs::server_info(self).await?;
        self.client.transport.query(&PROMOTE, &[]).await.map(drop)
    }
}

impl Verbs for PostgresStore {
    fn state(&self) -> &ClientState {
        &self.client.transport.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        server_info::server_info(&self.client.transport).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        claim::claim(&self.client, claim).await
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        renew::renew(&self.client, claims).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        release::release(&self.client, claim).await
    }

    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.client.listener.watch(name, interest).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        inspect::inspect(&self.client, name).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        inspect::list(&self.client, prefix, limit).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        release::force_release(&self.client, name).await
    }

    /// Ends its connections. Its holds end with their time to live.
    async fn close(&self) -> Result<()> {
        if self.client.transport.close() {
            self.client.listener.close();
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.client.transport.state.url).finish()
    }
}
