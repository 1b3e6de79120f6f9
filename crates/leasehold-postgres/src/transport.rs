//! [`Transport`]: the connection for requests, made when it is needed. Each request is sent at most once, unless the server
//! has undone it.

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result, Revalidations,
    store_kit::{self, ClientState, Locked, Reconnect, Secrets, timed_out, tls_config},
};
use tokio::sync::oneshot;
use tokio_postgres::{
    Client, Connection, Row, Socket,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    dialect::Dialect,
    error::{Failure, explain, failure, innermost},
    libpq,
    named::Named,
    options::PostgresOptions,
    schema,
    sql::Sql,
    tls::{Encrypted, Tls},
};

pub(crate) type Argument<'a> = &'a (dyn ToSql + Sync);

/// The half of a connection that its task drives.
pub(crate) type Wire = Connection<Socket, Encrypted>;

/// A connection, whose other half a background task drives.
pub(crate) struct Link {
    pub(crate) client: Client,
    named: Locked<Option<Named>>,
    /// Its drop ends the task; `None` once that was done.
    stop: Locked<Option<oneshot::Sender<()>>>,
}

/// The connection for requests, and what is needed for others. All clients have one.
pub(crate) struct Transport {
    pub(crate) options: Arc<PostgresOptions>,
    pub(crate) env: Env,
    pub(crate) state: ClientState,
    live: Reconnect<Link>,
}

impl store_kit::Connection for Link {
    fn is_open(&self) -> bool {
        self.stop.lock().is_some() && !self.client.is_closed()
    }

    fn end(&self) {
        self.stop.lock().take();
    }
}

impl Link {
    pub(crate) async fn query(
        &self,
        sql: &Sql,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let named = self.named.lock().as_ref().and_then(|named| named.get(sql));
        if let Some(named) = named {
            match self.client.query(&named, arguments).await {
                Err(error) if failure(&error) == Failure::Nameless => drop(self.named.lock().take()),
                answer => return answer,
            }
        }
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
            let (client, wire) = match connect(&own).await {
                Ok(connection) => connection,
                Err(error) => return drop(answer.send(Err(error))),
            };
            let (stop, stopped) = oneshot::channel::<()>();
            // The caller may be gone: then the link is dropped, and the task ends.
            let _ = answer.send(Ok(Link { client, named: Locked::default(), stop: Locked::new(Some(stop)) }));
            tokio::select! {
                () = drive(wire) => {}
                _ = stopped => {}
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
        let trust = tls_config(&secrets).map_err(|source| {
            let text = source.to_string();
            access.explain(&text).unwrap_or_else(|| Error::new(ErrorKind::Invalid, text))
        })?;
        let tls = Tls { rustls: MakeRustlsConnect::new(trust), server_name: access.server_name.clone() };
        let mut config = options.config();
        let found = match secrets.password.is_empty() {
            true => libpq::password(options),
            false => Ok(Some(secrets.password)),
        };
        if let Ok(Some(password)) = &found {
            config.password(password.reveal());
        }
        config.connect(tls).await.map_err(|error| {
            let known = access.explain(&innermost(&error).to_string());
            // Nothing of a verb was sent.
            let error = known.unwrap_or_else(|| explain(&error)).not_applied();
            match found {
                Err(path) => error
                    .hint(format!("{0} is not used, for others can read it: chmod 600 {0}", path.display())),
                Ok(_) => error,
            }
        })
    };
    access.connect(attempt).await
}

impl Transport {
    /// Without a connection yet.
    pub(crate) fn new(options: PostgresOptions, env: Env) -> Result<Transport> {
        options.check()?;
        let state = ClientState::new(options.capability(), &options.url, Revalidations::default());
        let revalidations = match options.dialect {
            // Other connections have the locks: its end is no sign of lost holds.
            Dialect::Advisory => Revalidations::default(),
            Dialect::Native | Dialect::ShedLock(_) => state.revalidations.clone(),
        };
        let live = Reconnect::new(env.clone(), revalidations);
        Ok(Transport { options: Arc::new(options), state, live, env })
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
                let process = schema::ensure(&link.client).await.map_err(Error::not_applied)?;
                if !self.options.is_pooled {
                    *link.named.lock() = Named::prepare(&link.client, process).await;
                }
            }
            Ok(link)
        };
        let linked = self.env.until(until, Box::pin(self.live.get(connect))).await;
        linked.unwrap_or_else(|| Err(timed_out("connection", self.options.timeout)))
    }

    /// Ends the connection, and makes no other one; whether the client was open.
    pub(crate) fn close(&self) -> bool {
        let was_open = self.state.close();
        if was_open {
            self.live.close(&ClientState::closed_error());
        }
        was_open
    }
}
