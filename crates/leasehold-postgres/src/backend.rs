//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Finding, Result, Store,
    backend::Backend,
    store_kit::Explain,
    url::{Form, Hosts, Key, ParsedUrl, Scheme, Value},
};
use tokio_postgres::config::TargetSessionAttrs;

use crate::{
    PostgresOptions, PostgresStore,
    dialect::{Dialect, advisory::AdvisoryStore, shedlock::ShedLockStore},
    libpq::{self, Environment, PORT},
};

const KEYS: &[Key] = &[
    Key { name: "sslmode", value: Value::Choice(&["disable", "require", "verify-full"]) },
    Key { name: "ca", value: Value::Path },
    Key { name: "cert", value: Value::Path },
    Key { name: "key", value: Value::Path },
    Key { name: "server_name", value: Value::Text },
    Key { name: "host", value: Value::Path },
    Key { name: "port", value: Value::Number },
    Key { name: "pooler", value: Value::Choice(&["transaction"]) },
    Key { name: "target_session_attrs", value: Value::Choice(&["read-write", "primary", "any"]) },
    Key { name: "passfile", value: Value::Path },
    Key { name: "dialect", value: Value::Word },
    Key { name: "table", value: Value::Text },
    Key { name: "columns", value: Value::Text },
];

/// `postgres://user@h1,h2/database`, and `postgres:///database?host=/directory/of/the/socket`. What the URL leaves out is
/// that of libpq's environment and files.
pub static BACKEND: Backend = Backend {
    schemes: &[Scheme {
        aliases: &["postgresql"],
        port: PORT,
        keys: KEYS,
        ..Scheme::new("postgres", Form::Hosts { hosts: Hosts::Any, login: true, path: true })
    }],
    examples: &[
        "postgres://host/app",
        "postgres://pooler/app?pooler=transaction",
        "postgres://host/app?dialect=advisory",
        "postgres://host/app?dialect=shedlock",
    ],
    check: Some(check),
    capability: |url| Ok(libpq::options(url, &Environment(&|_| None))?.capability()),
    open: |url, member, env| Box::pin(open(url, member.is_some(), env)),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: Some(|url, _, env| Box::pin(promote(url, env))),
};

async fn open(url: &ParsedUrl, is_member: bool, env: &Env) -> Result<Arc<dyn Store>> {
    let options = own_options(url, is_member)?;
    let store: Arc<dyn Store> = match options.dialect.clone() {
        Dialect::Native if is_member => return Ok(Arc::new(PostgresStore::new(options, env.clone())?)),
        Dialect::Native => return Ok(Arc::new(PostgresStore::open(options, env.clone()).await?)),
        _ if is_member => {
            return Err(Error::new(ErrorKind::Invalid, "a member of a quorum speaks the native dialect")
                .hint("leave `dialect` out"));
        }
        Dialect::Advisory => {
            let store = AdvisoryStore::new(options, env.clone())?;
            store.check_sessions().await.explain_store("connect", &url.to_string())?;
            Arc::new(store)
        }
        Dialect::ShedLock(table) => Arc::new(ShedLockStore::new(options, table, env.clone())?),
    };
    store.server_info().await?;
    Ok(store)
}

async fn promote(url: &ParsedUrl, env: &Env) -> Result<bool> {
    let promoted = PostgresStore::new(own_options(url, true)?, env.clone())?.promote().await;
    promoted.explain_store("promote", &url.to_string()).map(|()| true)
}

async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let mut options = own_options(url, false)?;
    options.config.target_session_attrs(TargetSessionAttrs::Any);
    match options.dialect.clone() {
        Dialect::Native => PostgresStore::new(options, env.clone())?.diagnose().await,
        Dialect::Advisory => AdvisoryStore::new(options, env.clone())?.diagnose().await,
        Dialect::ShedLock(table) => ShedLockStore::new(options, table, env.clone())?.diagnose().await,
    }
}

/// The database is one name.
fn check(url: &mut ParsedUrl) -> Result<()> {
    let database = url.text()?;
    if database.trim_start_matches('/').contains('/') {
        return Err(Error::new(ErrorKind::Invalid, "the path of a postgres URL is the name of one database")
            .hint("for example postgres://host/app"));
    }
    if !url.addresses.is_empty() && url.options.get("host").is_some() {
        return Err(Error::new(ErrorKind::Invalid, "a host before the path, and one in the key `host`")
            .hint("`host` is for the directory of a Unix socket: postgres:///app?host=/var/run/postgresql"));
    }
    Ok(())
}

/// The options that a URL sets, and this process's environment for what it leaves out.
fn own_options(url: &ParsedUrl, is_member: bool) -> Result<PostgresOptions> {
    let options = libpq::options(url, &Environment(&|name| std::env::var(name).ok()))?;
    Ok(PostgresOptions { is_member, ..options })
}
