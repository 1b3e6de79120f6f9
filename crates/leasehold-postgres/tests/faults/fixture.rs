//! Stores on a server of the testkit.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Env, Hold, LockName, Mode,
    engine::{Engine, LockOptions, Wait},
    url::Address,
};
use leasehold_postgres::{PostgresOptions, PostgresStore};
use leasehold_testkit::postgres::Server;

pub(crate) fn env() -> Env {
    Env::system().expect("this machine can start a thread")
}

/// A runtime for the calls of a test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub(crate) fn options(port: u16) -> PostgresOptions {
    let mut options = PostgresOptions::new(vec![Address::new("127.0.0.1", port)]);
    (options.access.user, options.access.password) = ("locks".into(), "pw".into());
    options.config.dbname("postgres");
    // What a busy machine may take; what is about time says so itself.
    options.timeout = Duration::from_secs(5);
    options
}

pub(crate) fn store(server: &Server) -> PostgresStore {
    PostgresStore::new(options(server.port()), env()).unwrap()
}

/// A connection of the superuser.
pub(crate) async fn admin(server: &Server) -> tokio_postgres::Client {
    let place = server.directory().display();
    let login = format!("host={place} port={} user=postgres dbname=postgres", server.port());
    let (client, connection) = tokio_postgres::connect(&login, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The longest that something may take which is awaited.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn engine(options: PostgresOptions) -> Engine {
    Engine::new(Arc::new(PostgresStore::new(options, env()).unwrap()), env())
}

pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

pub(crate) fn ttl(seconds: u64) -> LockOptions {
    LockOptions { ttl: Duration::from_secs(seconds), retry_timeout: SOON, ..LockOptions::default() }
}

pub(crate) async fn lock(engine: &Engine, text: &str, terms: &LockOptions) -> Hold {
    let hold = engine.acquire(&name(text), Mode::Exclusive, terms, Wait::For(SOON), None).await;
    hold.expect("no error").expect("in time")
}

pub(crate) async fn try_lock(engine: &Engine, text: &str) -> Option<Hold> {
    engine.acquire(&name(text), Mode::Exclusive, &ttl(30), Wait::No, None).await.unwrap()
}

/// A lock as it is written on the first day: an advisory lock of a session.
pub(crate) async fn advisory_lock(session: &tokio_postgres::Client) -> bool {
    session.query_one("SELECT pg_try_advisory_lock(7)", &[]).await.unwrap().get(0)
}
