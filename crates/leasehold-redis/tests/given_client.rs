//! A caller hands in its own client of the `redis` crate.
//!
//! `cargo test -p leasehold-redis --features redis-1 --test given_client`

use leasehold_core::{Claim, ClaimId, Interest, LockName, Standing, Store};
use leasehold_redis::{Endpoint, RedisOptions, RedisStore, Servers};
use leasehold_testkit::redis::Server;

mod common;

/// Address, password and database are the client's; waiting works, whatever protocol the client was made for.
#[test]
fn locks_are_taken_as_the_callers_client_connects() {
    let server = Server::builder().password("pw").start().unwrap();
    let client = redis::Client::open(format!("redis://:pw@{}/3", server.address())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let env = common::env();
        let options = RedisOptions::new(Servers::Single(Endpoint::tcp("ignored", 1)));
        let store = RedisStore::with_client(&client, options, env.clone()).unwrap();
        let name = LockName::new("orders").unwrap();
        let claim = || Claim::new(name.clone(), ClaimId::mint(&env), std::time::Duration::from_secs(30));
        let (mine, other) = (claim(), claim());
        assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)));
        drop(store.watch(&name, Interest::Turn(other.id)).await.unwrap());
        assert!(matches!(store.claim(&other).await.unwrap(), Standing::Held(_)));
        let mut connection = server.connect().unwrap();
        connection.call(&["SELECT", "3"]).unwrap();
        let value = connection.call(&["GET", "orders"]).unwrap();
        assert_eq!(value.text().and_then(|value| value.split(' ').next()), Some(&*mine.id.to_string()));
    });
}
