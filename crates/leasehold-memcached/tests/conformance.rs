//! The conformance suite on real servers: with meta commands, and as it is spoken with servers before 1.6.13.

use std::{process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store};
use leasehold_testkit::memcached::Server;

mod common;

async fn open(env: Env, words: String) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(common::open(env, words).await?))
}

fn main() -> ExitCode {
    let env = common::env();
    if let Ok(words) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), words));
    }
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let ways = [("meta", server.port().to_string()), ("text", format!("{} text", server.port()))];
    let fixtures = ways.into_iter().map(|(label, words)| {
        let (taken, env) = (words.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), words.clone()));
        (label, fixture.taker(move || process::this_program(&taken)))
    });
    leasehold_conformance::main(fixtures.collect())
}
