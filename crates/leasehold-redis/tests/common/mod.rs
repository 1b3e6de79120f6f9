//! What the tests share: a store on a server of the kit.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::PathBuf;

use leasehold_core::{Env, Error, ErrorKind, Result};
use leasehold_redis::{Dialect, Endpoint, Protocol, RedisOptions, RedisStore, Servers};

/// The least rights that a user of a single server needs: those that WIRE.md lists.
pub(crate) const LEAST_RIGHTS: &str = "locks on >pw resetkeys ~* resetchannels &leasehold:* -@all +evalsha +script|load +get +set +del \
    +exists +type +pttl +pexpire +pexpireat +hget +hset +hmget +hgetall +hdel +hlen +hscan +zadd +zrem +zcard +zrank \
    +zrange +zrangebyscore +time +publish +subscribe +unsubscribe +client|tracking +scan +info";

pub(crate) fn env() -> Env {
    Env::system().expect("this machine can start a thread")
}

/// Options of one word each: `single=PORT`, `socket=PATH`, `sentinel=PORT,PORT`, `cluster=PORT,PORT`, `plain`, `resp2`,
/// `tls=CA`, `acl`, `replicas=COUNT`.
pub(crate) fn options(words: &str) -> Result<RedisOptions> {
    let mut options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", 1)));
    for word in words.split(' ') {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "single" => options.servers = Servers::Single(local(value)?),
            "socket" => options.servers = Servers::Single(Endpoint::Unix(value.into())),
            "sentinel" => {
                options.servers = Servers::Sentinel { sentinels: all(value)?, master: "main".into() }
            }
            "cluster" => options.servers = Servers::Cluster(all(value)?),
            "plain" => options.dialect = Dialect::Plain { template: "plain:*".into() },
            "resp2" => options.protocol = Protocol::Resp2,
            "tls" => (options.tls, options.ca) = (true, Some(PathBuf::from(value))),
            "acl" => (options.user, options.password) = ("locks".into(), "pw".into()),
            "replicas" => options.min_replicas = value.parse().map_err(|_| invalid(word))?,
            _ => return Err(invalid(word)),
        }
    }
    Ok(options)
}

fn invalid(word: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("`{word}`"))
}

fn local(port: &str) -> Result<Endpoint> {
    Ok(Endpoint::tcp("127.0.0.1", port.parse().map_err(|_| invalid(port))?))
}

fn all(ports: &str) -> Result<Vec<Endpoint>> {
    ports.split(',').map(local).collect()
}

pub(crate) async fn open(env: Env, words: String) -> Result<RedisStore> {
    RedisStore::open(options(&words)?, env).await
}
