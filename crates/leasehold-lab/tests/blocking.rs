//! A thread without a runtime takes locks on every kind of server.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::time::Duration;

use leasehold::Client;
use leasehold_testkit::{etcd, memcached, redis, zookeeper};

/// Locks, is in another's way, hands over to a thread that waits, and is renewed meanwhile.
fn locks_without_a_runtime(url: &str) {
    let connect = || Client::blocking_connect(url).unwrap().ttl(Duration::from_secs(4));
    let (one, two) = (connect(), connect());
    let guard = one.mutex("orders").unwrap().blocking_lock().unwrap();
    guard.check().unwrap();
    assert!(two.mutex("orders").unwrap().blocking_try_lock().unwrap().is_none(), "{url}");
    let before = guard.lease().deadline();
    std::thread::scope(|scope| {
        let waits =
            scope.spawn(|| two.mutex("orders").unwrap().blocking_lock().unwrap().blocking_release().unwrap());
        while guard.lease().deadline() == before {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        guard.blocking_release().unwrap();
        waits.join().unwrap();
    });
    for client in [one, two] {
        client.blocking_close(Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn redis_is_used_without_a_runtime() {
    let server = redis::Server::start().unwrap();
    locks_without_a_runtime(&format!("redis://{}", server.address()));
}

#[test]
fn memcached_is_used_without_a_runtime() {
    let server = memcached::Server::start().unwrap();
    locks_without_a_runtime(&server.url());
}

#[test]
fn etcd_is_used_without_a_runtime() {
    let member = etcd::Member::start().unwrap();
    locks_without_a_runtime(&format!("etcd://{}", member.address()));
}

#[test]
fn zookeeper_is_used_without_a_runtime() {
    let server = zookeeper::Server::start().unwrap();
    locks_without_a_runtime(&format!("zookeeper://{}", server.address()));
}
