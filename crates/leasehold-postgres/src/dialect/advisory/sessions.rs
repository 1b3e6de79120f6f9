//! [`Sessions`]: the sessions of a client, each with one advisory lock at most.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use leasehold_core::{
    Error, ErrorKind, Result,
    store_kit::{ClientState, Connection as _, Locked, in_time},
};
use tokio_postgres::Row;

use crate::{
    error::{Failure, column, explain, failure},
    sql::{ADVISORY_RELEASE, ADVISORY_SESSION, Sql},
    transport::{Argument, Link, Transport},
};

/// The sessions without a lock that are kept for the next claim. The server ends them when they are not used.
const SPARE_MAX: usize = 8;

/// A session of its own on the server.
pub(super) struct Session {
    link: Link,
    pub(super) process: i32,
    /// Whether its end is the loss of a lock.
    pub(super) holds: Arc<AtomicBool>,
}

pub(super) struct Sessions {
    transport: Arc<Transport>,
    /// `None` once the client is closed.
    spare: Locked<Option<Vec<Arc<Session>>>>,
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
}

impl Sessions {
    pub(super) fn new(transport: Arc<Transport>) -> Sessions {
        Sessions { transport, spare: Locked::new(Some(Vec::new())) }
    }

    /// A session without a lock: a spare one, or a new one.
    pub(super) async fn take(&self) -> Result<Arc<Session>> {
        let spare = match &mut *self.spare.lock() {
            Some(spare) => std::iter::from_fn(|| spare.pop()).find(|session| session.is_open()),
            None => return Err(ClientState::closed_error()),
        };
        match spare {
            Some(session) => Ok(session),
            None => self.open().await,
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
        let Transport { options, env, state, .. } = &*self.transport;
        let holds = Arc::new(AtomicBool::new(false));
        let (is_held, revalidations) = (holds.clone(), state.revalidations.clone());
        let opened = Box::pin(async {
            let link = Link::open(options, env, |wire| async move {
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
        in_time(env, options.timeout, "connection", opened).await?
    }

    /// The rows that a statement of a session answers, whose first column is the server process. A session that is not open
    /// after an error has ended, and with it its lock.
    pub(super) async fn query(
        &self,
        session: &Session,
        sql: &Sql,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>> {
        let Transport { options, env, .. } = &*self.transport;
        let answer = in_time(env, options.timeout, "answer", session.link.query(sql, arguments));
        let rows = answer.await.map_err(Error::unknown)?.map_err(|error| {
            if failure(&error) == Failure::Lost {
                session.end();
            }
            explain(&error)
        })?;
        if column::<i32>(&rows[0], 0)? != session.process {
            session.end();
            return Err(behind_a_pooler());
        }
        Ok(rows)
    }

    /// Gives up what a session has.
    pub(super) async fn unlock(&self, session: &Session) -> Result<()> {
        self.query(session, &ADVISORY_RELEASE, &[]).await.map(drop)
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
