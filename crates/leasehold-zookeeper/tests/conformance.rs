//! The conformance suite on real servers: alone and as an ensemble, every way in, and the other layout.

use std::{process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store};
use leasehold_testkit::zookeeper::{Ensemble, Server};

mod common;

async fn open(env: Env, words: String) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(common::open(env, words).await?))
}

fn main() -> ExitCode {
    let env = common::env();
    if let Ok(words) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), words));
    }
    let single = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let ensemble = Ensemble::start(3).unwrap_or_else(|error| panic!("{error}"));
    let secure = Server::with_tls(true).unwrap_or_else(|error| panic!("{error}"));
    let alone = format!("servers={}", single.address());
    let files = secure.tls_query().replace('&', " ");
    let ways = vec![
        ("single", format!("{alone} chroot=/apps/locks")),
        ("ensemble", format!("servers={}", ensemble.addresses())),
        ("login", format!("{alone} chroot=/private login=app:s3cr3t")),
        ("tls", format!("servers=localhost:{} {files}", secure.tls_port())),
        ("kazoo", format!("{alone} chroot=/kazoo kazoo")),
    ];
    let fixtures = ways.into_iter().map(|(label, words)| {
        let (taken, env) = (words.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), words.clone()));
        (label, fixture.taker(move || process::this_program(&taken)))
    });
    leasehold_conformance::main(fixtures.collect())
}
