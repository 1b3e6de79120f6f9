//! `cargo lab simulate ladder`: the known failure of each way to lock in Redis, on real servers.
//!
//! Each rung is a small hand-written client, up to Leasehold on the last one. Its typical failure is injected, and the
//! report has the counts: holders at once, answers of the server, accepted writes.

mod clients;
mod experiment;
mod harness;
mod model;
mod report;
mod result;
mod svg;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use clap::value_parser;
use leasehold::env::Env;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use self::{clients::RUNGS, harness::Harness, model::Rung, result::ExperimentResult};
use crate::output::{Output, Refusal, UNAVAILABLE};

/// See how each way to lock in Redis fails, from SETNX to Redlock, and what Leasehold does instead.
///
/// Starts Redis servers of its own on free ports, injects into each client the failure that it is known for, and counts
/// what happens. Needs redis-server, and a C compiler for the server whose clock jumps. Leaves nothing behind.
///
/// Exit code 0 when every naive client failed as described and Leasehold did not, 1 otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print what was counted as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw what happened into this SVG file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Play this rung alone.
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=8))]
    rung: Option<u8>,
}

/// Plays the rungs. The exit code is 0 only when every experiment meets its expectation.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    for program in ["redis-server", "setpriv"] {
        installed(program)?;
    }
    if !harness::has_compiler() && arguments.rung.is_none_or(|rung| rung == 7) {
        output.say("there is no C compiler (cc): the clock that jumps is left out");
        output.event("left_out", json!({ "rung": 7, "what": "the clock that jumps", "needs": "cc" }));
    }
    let chosen: Vec<&'static Rung> =
        RUNGS.iter().filter(|rung| arguments.rung.is_none_or(|number| number == rung.number)).collect();
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let ended_by = async {
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hangup.recv() => SignalKind::hangup(),
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut played = start(chosen, stop.clone(), output)?;
    let results = tokio::select! {
        results = &mut played => results,
        signal = ended_by => {
            stop.store(true, Ordering::Relaxed);
            // The thread ends the servers and removes their files.
            let _ = played.await;
            let number = signal.as_raw_value();
            output.say(format!("ended by signal {number}; all servers and files are gone"));
            return Ok(ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX)));
        }
    };
    let results = results.context("the ladder panicked")??;
    if let Some(path) = &arguments.svg {
        let svg = svg::draw(&results);
        std::fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output.data(|| json!(results), || report::text(&results));
    let failures = report::failures(&results);
    for failure in &failures {
        output.say(format!("error: {failure}"));
        output.event("error", json!({ "message": failure, "exit_code": 1 }));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays the rungs in a thread, because their clients block.
fn start(
    clients: Vec<&'static Rung>,
    stop: Arc<AtomicBool>,
    output: Output,
) -> Result<oneshot::Receiver<Result<Vec<ExperimentResult>>>> {
    let (answer, played) = oneshot::channel();
    let env = Env::system()?;
    let play = move || {
        // Fails when the program is about to end.
        let _ = answer.send(climb(&clients, env, stop, output));
    };
    let thread = std::thread::Builder::new().name("leasehold-ladder".into());
    thread.spawn(play).context("cannot start a thread")?;
    Ok(played)
}

fn climb(
    clients: &[&'static Rung],
    env: Env,
    stop: Arc<AtomicBool>,
    output: Output,
) -> Result<Vec<ExperimentResult>> {
    let harness = Harness::start(env, stop)?;
    let mut results = Vec::new();
    for rung in clients {
        output.say(format!("rung {}: {}", rung.number, rung.name));
        let played = (rung.play)(&harness, rung);
        results.extend(played.with_context(|| format!("rung {} could not be played", rung.number))?);
    }
    Ok(results)
}

fn installed(program: &str) -> Result<()> {
    if harness::is_installed(program) {
        return Ok(());
    }
    let package = if program == "setpriv" { "util-linux" } else { program };
    let message = format!("`{program}` is not installed: the ladder is played on real servers");
    Err(Refusal::with_code(UNAVAILABLE, message, format!("apt-get install {package}")))
}
