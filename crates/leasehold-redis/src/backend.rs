//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Finding, Result, Store,
    backend::{Backend, QuorumMembership},
    store_kit::Access,
    url::{
        Form, Hosts, Key, ParsedUrl, Scheme, Value,
        percent::{decode, encode},
    },
};

use crate::{Dialect, Endpoint, Protocol, RedisOptions, RedisStore, Servers};

/// All keys: the first for TLS alone, those from [`OF_SENTINELS`] on for Sentinels alone.
const KEYS: &[Key] = &[
    Key { name: "server_name", value: Value::Text },
    Key { name: "dialect", value: Value::Word },
    Key { name: "min_replicas", value: Value::Number },
    Key { name: "strict", value: Value::Flag },
    Key { name: "resp", value: Value::Choice(&["2", "3"]) },
    Key { name: "template", value: Value::Template },
    Key { name: "sentinel_user", value: Value::Text },
    Key { name: "sentinel_password", value: Value::Secret },
    Key { name: "sentinel_password_file", value: Value::Path },
    Key { name: "sentinel_tls", value: Value::Flag },
    Key { name: "sentinel_ca", value: Value::Path },
    Key { name: "sentinel_cert", value: Value::Path },
    Key { name: "sentinel_key", value: Value::Path },
    Key { name: "sentinel_server_name", value: Value::Text },
];
const OF_SENTINELS: usize = 6;

const fn keys(tls: bool, sentinel: bool) -> &'static [Key] {
    let keys = if sentinel { KEYS } else { KEYS.split_at(OF_SENTINELS).0 };
    if tls { keys } else { keys.split_at(1).1 }
}

const fn hosts(name: &'static str, tls: bool, hosts: Hosts, path: bool) -> Scheme {
    let sentinel = path && matches!(hosts, Hosts::Many);
    let port = if sentinel { 26379 } else { 6379 };
    let keys = keys(tls, sentinel);
    Scheme { port, tls, keys, ..Scheme::new(name, Form::Hosts { hosts, login: true, path }) }
}

/// `redis://`, `redis+unix://`, `redis+sentinel://` and `redis+cluster://`.
pub static BACKEND: Backend = Backend {
    schemes: &[
        Scheme { aliases: &["valkey"], ..hosts("redis", false, Hosts::One, true) },
        Scheme { aliases: &["valkeys"], ..hosts("rediss", true, Hosts::One, true) },
        Scheme {
            aliases: &["valkey+unix"],
            keys: keys(false, false),
            ..Scheme::new("redis+unix", Form::Socket)
        },
        hosts("redis+sentinel", false, Hosts::Many, true),
        hosts("rediss+sentinel", true, Hosts::Many, true),
        hosts("redis+cluster", false, Hosts::Many, false),
        hosts("rediss+cluster", true, Hosts::Many, false),
    ],
    examples: &[
        "redis://host",
        "redis://host?dialect=plain",
        "redis://host?dialect=redisson",
        "redis://host?dialect=spring&template=locks:*",
        "redis+sentinel://h1,h2,h3/master",
        "redis+cluster://h1,h2,h3",
    ],
    check: Some(check),
    capability: |url| options(url).map(|options| options.capability()),
    open: |url, membership, env| Box::pin(open(url, membership, env)),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: Some(|url, membership, env| Box::pin(promote(url, membership, env))),
};

fn check(url: &mut ParsedUrl) -> Result<()> {
    if url.scheme.form == Form::Socket {
        return Ok(());
    }
    let (master, database) = place(url)?;
    url.path = master.map(|name| format!("/{}", encode(&name))).unwrap_or_default();
    if database != 0 {
        url.path += &format!("/{database}");
    }
    Ok(())
}

/// A Cluster is opened as if it were no member.
async fn open(url: &ParsedUrl, membership: Option<QuorumMembership>, env: &Env) -> Result<Arc<dyn Store>> {
    let mut options = options(url)?;
    options.membership = membership.filter(|_| !matches!(options.servers, Servers::Cluster(_)));
    Ok(match options.membership {
        Some(_) => Arc::new(RedisStore::new(options, env.clone())?),
        None => Arc::new(RedisStore::open(options, env.clone()).await?),
    })
}

async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let store = RedisStore::new(options(url)?, env.clone())?;
    let findings = store.diagnose().await;
    // It holds nothing; the tasks that watch its servers end.
    let _ = store.close().await;
    findings
}

async fn promote(url: &ParsedUrl, membership: QuorumMembership, env: &Env) -> Result<bool> {
    let mut options = options(url)?;
    if matches!(options.servers, Servers::Cluster(_)) {
        return Ok(false);
    }
    options.membership = Some(membership);
    let store = RedisStore::new(options, env.clone())?;
    let promoted = store.promote().await;
    // It holds nothing; the tasks that watch its servers end.
    let _ = store.close().await;
    promoted.map(|()| true)
}

/// The options that a URL sets.
fn options(url: &ParsedUrl) -> Result<RedisOptions> {
    let (settings, (_, database)) = (&url.options, place(url)?);
    let mut options = RedisOptions::new(servers(url)?);
    options.access = Access::of(url);
    if matches!(options.servers, Servers::Sentinel { .. }) {
        options.sentinel_access = Some(sentinel_access(url, &options.access));
    }
    options.database = database;
    options.dialect = dialect(url)?;
    if settings.number("resp") == Some(2) {
        options.protocol = Protocol::Resp2;
    }
    options.timeout = settings.timeout().unwrap_or(options.timeout);
    options.min_replicas = settings.number("min_replicas").unwrap_or(0);
    options.strict = settings.flag("strict");
    options.url = url.to_string();
    Ok(options)
}

/// Those of the Sentinels: the files for TLS are the master's, unless they have their own.
fn sentinel_access(url: &ParsedUrl, master: &Access) -> Access {
    let mut access = Access::of_keys(url, "sentinel_");
    access.tls |= master.tls && url.options.get("sentinel_tls").is_none();
    if access.tls {
        access.ca = access.ca.or_else(|| master.ca.clone());
        if access.cert.is_none() && access.key.is_none() {
            (access.cert, access.key) = (master.cert.clone(), master.key.clone());
        }
    }
    access
}

fn servers(url: &ParsedUrl) -> Result<Servers> {
    let mut endpoints: Vec<_> = url.addresses.iter().cloned().map(Endpoint::Tcp).collect();
    Ok(match (url.scheme.form, place(url)?.0) {
        (Form::Socket, _) => Servers::Single(Endpoint::Unix(url.file()?)),
        (_, Some(master)) => Servers::Sentinel { sentinels: endpoints, master },
        (Form::Hosts { hosts: Hosts::One, .. }, None) => Servers::Single(endpoints.remove(0)),
        _ => Servers::Cluster(endpoints),
    })
}

/// The master's name, for Sentinel, and the number of the database.
fn place(url: &ParsedUrl) -> Result<(Option<String>, u32)> {
    let path = url.path.trim_start_matches('/');
    match url.scheme.form {
        Form::Hosts { hosts: Hosts::One, .. } => Ok((None, database(path)?)),
        Form::Hosts { path: true, .. } => {
            let (master, number) = path.split_once('/').unwrap_or((path, ""));
            if master.is_empty() {
                return Err(Error::new(ErrorKind::Invalid, "the URL does not name the master")
                    .hint("for example redis+sentinel://h1,h2,h3/mymaster"));
            }
            Ok((Some(decode(master, "the name of the master")?), database(number)?))
        }
        _ => Ok((None, 0)),
    }
}

fn database(text: &str) -> Result<u32> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let message = format!("`/{}` is not the number of a database", text.escape_debug());
        Error::new(ErrorKind::Invalid, message).hint("for example redis://host/0")
    })
}

fn dialect(url: &ParsedUrl) -> Result<Dialect> {
    match (url.options.dialect(), url.options.get("template")) {
        (None | Some("native"), None) => Ok(Dialect::Native),
        (None | Some("native"), Some(_)) => {
            Err(Error::new(ErrorKind::Invalid, "the native dialect has no `template`")
                .hint("add dialect=plain or dialect=spring, or use prefix="))
        }
        (Some("plain"), template) => Ok(Dialect::Plain { template: template.unwrap_or("*").to_string() }),
        (Some("spring"), template) => match template.and_then(|template| template.strip_suffix(":*")) {
            Some(registry) => Ok(Dialect::Spring { registry: registry.to_string() }),
            None => {
                Err(Error::new(ErrorKind::Invalid, "the keys of Spring begin with the key of its registry")
                    .hint("if that is `locks`: dialect=spring&template=locks:*"))
            }
        },
        (Some("redisson"), None) => Ok(Dialect::Redisson),
        (Some("redisson"), Some(_)) => {
            Err(Error::new(ErrorKind::Invalid, "the dialect of Redisson has no `template`")
                .hint("a lock of Redisson has its name for a key: use prefix="))
        }
        (Some(other), _) => {
            Err(ParsedUrl::unsupported_dialect(other, "there are `native`, `plain`, `redisson` and `spring`"))
        }
    }
}
