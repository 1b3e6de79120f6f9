//! `cargo lab simulate ladder`: the ladder that every team climbs, rung by rung, on real Redis servers.
//!
//! Each rung is the small honest client that people write. Its typical failure is injected, and what is reported was
//! counted while it ran: who was in at once, what the server answered, which writes were taken. The last rung is
//! Leasehold under the same failures.

mod case;
mod picture;
mod report;
mod resource;
mod rungs;
mod stage;

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
use tokio::sync::oneshot;

use self::{
    case::Outcome,
    rungs::{RUNGS, Rung},
    stage::Stage,
};
use crate::{
    output::{Output, Refusal, UNAVAILABLE},
    signals::Signals,
};

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

/// Climbs the ladder. The exit code is 0 only when every rung shows what it is there to show.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    for program in ["redis-server", "setpriv"] {
        installed(program)?;
    }
    if !stage::has_compiler() && arguments.rung.is_none_or(|rung| rung == 7) {
        output.say("there is no C compiler (cc): the clock that jumps is left out");
        output.event("left_out", json!({ "rung": 7, "what": "the clock that jumps", "needs": "cc" }));
    }
    let chosen: Vec<&'static Rung> =
        RUNGS.iter().filter(|rung| arguments.rung.is_none_or(|number| number == rung.number)).collect();
    let mut signals = Signals::listen()?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut played = start(chosen, stop.clone(), output)?;
    let outcomes = tokio::select! {
        outcomes = &mut played => outcomes,
        signal = signals.next() => {
            stop.store(true, Ordering::Relaxed);
            // Its end is awaited so that the servers and their files are gone.
            let _ = played.await;
            output.say(format!("leasehold: {signal}"));
            return Ok(ExitCode::from(signal.exit_code()));
        }
    };
    let outcomes = outcomes.context("the ladder broke down")??;
    if let Some(path) = &arguments.svg {
        let picture = picture::draw(&outcomes);
        std::fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output.data(|| json!(outcomes), || report::text(&outcomes));
    let failures = report::failures(&outcomes);
    for failure in &failures {
        output.say(format!("error: {failure}"));
        output.event("error", json!({ "message": failure, "exit_code": 1 }));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The clients block, as such clients do: they get a thread, so that signals are heard meanwhile.
fn start(
    rungs: Vec<&'static Rung>,
    stop: Arc<AtomicBool>,
    output: Output,
) -> Result<oneshot::Receiver<Result<Vec<Outcome>>>> {
    let (answer, played) = oneshot::channel();
    let env = Env::system()?;
    let play = move || {
        // Nobody listens when the program ends.
        let _ = answer.send(climb(&rungs, env, stop, output));
    };
    let thread = std::thread::Builder::new().name("leasehold-ladder".into());
    thread.spawn(play).context("cannot start a thread")?;
    Ok(played)
}

fn climb(rungs: &[&'static Rung], env: Env, stop: Arc<AtomicBool>, output: Output) -> Result<Vec<Outcome>> {
    let stage = Stage::start(env, stop)?;
    let mut outcomes = Vec::new();
    for rung in rungs {
        output.say(format!("rung {}: {}", rung.number, rung.name));
        let played = (rung.play)(&stage, rung);
        outcomes.extend(played.with_context(|| format!("rung {} could not be played", rung.number))?);
    }
    Ok(outcomes)
}

fn installed(program: &str) -> Result<()> {
    if stage::is_installed(program) {
        return Ok(());
    }
    let package = if program == "setpriv" { "util-linux" } else { program };
    let message = format!("`{program}` is not installed: the ladder is played on real servers");
    Err(Refusal::with_code(UNAVAILABLE, message, format!("apt-get install {package}")))
}
