//! [`Transport`]: the connection for requests, made when it is needed. Each request is sent at most once, unless the server
//! has undone it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result, Revalidations,
    store_kit::{self, ClientState, Locked, Reconnect, Secrets, timed_out},
};
use tokio::sync::oneshot;
use tokio_postgres::{
    Client, Connection, Row, Socket,
    types::{ToSql, Type},
};

use crate::{
    dialect::Dialect,
    error::{Failure, explain, failure, innermost},
    libpq::{self, Found},
    options::PostgresOptions,
    schema,
    sql::Sql,
    tls::{Encrypted, Tls},
};

/// An argument of a statement.
pub(crate) type Argument<'a> = &'a (dyn ToSql + Sync);

/// The half of a connection that its task drives.
pub(crate) type Wire = Connection<Socket, Encrypted<Socket>>;

/// A connection, whose other half a background task drives.
pub(crate) struct Link {
    pub(crate) client: Client,
    ended: AtomicBool,
    /// Its drop ends the task.
    stop: Locked<Option<oneshot::Sender<()>>>,
}

/// The connection for requests, and what is needed for others.
pub(crate) struct Transport {
    pub(crate) options: Arc<PostgresOptions>,
    pub(crate) env: Env,
    live: Reconnect<Link>,
}

impl store_kit::Connection for Link {
    fn is_open(&self) -> bool {
        !self.ended.load(Ordering::Acquire) && !self.client.is_closed()
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.stop.lock().take();
    }
}

impl Link {
    /// Sends a statement, and answers its rows.
    pub(crate) async fn query(
        &self,
        sql: &Sql,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let typed: Vec<(Argument<'_>, Type)> =
            arguments.iter().copied().zip(sql.types.iter().cloned()).collect();
        self.client.query_typed(&sql.text, &typed).await
    }

    /// Connects on the background thread. `drive` is run there with the other half.
    pub(crate) async fn open<F>(
        options: &Arc<PostgresOptions>,
        env: &Env,
        drive: impl FnOnce(Wire) -> F + Send + 'static,
    ) -> Result<Link>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (answer, connected) = oneshot::channel();
        let own = options.clone();
        env.spawn(async move {
            let wire = match connect(&own).await {
                Ok((client, wire)) => {
                    let (stop, stopped) = oneshot::channel::<()>();
                    let stop = Locked::new(Some(stop));
                    // The caller may be gone: then the link is dropped, and the task ends.
                    let _ = answer.send(Ok(Link { client, ended: AtomicBool::new(false), stop }));
                    (wire, stopped)
                }
                Err(error) => return drop(answer.send(Err(error))),
            };
            tokio::select! {
                () = drive(wire.0) => {}
                _ = wire.1 => {}
            }
        });
        let gone = |_| Err(Error::new(ErrorKind::Unreachable, "the background thread cannot connect"));
        connected.await.unwrap_or_else(gone)
    }
}

/// Connects with what the files of the login contain now.
async fn connect(options: &PostgresOptions) -> Result<(Client, Wire)> {
    let access = &options.access;
    let attempt = |secrets: Secrets| async move {
        let unusable = |source: std::io::Error| {
            access
                .explain(&source.to_string())
                .unwrap_or_else(|| Error::new(ErrorKind::Invalid, source.to_string()))
        };
        let tls = Tls::new(&secrets, access.server_name.clone()).map_err(unusable)?;
        let mut config = options.config();
        let mut unused = None;
        if secrets.password.is_empty() {
            match libpq::password(options) {
                Found::Password(password) => drop(config.password(password.reveal())),
                Found::Open(path) => unused = Some(path),
                Found::Nothing => {}
            }
        } else {
            config.password(secrets.password.reveal());
        }
        config.connect(tls).await.map_err(|error| {
            let known = access.explain(&innermost(&error).to_string());
            // Nothing of a verb was sent.
            let error = known.unwrap_or_else(|| connecting(&error)).not_applied();
            match unused {
                Some(path) => error
                    .hint(format!("{0} is not used, for others can read it: chmod 600 {0}", path.display())),
                None => error,
            }
        })
    };
    access.connect(attempt).await
}

/// The error of an attempt to connect. What the library says without a cause is about the servers, such as that none takes
/// writes.
fn connecting(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(_) => explain(error),
        None => Error::new(ErrorKind::Unreachable, innermost(error).to_string())
            .hint("is the server running, is the address right, and does it take writes?"),
    }
}

impl Transport {
    pub(crate) fn new(options: PostgresOptions, env: Env, revalidations: Revalidations) -> Transport {
        Transport { options: Arc::new(options), live: Reconnect::new(env.clone(), revalidations), env }
    }

    /// The rows that a statement answers, within the time limit.
    ///
    /// # Errors
    /// Not applied until it is sent, and when the server has refused or undone it; otherwise unknown.
    pub(crate) async fn query(&self, sql: &Sql, arguments: &[Argument<'_>]) -> Result<Vec<Row>> {
        let begin = self.env.now();
        let until = begin + self.options.timeout;
        loop {
            let link = self.link(until).await?;
            let error = match self.env.until(until, link.query(sql, arguments)).await {
                Some(Ok(rows)) => return Ok(rows),
                Some(Err(error)) => {
                    let failure = failure(&error);
                    if failure == Failure::Again && self.env.now() < until {
                        continue;
                    }
                    if matches!(failure, Failure::Elsewhere | Failure::Lost) {
                        self.live.forget(&link);
                    }
                    explain(&error)
                }
                None => {
                    self.live.forget(&link);
                    timed_out("answer", self.options.timeout).unknown()
                }
            };
            return Err(error.elapsed(self.env.now().since(begin)));
        }
    }

    async fn link(&self, until: Moment) -> Result<Arc<Link>> {
        let connect = || async {
            let link = Link::open(&self.options, &self.env, |wire| async {
                if let Err(error) = wire.await {
                    tracing::debug!(store = "postgres", %error, "a connection has ended");
                }
            });
            let link = link.await?;
            if self.options.dialect == Dialect::Native {
                schema::ensure(&link.client).await.map_err(Error::not_applied)?;
            }
            Ok(link)
        };
        let linked = self.env.until(until, Box::pin(self.live.get(connect))).await;
        linked.unwrap_or_else(|| Err(timed_out("connection", self.options.timeout)))
    }

    /// Ends the connection, and makes no other one.
    pub(crate) fn close(&self) {
        self.live.close(&ClientState::closed_error());
    }
}
