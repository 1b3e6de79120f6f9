//! Other libraries on the same database: each of them excludes us and is excluded by us. And the environment of libpq.
//!
//! They are programs of their own (`interop/README.md` says how one speaks with them); a Leasehold of its own process is this
//! program, started again with [`peer::ROLE`].
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

mod advisory;
mod context;
mod libpq;
mod shedlock;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use context::TestContext;
use leasehold_testkit::{peer, postgres::Server};
use libtest_mimic::{Arguments, Trial};

type Case = for<'a> fn(&'a TestContext) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($file:ident::$name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] =
            &[$((concat!(stringify!($file), "::", stringify!($name)), |context| Box::pin($file::$name(context)))),*];
    };
}

cases![
    advisory::its_lock_keeps_us_out_and_is_shown_with_its_process,
    advisory::our_hold_keeps_it_out_until_the_release,
    advisory::our_release_lets_its_waiter_in,
    advisory::the_lock_of_who_was_killed_is_free_at_once,
    advisory::who_has_lost_its_session_is_told_at_once,
    advisory::a_killed_server_frees_all_and_holders_are_told,
    advisory::a_session_that_stands_still_is_lost_at_its_deadline_and_lets_nobody_in,
    advisory::a_pooler_in_transaction_mode_is_refused,
    advisory::the_doctor_speaks_of_sessions,
    libpq::the_password_file_is_used_unless_others_can_read_it,
    libpq::authorities_and_the_mode_of_tls_are_taken_from_the_environment,
    libpq::addresses_settings_and_the_name_of_the_program_are_taken_from_the_environment,
    libpq::the_kind_of_server_is_taken_from_the_environment,
    shedlock::its_hold_keeps_us_out_and_is_shown_with_its_host,
    shedlock::our_hold_keeps_it_out_until_the_release,
    shedlock::its_hold_ends_when_it_was_killed,
    shedlock::our_hold_ends_when_we_were_killed,
    shedlock::its_minimum_hold_keeps_us_out_after_its_unlock,
    shedlock::our_minimum_hold_keeps_it_out_after_the_job,
    shedlock::both_prolong_their_own_and_not_the_others,
    shedlock::a_table_that_does_not_fit_is_named,
];

fn main() -> ExitCode {
    if std::env::var(peer::ROLE).is_ok() {
        return context::play();
    }
    let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
    let made = server.sql(shedlock::TABLE);
    made.unwrap_or_else(|error| panic!("{error}"));
    let trial = |&(name, case): &(&str, Case)| {
        let server = server.clone();
        Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(case(&TestContext::new(server)));
            Ok(())
        })
    };
    // They wait more than they work.
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, CASES.iter().map(trial).collect()).exit_code()
}
