//! Redisson itself, two versions of it, and Leasehold on the same locks: `dialect=redisson`.
//!
//! The Java program is `interop/redisson`; a Leasehold of its own process is this program, started again with
//! [`peer::ROLE`].

mod case;
mod context;
mod servers;
mod sharing;
mod wake;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use context::{TestContext, VERSIONS, Version};
use leasehold_core::Env;
use leasehold_testkit::{peer, redis::Server};
use libtest_mimic::{Arguments, Trial};

/// How long a case may take; one that hangs fails by its name.
const CASE_LIMIT: Duration = Duration::from_secs(600);

type Case = for<'a> fn(&'a TestContext) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($file:ident::$name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] =
            &[$((stringify!($name), |context| Box::pin($file::$name(context)))),*];
    };
}

cases![
    case::its_lock_keeps_us_out_and_is_shown_with_client_and_thread,
    case::our_lock_keeps_out_its_locks_of_every_kind,
    case::its_release_wakes_us,
    case::our_release_wakes_it,
    case::its_lock_ends_when_it_was_killed,
    case::our_lock_ends_when_we_were_killed,
    case::a_holder_that_slept_through_its_lease_stops,
    case::watchdogs_renew_side_by_side,
    case::a_forced_release_makes_its_unlock_fail,
    case::a_claim_that_is_repeated_counts_once,
    case::crowds_of_both_lose_no_increment,
    sharing::readers_of_both_hold_together_and_keep_writers_out,
    sharing::readers_end_when_they_were_killed,
    sharing::watchdogs_of_readers_renew_side_by_side,
    sharing::permits_of_both_are_counted_together,
    sharing::permits_end_when_their_holder_was_killed,
    sharing::its_semaphore_keeps_its_number,
    servers::names_with_braces_are_shared,
    servers::locks_under_sentinel_exclude_and_wake_both_ways,
    servers::locks_in_a_cluster_exclude_and_wake_both_ways,
];

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    if std::env::var(peer::ROLE).is_ok() {
        return context::play(env);
    }
    // One after the other: what is measured in one case is not to be that it shares the machine with the others.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
    let mut trials = Vec::new();
    for version in VERSIONS {
        for (name, case) in CASES {
            let (env, server) = (env.clone(), server.clone());
            let run = move || {
                run(*case, version, env, server);
                Ok(())
            };
            trials.push(Trial::test(format!("{}::{name}", version.label), run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(case: Case, version: &'static Version, env: Env, server: Arc<Server>) {
    // Before the clock starts: the first one installs it.
    let program = context::program(version);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("this machine can poll").block_on(async {
        let until = env.now() + CASE_LIMIT;
        let (servers, url, ports) = (context::single(server.port()), server.url(), vec![server.port()]);
        let context = TestContext { env: env.clone(), server, servers, url, ports, version, program };
        env.until(until, case(&context)).await.expect("the case ends in time");
    });
}
