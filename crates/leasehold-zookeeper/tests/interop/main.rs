//! Other libraries on the same server: each of them excludes us and is excluded by us.
//!
//! The interop are programs of their own (`interop/README.md` says how one speaks with them), installed below the target
//! directory at first use; a Leasehold of its own process is this program, started again with [`ROLE`](peer::ROLE).
#![allow(clippy::unwrap_used, reason = "tests may panic")]

#[path = "../common/mod.rs"]
mod common;

mod case;
mod install;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use case::Scene;
use leasehold_testkit::{
    peer::{self, Program},
    zookeeper::Server,
};
use libtest_mimic::{Arguments, Trial};

type Case = for<'a> fn(&'a Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |scene| Box::pin(case::$name(scene)))),*];
    };
}

cases![
    its_lock_keeps_us_out,
    its_release_wakes_us,
    our_lock_keeps_it_out,
    our_release_lets_it_in,
    its_lock_ends_when_it_was_killed,
    our_lock_ends_when_we_were_killed,
    in_a_crowd_one_is_inside,
];

/// Another library.
#[derive(Clone, Copy)]
pub(crate) struct Stranger {
    pub(crate) label: &'static str,
    program: fn() -> Program,
    /// What our options say besides.
    pub(crate) dialect: &'static str,
}

const STRANGERS: &[Stranger] = &[
    Stranger { label: "curator", program: install::curator, dialect: "" },
    Stranger { label: "kazoo", program: install::kazoo, dialect: " kazoo" },
];

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(peer::ROLE) {
        return case::play(&role);
    }
    let arguments = Arguments::from_args();
    let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
    let mut trials = Vec::new();
    for stranger in STRANGERS {
        for (name, case) in CASES {
            trials.push(trial(format!("{}::{name}", stranger.label), *case, stranger, &server));
        }
    }
    let refused: Case = |scene| Box::pin(case::its_layout_is_refused(scene));
    let blind = &Stranger { label: "kazoo", program: install::kazoo, dialect: "" };
    trials.push(trial("kazoo::its_layout_is_refused_in_ours".into(), refused, blind, &server));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: String, case: Case, stranger: &'static Stranger, server: &Arc<Server>) -> Trial {
    let server = server.clone();
    Trial::test(name, move || {
        let env = common::env();
        // Before the clock starts: the first one installs it.
        let program = (stranger.program)();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("this machine can poll");
        runtime.block_on(async {
            let until = env.now() + case::CASE_LIMIT;
            let scene = Scene { env: env.clone(), server, stranger, program };
            env.until(until, case(&scene)).await.expect("the case ends in time");
        });
        Ok(())
    })
}
