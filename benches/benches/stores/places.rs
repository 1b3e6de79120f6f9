//! [`all`]: the stores, and who contends there.

use std::{any::Any, sync::Arc};

use leasehold::env::Env;
use leasehold_testkit::{etcd, memcached, postgres, redis, zookeeper};

use crate::{contender::Contender, etcdctl::Etcdctl, ours::Ours, peer::Peer};

/// A store, and how many pairs one task does a round.
pub(crate) struct Place {
    pub(crate) word: &'static str,
    pub(crate) label: &'static str,
    pub(crate) pairs: usize,
    pub(crate) open: fn() -> Scene,
}

/// Everybody on one server. We are the first.
pub(crate) struct Scene {
    pub(crate) contenders: Vec<Box<dyn Contender>>,
    /// What has to stay as long as they do; dropped after them.
    _servers: Box<dyn Any>,
}

impl Scene {
    fn of(url: &str, servers: impl Any, others: Vec<Box<dyn Contender>>) -> Scene {
        let ours: Box<dyn Contender> = Box::new(Ours::open(url));
        let contenders = std::iter::once(ours).chain(others).collect();
        Scene { contenders, _servers: Box::new(servers) }
    }
}

pub(crate) fn all() -> Vec<Place> {
    let place = |word, label, pairs, open| Place { word, label, pairs, open };
    vec![
        place("memory", "memory", 20_000, memory),
        place("sqlite", "SQLite", 4_000, sqlite),
        place("postgres", "PostgreSQL", 500, postgres),
        place("redis", "Redis", 1_500, redis),
        place("redlock", "Redlock × 3", 800, redlock),
        place("memcached", "memcached", 1_500, memcached),
        place("zookeeper", "ZooKeeper", 500, zookeeper),
        place("etcd", "etcd", 300, etcd),
    ]
}

fn memory() -> Scene {
    Scene::of("memory:stores", (), Vec::new())
}

fn sqlite() -> Scene {
    let directory = tempfile::tempdir().expect("a temporary directory");
    Scene::of(&format!("sqlite:{}", directory.path().join("locks.db").display()), directory, Vec::new())
}

fn postgres() -> Scene {
    let server = postgres::Server::start().expect("PostgreSQL starts");
    Scene::of(&server.url(), server, Vec::new())
}

fn redis() -> Scene {
    let server = redis::Server::start().expect("redis-server starts");
    let url = server.url();
    let go = ["redsync", "redislock"].map(|library| Peer::go_redis(library, &url));
    let [redsync, redislock] = go.map(|peer| Box::new(peer) as Box<dyn Contender>);
    let redis_py = Box::new(Peer::redis_py(&url));
    Scene::of(&url, server, vec![redsync, redislock, redis_py])
}

fn redlock() -> Scene {
    let servers = [(); 3].map(|()| redis::Server::start().expect("redis-server starts"));
    let url = format!("redlock://{}", servers.each_ref().map(redis::Server::address).join(","));
    Ours::promote(&url);
    Scene::of(&url, servers, Vec::new())
}

fn memcached() -> Scene {
    let server = memcached::Server::start().expect("memcached starts");
    let (url, peer) = (server.url(), Peer::pymemcache(&server.url()));
    Scene::of(&url, server, vec![Box::new(peer)])
}

fn zookeeper() -> Scene {
    let server = zookeeper::Server::start().expect("ZooKeeper starts");
    let address = server.address();
    let peers: Vec<Box<dyn Contender>> =
        vec![Box::new(Peer::curator(&address)), Box::new(Peer::kazoo(&address))];
    Scene::of(&format!("zookeeper://{address}/ours"), server, peers)
}

fn etcd() -> Scene {
    let member = Arc::new(etcd::Member::start().expect("etcd starts"));
    let url = format!("etcd://{}", member.address());
    let go = Peer::etcd_go(&url);
    let ctl = Etcdctl { member: member.clone(), env: Env::system().expect("threads start") };
    Scene::of(&url, member, vec![Box::new(go), Box::new(ctl)])
}
