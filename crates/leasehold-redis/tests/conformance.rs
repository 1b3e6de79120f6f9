//! quick
use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store};
use leasehold_redis::{Dialect, Endpoint, Protocol, RedisOptions, RedisStore, Servers};
use std::{process::ExitCode, sync::Arc};

fn options(address: &str) -> RedisOptions {
    let (kind, port) = address.split_once(':').unwrap();
    let mut options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port.parse().unwrap())));
    if kind.contains("plain") {
        options.dialect = Dialect::Plain { template: "lock:*".into() };
    }
    if kind.contains("resp2") {
        options.protocol = Protocol::Resp2;
    }
    options
}

async fn open(env: Env, address: String) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisStore::new(options(&address), env)?))
}

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    if let Ok(address) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), address));
    }
    let port = std::env::var("REDIS_PORT").unwrap();
    let mut all = Vec::new();
    for kind in ["native", "resp2", "plain"] {
        let address = format!("{kind}:{port}");
        let taker_address = address.clone();
        let connect_env = env.clone();
        let fixture = Fixture::new(env.clone(), move || open(connect_env.clone(), address.clone()))
            .taker(move || process::this_program(&taker_address));
        all.push((kind, fixture));
    }
    leasehold_conformance::main(all)
}
