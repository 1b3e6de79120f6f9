//! The test program of a store: `harness = false` and five lines.

use std::{process::ExitCode, sync::mpsc, time::Duration};

use leasehold_core::{Env, env::Virtual};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{
    Case, Failure, Fixture, Test,
    fixture::{Backend, Connect},
};

/// Runs every case against every fixture, as `cargo test` would: takes the same arguments, prints the same lines.
/// A case is called `label::promise::case`; one that does not apply is listed as ignored, with the reason.
pub fn main(fixtures: Vec<(&str, Fixture)>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = fixtures.into_iter().flat_map(|(label, fixture)| trials(label, &fixture)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The cases against one fixture, for a test program that adds its own.
pub fn trials(label: &str, fixture: &Fixture) -> Vec<Trial> {
    crate::cases().into_iter().map(|case| trial(label, fixture.clone(), case)).collect()
}

fn trial(label: &str, fixture: Fixture, case: Case) -> Trial {
    Trial::ignorable_test(format!("{label}::{}", case.path()), move || match fixture.run(&case) {
        Report::Kept => Ok(Completion::Completed),
        Report::NotApplicable(reason) => Ok(Completion::ignored_with(reason)),
        Report::Broken(failure) => Err(Failed::from(failure)),
    })
}

/// The report of one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// The store keeps the promise.
    Kept,
    /// The case does not apply, and why.
    NotApplicable(String),
    /// The store breaks the promise.
    Broken(Failure),
}

impl Fixture {
    /// Runs one case to its end.
    pub fn run(&self, case: &Case) -> Report {
        let report = match &self.backend {
            Backend::Machine { env, connect } => self.run_on_machine(case, env.clone(), connect.clone()),
            Backend::Simulated { seed, make } => {
                let world = Virtual::new(*seed);
                let env = world.env();
                Ok(world.block_on(self.limited(case, env.clone(), make(env))))
            }
        };
        match report.unwrap_or_else(Report::Broken) {
            Report::Broken(failure) => Report::Broken(Failure { promise: case.path(), ..failure }),
            other => other,
        }
    }

    /// On a thread of its own, so that a store that blocks its thread for ever fails by the case's name too.
    fn run_on_machine(&self, case: &Case, env: Env, connect: Connect) -> Result<Report, Failure> {
        let (send, receive) = mpsc::channel();
        let (fixture, run) = (self.clone(), *case);
        let work = move || -> std::io::Result<()> {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build()?;
            let report = runtime.block_on(fixture.limited(&run, env, connect));
            runtime.shutdown_background();
            // Nobody listens any more when the time was over.
            let _ = send.send(report);
            Ok(())
        };
        let thread = std::thread::Builder::new().name(case.path()).spawn(work);
        thread.map_err(|error| Failure::new("a thread to run the case on", error.to_string()))?;
        receive.recv_timeout(self.limit + Duration::from_secs(5)).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => self.too_long("a verb blocks its thread"),
            mpsc::RecvTimeoutError::Disconnected => {
                Failure::new("a case that runs to its end", "it panicked, or had no runtime")
            }
        })
    }

    fn too_long(&self, found: &str) -> Failure {
        Failure::new(format!("the case to end within {:?}", self.limit), found)
    }

    async fn limited(&self, case: &Case, env: Env, connect: Connect) -> Report {
        let report = env.until(env.now() + self.limit, self.attempt(case, &env, connect)).await;
        let hangs = || self.too_long("it hangs: a verb or a wake-up never came back");
        report.unwrap_or_else(|| Err(hangs())).unwrap_or_else(Report::Broken)
    }

    async fn attempt(&self, case: &Case, env: &Env, connect: Connect) -> Result<Report, Failure> {
        let client = connect().await;
        let client = client.map_err(|error| Failure::new("a client of the backend", format!("{error:?}")))?;
        let capability = client.capability().clone();
        drop(client);
        let no_taker = case.promise == "process" && self.taker.is_none();
        let no_taker =
            || no_taker.then(|| format!("not applicable to {}: no taker was given", capability.scheme));
        if let Some(lacking) = case.lacking(&capability).or_else(no_taker) {
            return Ok(Report::NotApplicable(lacking));
        }
        let test = Test::new(env.clone(), connect, self.clone(), capability);
        let verdict = (case.run)(test.clone()).await;
        test.clear().await;
        verdict.map(|()| Report::Kept)
    }
}
