//! [`Sessions`]: the sessions of a client, each with one advisory lock at most.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use leasehold_core::{
    Env, Error, ErrorKind, Result, Revalidations,
    store_kit::{ClientState, Connection as _, Locked, timed_out},
};
use tokio_postgres::Row;

use crate::{
    error::{Failure, column, explain, failure},
    options::PostgresOptions,
    sql::{ADVISORY_RELEASE, ADVISORY_SESSION, Sql},
    transport::{Argument, Link},
};

/// The sessions without a lock that are kept for the next claim. The server ends them when they are not used.
const SPARE_MAX: usize = 8;

/// A session of its own on the server.
pub(super) struct Session {
    link: Link,
    process: i32,
    /// Whether its end is the loss of a lock.
    pub(super) holds: Arc<AtomicBool>,
}

/// Makes sessions, and keeps those that are not in use.
pub(super) struct Sessions {
    pub(super) options: Arc<PostgresOptions>,
    pub(super) env: Env,
    revalidations: Revalidations,
    /// `None` once the client is closed.
    spare: Locked<Option<Vec<Arc<Session>>>>,
}

/// Why a statement of a session has no answer.
pub(super) enum Broken {
    /// The session has ended, and with it its lock.
    Ended(Error),
    /// It may go on.
    Error(Error),
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Error {
        match broken {
            Broken::Ended(error) | Broken::Error(error) => error,
        }
    }
}

impl Session {
    pub(super) fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Ends it: the server frees what it has when it reads the end of the connection.
    pub(super) fn end(&self) {
        self.holds.store(false, Ordering::Release);
        self.link.end();
    }

    pub(super) fn process(&self) -> i32 {
        self.process
    }
}

impl Sessions {
    pub(super) fn new(options: PostgresOptions, env: Env, revalidations: Revalidations) -> Sessions {
        Sessions { options: Arc::new(options), env, revalidations, spare: Locked::new(Some(Vec::new())) }
    }

    /// A session without a lock: a spare one, or a new one.
    pub(super) async fn take(&self) -> Result<Arc<Session>> {
        loop {
            let spare = match &mut *self.spare.lock() {
                Some(spare) => spare.pop(),
                None => return Err(ClientState::closed_error()),
            };
            match spare {
                Some(session) if session.is_open() => return Ok(session),
                Some(_) => {}
                None => return self.open().await,
            }
        }
    }

    /// Keeps a session that has no lock for the next claim.
    pub(super) fn give_back(&self, session: Arc<Session>) {
        session.holds.store(false, Ordering::Release);
        match &mut *self.spare.lock() {
            Some(spare) if spare.len() < SPARE_MAX && session.is_open() => spare.push(session),
            _ => session.end(),
        }
    }

    async fn open(&self) -> Result<Arc<Session>> {
        let limit = self.options.timeout;
        let holds = Arc::new(AtomicBool::new(false));
        let (is_held, revalidations) = (holds.clone(), self.revalidations.clone());
        let opened = Box::pin(async {
            let link = Link::open(&self.options, &self.env, |wire| async move {
                // The reason does not matter: what the session had is free.
                let _ = wire.await;
                if is_held.load(Ordering::Acquire) {
                    revalidations.raise();
                }
            });
            let link = link.await?;
            let rows =
                link.query(&ADVISORY_SESSION, &[]).await.map_err(|error| explain(&error).not_applied())?;
            if !column::<bool>(&rows[0], 1)? {
                return Err(Error::new(ErrorKind::Unsupported, "this server cannot end idle sessions")
                    .hint("dialect=advisory needs PostgreSQL 14 or later"));
            }
            Ok(Arc::new(Session { process: column(&rows[0], 0)?, link, holds }))
        });
        let opened = self.env.within(limit, opened).await;
        opened.unwrap_or_else(|| Err(timed_out("connection", limit)))
    }

    /// The rows that a statement of a session answers. `process` is the column with its server process.
    pub(super) async fn query(
        &self,
        session: &Session,
        sql: &Sql,
        arguments: &[Argument<'_>],
        process: Option<usize>,
    ) -> Result<Vec<Row>, Broken> {
        let limit = self.options.timeout;
        let rows = match self.env.within(limit, session.link.query(sql, arguments)).await {
            Some(Ok(rows)) => rows,
            Some(Err(error)) if failure(&error) == Failure::Lost => {
                session.end();
                return Err(Broken::Ended(explain(&error)));
            }
            Some(Err(error)) => return Err(Broken::Error(explain(&error))),
            None => return Err(Broken::Error(timed_out("answer", limit).unknown())),
        };
        let serving = process.map(|at| column::<i32>(&rows[0], at)).transpose().map_err(Broken::Error)?;
        if serving.is_some_and(|serving| serving != session.process) {
            session.end();
            return Err(Broken::Ended(behind_a_pooler()));
        }
        Ok(rows)
    }

    /// Gives up what a session has.
    pub(super) async fn unlock(&self, session: &Session) -> Result<(), Broken> {
        self.query(session, &ADVISORY_RELEASE, &[], None).await.map(drop)
    }

    /// Ends the spare ones, and keeps none from now on.
    pub(super) fn close(&self) {
        let spare = self.spare.lock().take();
        spare.into_iter().flatten().for_each(|session| session.end());
    }
}

/// A lock of a session is nobody's when another client has the session next.
pub(super) fn behind_a_pooler() -> Error {
    let message =
        "a pooler in transaction mode is before the server: sessions are shared, and their locks with them";
    Error::new(ErrorKind::Unsafe, message)
        .hint("name the server itself or a pooler in session mode, or leave dialect=advisory out")
}
