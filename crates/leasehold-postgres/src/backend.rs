//! [`BACKEND`]: the store by its URL.

use std::{path::PathBuf, sync::Arc};

use leasehold_core::{
    Env, Error, ErrorKind, Finding, Result, Store,
    backend::Backend,
    store_kit::Access,
    url::{Address, Form, Hosts, Key, ParsedUrl, Scheme, Value},
};

use crate::{PostgresOptions, PostgresStore};

const PORT: u16 = 5432;
/// Where Debian's server has its socket, and libpq looks for it.
const SOCKET: &str = "/var/run/postgresql";

const KEYS: &[Key] = &[
    Key { name: "sslmode", value: Value::Choice(&["disable", "require", "verify-full"]) },
    Key { name: "ca", value: Value::Path },
    Key { name: "cert", value: Value::Path },
    Key { name: "key", value: Value::Path },
    Key { name: "server_name", value: Value::Text },
    Key { name: "host", value: Value::Path },
    Key { name: "port", value: Value::Number },
    Key { name: "pooler", value: Value::Choice(&["transaction"]) },
    Key { name: "target_session_attrs", value: Value::Choice(&["read-write", "any"]) },
];

/// `postgres://user@h1,h2/database`, and `postgres:///database?host=/directory/of/the/socket`. What the URL leaves out is
/// that of libpq's environment: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`.
pub static BACKEND: Backend = Backend {
    schemes: &[Scheme {
        aliases: &["postgresql"],
        port: PORT,
        keys: KEYS,
        ..Scheme::new("postgres", Form::Hosts { hosts: Hosts::Any, login: true, path: true })
    }],
    examples: &["postgres://host/app", "postgres://pooler/app?pooler=transaction"],
    check: Some(check),
    capability: |url| Ok(options(url, |_| None)?.capability()),
    open: |url, member, env| Box::pin(open(url, member.is_some(), env)),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: None,
};

async fn open(url: &ParsedUrl, is_member: bool, env: &Env) -> Result<Arc<dyn Store>> {
    let options = options(url, |name| std::env::var(name).ok())?;
    Ok(match is_member {
        true => Arc::new(PostgresStore::new(options, env.clone())?),
        false => Arc::new(PostgresStore::open(options, env.clone()).await?),
    })
}

async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let mut options = options(url, |name| std::env::var(name).ok())?;
    options.any_server = true;
    let store = PostgresStore::new(options, env.clone())?;
    let findings = store.diagnose().await;
    // It holds nothing.
    let _ = store.close().await;
    findings
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
            .hint(
                "the key is for the directory of a Unix socket: postgres:///app?host=/var/run/postgresql",
            ));
    }
    Ok(())
}

/// The options that a URL sets, and the environment for what it leaves out.
fn options(url: &ParsedUrl, environment: impl Fn(&str) -> Option<String>) -> Result<PostgresOptions> {
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let port = url.options.get("port").map(String::from).or_else(|| environment("PGPORT"));
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(PORT);
    let mut options = PostgresOptions::new(url.addresses.clone());
    if url.addresses.is_empty() {
        let place = url.options.get("host").map(String::from).or_else(|| environment("PGHOST"));
        let place = place.unwrap_or_else(|| SOCKET.to_string());
        match place.starts_with('/') {
            true => options.socket = Some((PathBuf::from(place), port)),
            false => options.hosts = place.split(',').map(|host| Address::new(host, port)).collect(),
        }
    }
    let mode = url.options.get("sslmode").map(String::from).or_else(|| environment("PGSSLMODE"));
    options.access = Access {
        tls: matches!(mode.as_deref(), Some("require" | "verify-ca" | "verify-full")),
        ..Access::of(url)
    };
    let access = &mut options.access;
    if access.user.is_empty() {
        access.user = environment("PGUSER").or_else(|| environment("USER")).unwrap_or_default();
    }
    if access.password.is_empty() && access.password_file.is_none() {
        access.password = environment("PGPASSWORD").unwrap_or_default().into();
    }
    let path = url.text()?;
    options.database = match path.trim_start_matches('/') {
        "" => environment("PGDATABASE").unwrap_or_default(),
        name => name.to_string(),
    };
    options.any_server = url.options.get("target_session_attrs") == Some("any");
    options.is_pooled = url.options.get("pooler").is_some();
    options.timeout = url.options.timeout().unwrap_or(options.timeout);
    options.url = url.to_string();
    Ok(options)
}
