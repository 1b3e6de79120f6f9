//! The conformance suite on real members: one, three, with logins, and over TLS.

use std::{process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store};
use leasehold_testkit::etcd::{Cluster, Member};

mod common;

async fn open(env: Env, words: String) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(common::open(env, words).await?))
}

/// All members; they end with it.
struct Members {
    single: Member,
    three: Cluster,
    secure: Member,
}

impl Members {
    fn start() -> leasehold_testkit::Result<Members> {
        let secure = Member::builder().tls().start()?;
        common::enable_logins(&secure)?;
        Ok(Members { single: Member::start()?, three: Cluster::start()?, secure })
    }

    /// A label and the words that [`common::options`] reads.
    fn ways(&self) -> Vec<(&'static str, String)> {
        let ca = self.secure.ca_path().map(|path| path.display().to_string()).unwrap_or_default();
        vec![
            ("single", common::at([&self.single])),
            ("three", common::at(self.three.members())),
            ("tls_login", format!("{} tls={ca} login=locks", common::at([&self.secure]))),
        ]
    }
}

fn main() -> ExitCode {
    let env = common::env();
    if let Ok(words) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), words));
    }
    let members = Members::start().unwrap_or_else(|error| panic!("{error}"));
    let fixtures = members.ways().into_iter().map(|(label, words)| {
        let (taken, env) = (words.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), words.clone()));
        (label, fixture.taker(move || process::this_program(&taken)))
    });
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Most cases wait for the end of a lease, which takes two seconds at least.
    arguments.test_threads.get_or_insert(8);
    let trials = fixtures.flat_map(|(label, fixture)| leasehold_conformance::trials(label, &fixture));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
