//! Who locks by `add` alone: it excludes us and is excluded by us, both ways, in every mode.
//!
//! The stranger is a program of its own (`interop/README.md` says how one speaks with it): pymemcache, installed below the
//! target directory at first use. A Leasehold of its own process is this program, started again with [`ROLE`](peer::ROLE).
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may panic")]

#[path = "../common/mod.rs"]
mod common;

mod case;
mod role;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use leasehold_core::Env;
use leasehold_testkit::{
    memcached::Server,
    peer::{self, Program},
};
use libtest_mimic::{Arguments, Trial};

/// How long a case may take; one that hangs fails by its name.
const CASE_LIMIT: Duration = Duration::from_secs(120);
/// How long a peer may take to answer, also when it waits for a lock.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);

type Case = for<'a> fn(&'a case::Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |scene| Box::pin(case::$name(scene)))),*];
    };
}

cases![
    its_lock_keeps_us_out,
    its_release_lets_us_in,
    our_lock_keeps_it_out,
    our_release_lets_it_in,
    its_lock_ends_when_it_was_killed,
    our_lock_ends_when_we_were_killed,
    its_late_unlock_frees_nothing,
    our_late_release_frees_nothing,
];

fn main() -> ExitCode {
    let env = common::env();
    if let Ok(role) = std::env::var(peer::ROLE) {
        return role::play(&role, env);
    }
    let arguments = Arguments::from_args();
    let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
    let trials = CASES.iter().map(|(name, case)| {
        let (env, server, case) = (env.clone(), server.clone(), *case);
        Trial::test(format!("pymemcache::{name}"), move || {
            run(case, env, server);
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn run(case: Case, env: Env, server: Arc<Server>) {
    // Before the clock starts: the first one installs it.
    let program = Program::python(env!("CARGO_TARGET_TMPDIR"), "pymemcache");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("this machine can poll");
    runtime.block_on(async {
        let until = env.now() + CASE_LIMIT;
        let scene = case::Scene { env: env.clone(), server, program };
        env.until(until, case(&scene)).await.expect("the case ends in time");
    });
}
