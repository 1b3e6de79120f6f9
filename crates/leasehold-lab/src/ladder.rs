//! `cargo lab simulate ladder`: the known failure of each way to lock in Redis, on real servers.
//!
//! Each rung is a small hand-written client, up to Leasehold on the last one. Its typical failure is injected, and the
//! report has the counts: holders at once, answers of the server, accepted writes.

mod experiment;
mod leasehold;
mod naive;
mod report;
mod result;
mod rungs;
mod svg;
#[cfg(test)]
mod tests;

use std::{
    env::{split_paths, var_os},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use ::leasehold::env::Env;
use anyhow::{Context, Result};
use clap::value_parser;
use leasehold_testkit::redis::Server;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    experiment::{Experiment, Harness},
    result::ExperimentResult,
    rungs::{CLOCK_JUMPS, RUNGS},
};
use crate::output::{Output, Refusal, UNAVAILABLE, write_picture};

/// See how each way to lock in Redis fails, from SETNX to Redlock, and what Leasehold does instead.
///
/// Starts Redis servers of its own on free ports, injects into each client the failure that it is known for, and counts
/// what happens. Needs redis-server, and a C compiler for the server whose clock jumps. Leaves nothing behind.
///
/// Exit code 0 when every naive client failed as described and Leasehold did not, 1 otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Draw what happened into this SVG file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Play this rung alone.
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=8))]
    rung: Option<u8>,
}

/// Plays the rungs. The exit code is 0 only when every experiment meets its expectation.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<ExitCode> {
    for (program, package) in [("redis-server", "redis-server"), ("setpriv", "util-linux")] {
        if !is_installed(program) {
            let message = format!("`{program}` is not installed: the ladder is played on real servers");
            return Err(Refusal::with_code(UNAVAILABLE, message, format!("apt-get install {package}")));
        }
    }
    if !is_installed("cc") && arguments.rung.is_none_or(|rung| rung == 7) {
        output.say("there is no C compiler (cc): the clock that jumps is left out");
        output.event("left_out", json!({ "rung": 7, "what": "the clock that jumps", "needs": "cc" }));
    }
    let signal = Arc::new(AtomicI32::new(0));
    listen(signal.clone())?;
    let played = climb(arguments.rung, signal.clone(), output);
    // The servers have ended and their files are removed by now.
    let number = signal.load(Ordering::Relaxed);
    if number != 0 {
        output.say(format!("ended by signal {number}; all servers and files are gone"));
        return Ok(ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX)));
    }
    let results = played?;
    write_picture(arguments.svg.as_deref(), || svg::draw(&results))?;
    output.data(|| json!(results), || report::text(&results));
    let failures = report::failures(&results);
    for failure in &failures {
        output.say(format!("error: {failure}"));
        output.event("error", json!({ "message": failure, "exit_code": 1 }));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Keeps the number of a signal that asks this process to end.
fn listen(received: Arc<AtomicI32>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let context = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signals, received) = (signal(kind).context("cannot listen for signals")?, received.clone());
        runtime.spawn(async move {
            signals.recv().await;
            received.store(kind.as_raw_value(), Ordering::Relaxed);
        });
    }
    drop(context);
    let thread = std::thread::Builder::new().name("ladder-signals".into());
    thread.spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(())
}

fn climb(chosen: Option<u8>, signal: Arc<AtomicI32>, output: Output) -> Result<Vec<ExperimentResult>> {
    let harness = Harness { env: Env::system()?, server: Server::start()?, signal };
    let mut results = Vec::new();
    for rung in RUNGS.iter().filter(|rung| chosen.is_none_or(|number| number == rung.number)) {
        output.say(format!("rung {}: {}", rung.number, rung.name));
        let can_jump = is_installed("cc");
        for case in rung.cases.iter().filter(|case| can_jump || case.failure != CLOCK_JUMPS) {
            let result = ExperimentResult::new((rung.number, rung.name), case.failure, case.expected);
            let mut experiment = Experiment::new(&harness, result);
            let played = (case.play)(&mut experiment);
            played.with_context(|| format!("rung {} could not be played", rung.number))?;
            results.push(experiment.finish());
        }
    }
    Ok(results)
}

/// Whether a program is in the search path.
fn is_installed(program: &str) -> bool {
    let path = var_os("PATH").unwrap_or_default();
    split_paths(&path).any(|place| place.join(program).is_file())
}
