//! [`SqliteStore`]: the store.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Error, Interest, LockName, LostReason, Release, Renewal,
    Result, ServerInfo, Snapshot, Standing, Store, Wake,
};

use rusqlite::Connection;

use crate::{
    SqliteOptions,
    bells::Subscription,
    boot::Boot,
    capability::CAPABILITY,
    place::Place,
    refusal, schema,
    shared::{Shared, lock},
    transaction::has_moved,
    verb::{self, View},
};

/// Locks in one SQLite file, shared by the processes of one machine. See the [crate].
///
/// Each value is a client of its own: what it claims with [`Binding::Client`](leasehold_core::Binding) ends when it is
/// closed or dropped, and when its process ends, however it ends.
pub struct SqliteStore {
    shared: Arc<Shared>,
    url: String,
}

/// So many renewals share a transaction: enough to make its cost small, few enough to let others in between.
const RENEWALS_MAX: usize = 256;

/// So often a view is taken anew when sessions end while it is looked at.
const VIEWS_MAX: u32 = 3;

impl SqliteStore {
    /// Opens the database at `path`, and makes it if there is none.
    ///
    /// Blocks for the time of some file operations (milliseconds when the file is made).
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind) on a network file system,
    /// [`ErrorKind::Corrupt`](leasehold_core::ErrorKind) when the file is not ours, damaged, or of a newer version (it
    /// is left as it is), [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) when the directory is missing or may
    /// not be written, [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) when the file must be made or carried over a
    /// restart and a stopped process keeps it.
    pub fn open(path: impl AsRef<Path>, env: Env) -> Result<SqliteStore> {
        SqliteStore::open_with(path, env, SqliteOptions::default())
    }

    /// What every store of this kind can do, known before one is opened.
    pub const CAPABILITY: Capability = CAPABILITY;

    /// Opens the database with other options.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: impl AsRef<Path>, env: Env, options: SqliteOptions) -> Result<SqliteStore> {
        let path = path.as_ref();
        let url = format!("sqlite:{}", path.display());
        let opened = (|| {
            let place = Place::resolve(path, options.create_directories)?;
            let boot = Boot::now(options.boot_id.clone())?;
            let database = schema::open(&place, &boot, &env, env.now() + options.timeout)?;
            Ok(Shared::new(place, database, env, &options))
        })();
        let shared = opened.map_err(|error: Error| error.verb("open").store(&url))?;
        Ok(SqliteStore { shared: Arc::new(shared), url })
    }

    fn told<T>(&self, verb: &'static str, name: &LockName, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| error.verb(verb).lock(name).store(&self.url))
    }

    async fn claim_one(&self, claim: &Claim) -> Result<Standing> {
        CAPABILITY.admits(claim)?;
        if !self.shared.is_closed() {
            self.shared.ensure_session()?;
        }
        let claim = claim.clone();
        self.shared.perform(move |desk| verb::claim(desk, &claim)).await
    }

    /// Renews some claims in one transaction.
    async fn renew_some(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let refused: Vec<_> = claims.iter().map(|claim| CAPABILITY.admits(claim).err()).collect();
        let admitted = claims.iter().zip(&refused).filter(|(_, refused)| refused.is_none());
        let admitted: Vec<Claim> = admitted.map(|(claim, _)| claim.clone()).collect();
        let renewed = self.shared.perform(move |desk| {
            admitted.iter().map(|claim| verb::renew(desk, claim)).collect::<Result<Vec<_>>>()
        });
        let mut renewed = renewed.await.map(Vec::into_iter);
        let answer = refused.into_iter().zip(claims).map(|(refused, claim)| {
            let answer = match (refused, &mut renewed) {
                (Some(error), _) => Err(error),
                (None, Ok(renewed)) => Ok(renewed.next().expect("one answer for each admitted claim")),
                // Nobody else can see a hold in a file that is gone: it is lost, and to say so stops the work sooner
                // than an error, which leaves hope until the deadline.
                (None, Err(_)) if self.has_moved() => Ok(Renewal::Gone(LostReason::Gone)),
                (None, Err(error)) => Err(refusal::again(error)),
            };
            self.told("renew", &claim.name, answer)
        });
        answer.collect()
    }

    fn has_moved(&self) -> bool {
        lock(&self.shared.connection)
            .as_ref()
            .is_some_and(|connection| has_moved(connection).unwrap_or(false))
    }

    async fn subscribe(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        if self.shared.is_closed() {
            return Err(refusal::closed());
        }
        self.shared.ensure_listener()?;
        let subscription = Subscription::new(self.shared.clone(), name.clone(), interest);
        if interest == Interest::Changes {
            let name = name.clone();
            self.shared.perform(move |desk| verb::watch(desk, &name, interest)).await?;
        }
        Ok(Box::new(subscription))
    }

    fn view<T>(&self, mut look: impl FnMut(&mut View<'_>) -> Result<T>) -> Result<T> {
        if self.shared.is_closed() {
            return Err(refusal::closed());
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let (seen, is_stale) = self.shared.read(|connection| {
                let mut view = self.view_of(connection);
                look(&mut view).map(|seen| (seen, view.is_stale))
            })?;
            // Rows whose session file somebody removed by hand stay as they are, however often they are looked at.
            if !is_stale || tries == VIEWS_MAX {
                return Ok(seen);
            }
        }
    }

    fn view_of<'v>(&'v self, connection: &'v Connection) -> View<'v> {
        View {
            connection,
            place: &self.shared.place,
            session: self.shared.session(),
            now: self.shared.env.now(),
            shared: &self.shared,
            looks: Vec::new(),
            is_stale: false,
        }
    }
}

impl Store for SqliteStore {
    fn capability(&self) -> &Capability {
        &CAPABILITY
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            if self.shared.is_closed() {
                return Err(refusal::closed().verb("vitals").store(&self.url));
            }
            Ok(ServerInfo {
                server: self.shared.place.database.to_string_lossy().into(),
                lineage: None,
                // What a restart of the machine may take from the end of the file is void anyway: see `boot`.
                remembers_for: Duration::MAX,
                wall_us: self.shared.env.wall_us(),
            })
        })
    }

    fn revalidation<'a>(&'a self, _seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    /// Runs on the calling thread in some tens of microseconds when nobody else is writing.
    ///
    /// # Cancel safety
    /// Dropped before it has begun, the claim is never made.
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.told("claim", &claim.name, self.claim_one(claim).await) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(claims.len());
            for some in claims.chunks(RENEWALS_MAX) {
                answers.extend(self.renew_some(some).await);
            }
            answers
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move {
            let mine = claim.clone();
            let released = self.shared.perform(move |desk| verb::release(desk, &mine)).await;
            self.told("release", &claim.name, released)
        })
    }

    /// The first watch of a store starts its listening thread.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](leasehold_core::ErrorKind) when the user has no inotify instance left.
    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.told("watch", name, self.subscribe(name, interest).await) })
    }

    /// Reads without waiting for writers. The token is the counter of the whole file: no lower than any token of this
    /// lock, and below every later one.
    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.told("inspect", name, self.view(|view| view.inspect(name))) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let listed = self.view(|view| view.list(prefix, limit));
            listed.map_err(|error| error.verb("list").store(&self.url))
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            let mine = name.clone();
            let evicted = self.shared.perform(move |desk| verb::force_release(desk, &mine)).await;
            self.told("force-release", name, evicted)
        })
    }

    /// Ends what is held by this client, removes its session file, ends its threads and closes its files.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) when a stopped process lets nobody write; what was held is
    /// free as soon as it goes on, because others see that the session has ended.
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if !self.shared.shut() {
                return Ok(());
            }
            let left = self.shared.end_session().await;
            let ended = self.shared.end().await;
            left.and(ended).map_err(|error| error.verb("close").store(&self.url))
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.shared.shut() {
            self.shared.end_session_later();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.url).finish()
    }
}
