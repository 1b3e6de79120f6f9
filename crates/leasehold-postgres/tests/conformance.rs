//! The conformance suite on real servers: over TCP, over TLS, over a Unix socket, and through a pooler.

use std::{process::ExitCode, sync::Arc, time::Duration};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store, backend::BackendEntry, backend::Registry, url::ParsedUrl};
use leasehold_postgres::BACKEND;
use leasehold_testkit::postgres::{Pooler, Server};

static STORES: Registry =
    Registry(&[BackendEntry { title: "", feature: "", schemes: &[], backend: Some(&BACKEND) }]);

async fn open(env: Env, url: String) -> Result<Arc<dyn Store>> {
    (BACKEND.open)(&ParsedUrl::parse(&url, &STORES)?, None, &env).await
}

/// The table of ShedLock's manual, with room for longer names.
const SHEDLOCK: &str = "CREATE TABLE shedlock(name TEXT NOT NULL, lock_until TIMESTAMP NOT NULL,
    locked_at TIMESTAMP NOT NULL, locked_by VARCHAR(255) NOT NULL, PRIMARY KEY (name));
    GRANT SELECT, INSERT, UPDATE ON shedlock TO locks";

/// All servers; they end with it.
struct Servers {
    plain: Server,
    secure: Server,
    pooler: Pooler,
}

impl Servers {
    fn start() -> leasehold_testkit::Result<Servers> {
        // Each advisory lock is a session.
        let plain = Server::builder().with("max_connections=600").start()?;
        plain.sql(SHEDLOCK)?;
        Ok(Servers { secure: Server::builder().tls().start()?, pooler: Pooler::start(&plain)?, plain })
    }

    /// A label and the URL.
    fn ways(&self) -> Vec<(&'static str, String)> {
        let socket = self.plain.directory().display();
        let socket = format!("postgres://locks@/postgres?host={socket}&port={}", self.plain.port());
        // What a busy machine may take; what is about time says so itself.
        let patient = |url: String| format!("{url}{}timeout=5s", if url.contains('?') { '&' } else { '?' });
        vec![
            ("tcp", patient(self.plain.url())),
            (
                "tls",
                patient(format!("{}?sslmode=verify-full&{}", self.secure.url(), self.secure.tls_query())),
            ),
            ("advisory", patient(format!("{socket}&dialect=advisory"))),
            ("socket", patient(socket)),
            ("shedlock", patient(format!("{}?dialect=shedlock", self.plain.url()))),
            ("pooler", patient(format!("{}?pooler=transaction", self.pooler.url()))),
        ]
    }
}

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    if let Ok(url) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), url));
    }
    let servers = Servers::start().unwrap_or_else(|error| panic!("{error}"));
    let fixtures = servers.ways().into_iter().map(|(label, url)| {
        let (taken, env) = (url.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), url.clone()));
        // A commit takes a good part of a shorter lease on a busy disk.
        let fixture = fixture.ttl(Duration::from_millis(600));
        (label, fixture.taker(move || process::this_program(&taken)))
    });
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Most cases wait for the end of a lease.
    arguments.test_threads.get_or_insert(6);
    let trials = fixtures.flat_map(|(label, fixture)| leasehold_conformance::trials(label, &fixture));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
