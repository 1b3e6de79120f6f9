//! From a URL to the options of the Redis store.

use leasehold_core::{Error, ErrorKind, Result};
use leasehold_redis::{Dialect, Endpoint, Protocol, RedisOptions, Servers};

use super::{Address, Login, Place, Settings, StoreUrl};

/// # Errors
/// [`ErrorKind::Unsupported`] for a dialect that is not spoken.
pub(crate) fn options(url: &StoreUrl) -> Result<RedisOptions> {
    let (servers, login, tls, database) = servers(url)?;
    let settings = &url.settings;
    let mut options = RedisOptions::new(servers);
    options.user.clone_from(&login.user);
    options.password = login.password.reveal().to_string();
    options.database = database;
    options.tls = tls;
    options.ca.clone_from(&settings.ca);
    options.dialect = dialect(url)?;
    if settings.resp == Some(2) {
        options.protocol = Protocol::Resp2;
    }
    options.timeout = settings.timeout.unwrap_or(options.timeout);
    options.min_replicas = settings.min_replicas.unwrap_or(0);
    options.strict = settings.strict.unwrap_or(false);
    options.url = url.to_string();
    Ok(options)
}

/// The servers of `redlock://` as URLs of their own.
pub(crate) fn members(login: &Login, addresses: &[Address], settings: &Settings) -> Vec<StoreUrl> {
    let member = |address: &Address| StoreUrl {
        place: Place::Redis { tls: false, login: login.clone(), address: address.clone(), database: 0 },
        settings: Settings { dialect: settings.dialect.clone(), ..Settings::default() },
    };
    addresses.iter().map(member).collect()
}

fn servers(url: &StoreUrl) -> Result<(Servers, &Login, bool, u32)> {
    Ok(match &url.place {
        Place::Redis { tls, login, address, database } => {
            (Servers::Single(endpoint(address)), login, *tls, *database)
        }
        Place::RedisUnix { login, path } => (Servers::Single(Endpoint::Unix(path.clone())), login, false, 0),
        Place::RedisSentinel { tls, login, addresses, master, database } => {
            let sentinels = addresses.iter().map(endpoint).collect();
            (Servers::Sentinel { sentinels, master: master.clone() }, login, *tls, *database)
        }
        Place::RedisCluster { tls, login, addresses } => {
            (Servers::Cluster(addresses.iter().map(endpoint).collect()), login, *tls, 0)
        }
        _ => return Err(Error::new(ErrorKind::Invalid, format!("`{url}` is no Redis"))),
    })
}

fn endpoint(address: &Address) -> Endpoint {
    Endpoint::tcp(address.host.clone(), address.port)
}

fn dialect(url: &StoreUrl) -> Result<Dialect> {
    let template = url.settings.template.clone();
    match (url.settings.dialect.as_deref(), template) {
        (None | Some("native"), None) => Ok(Dialect::Native),
        (None | Some("native"), Some(_)) => {
            Err(Error::new(ErrorKind::Invalid, "`template` is for the plain dialect alone")
                .hint("add dialect=plain, or use prefix="))
        }
        (Some("plain"), template) => {
            Ok(Dialect::Plain { template: template.unwrap_or_else(|| "*".to_string()) })
        }
        (Some(other), _) => {
            Err(Error::new(ErrorKind::Unsupported, format!("the dialect `{other}` is not spoken"))
                .hint("there are `native` and `plain`"))
        }
    }
}
