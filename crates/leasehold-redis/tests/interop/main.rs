//! Other libraries on the same server: each of them excludes us and is excluded by us.
//!
//! The foreign clients are programs of their own (`interop/README.md` says how one speaks with them): redis-py and npm redlock
//! are installed below the target directory at first use, rslock and a Leasehold of its own process are this program,
//! started again with [`peer::ROLE`].

mod case;
mod context;
mod install;
mod role;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use context::{FOREIGN_CLIENTS, ForeignClient, TestContext};
use leasehold_core::Env;
use leasehold_testkit::{peer, redis::Server};
use libtest_mimic::{Arguments, Trial};

type Case = for<'a> fn(&'a TestContext) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |context| Box::pin(case::$name(context)))),*];
    };
}

cases![
    its_lock_keeps_us_out,
    its_release_wakes_us,
    our_lock_keeps_it_out,
    our_release_lets_it_in,
    its_lock_ends_when_it_was_killed,
    our_lock_ends_when_we_were_killed,
    our_release_wakes_its_listener,
    its_late_unlock_frees_nothing,
    our_late_release_frees_nothing,
];

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    if let Ok(role) = std::env::var(peer::ROLE) {
        return role::play(&role, env);
    }
    // Most of the time a case waits for the end of a hold.
    let arguments = Arguments { test_threads: Some(6), ..Arguments::from_args() };
    let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
    let mut trials = Vec::new();
    for foreign in FOREIGN_CLIENTS {
        for (name, case) in CASES {
            let (env, server) = (env.clone(), server.clone());
            let run = move || {
                run(*case, foreign, env, server);
                Ok(())
            };
            trials.push(Trial::test(format!("{}::{name}", foreign.label), run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(case: Case, foreign: &'static ForeignClient, env: Env, server: Arc<Server>) {
    // Before the clock starts: the first one installs it.
    let program = (foreign.program)();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("this machine can poll");
    runtime.block_on(async {
        let until = env.now() + context::CASE_LIMIT;
        let context = TestContext { env: env.clone(), server, foreign, program };
        env.until(until, case(&context)).await.expect("the case ends in time");
    });
}
