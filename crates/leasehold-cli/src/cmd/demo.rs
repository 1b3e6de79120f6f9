//! `leasehold demo`: what one stopped process does to a shop without a lock, with a naive lock and with Leasehold.
//!
//! Needs no server. Real processes sell a limited stock from an SQLite file; one of them is stopped between reading the
//! stock and writing it, for longer than its lock lives. All numbers are counted from the shop's database afterwards.

mod crew;
mod director;
mod door;
mod event;
mod history;
mod plan;
#[cfg(test)]
mod sample;
mod shop;
pub(crate) mod signals;
pub(crate) mod timeline;
mod verdict;
mod view;
mod worker;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::value_parser;
use leasehold::Env;

use director::{Director, Record};
use plan::{Assignment, Lane, Plan};
use signals::{Interrupted, Signals};
use verdict::{LaneVerdict, Verdict};
use view::View;

/// How long a lock lives without news of its holder. Long enough that a busy machine does not end leases by accident.
const TTL: Duration = Duration::from_secs(1);

/// See what a paused process does to a shop: without a lock, with a naive lock, with Leasehold.
///
/// Starts worker processes that sell a limited stock, stops one of them between reading and writing for longer than
/// its lock lives, and counts what the shop has in the end. Needs no server and leaves nothing behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Items to sell.
    #[arg(long, value_name = "ITEMS", default_value_t = 30, value_parser = value_parser!(u32).range(12..=400))]
    stock: u32,
    /// Processes that sell.
    #[arg(long, value_name = "PROCESSES", default_value_t = 4, value_parser = value_parser!(u32).range(2..=12))]
    workers: u32,
    /// Seed of the payment times; who comes first is up to the machine all the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw what happened into this SVG file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Print the verdict as JSON, and every event as a line of JSON on stderr.
    #[arg(long)]
    pub(crate) json: bool,
    /// This process is a worker of a demonstration.
    #[arg(long, hide = true, value_name = "ASSIGNMENT")]
    worker: Option<Assignment>,
}

/// Runs the demonstration. The exit code is 0 only when it proves something.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    if let Some(assignment) = arguments.worker {
        return worker::run(assignment).await;
    }
    let env = Env::system()?;
    let plan = Plan { stock: arguments.stock, workers: arguments.workers, seed: arguments.seed, ttl: TTL };
    let mut view = View::new(&env, arguments.json);
    let played = play(&plan, &env, &mut view).await;
    view.clear();
    let played = match played {
        Ok(played) => played,
        Err(error) => return interrupted(error),
    };
    if let Some(path) = &arguments.svg {
        let picture = timeline::draw(&played.records, &played.lanes, &plan);
        std::fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let verdict = Verdict::of(played.lanes, &plan, played.elapsed.as_millis(), arguments.svg);
    print(&verdict, arguments.json)?;
    Ok(if verdict.proves { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Played {
    records: Vec<Record>,
    lanes: Vec<LaneVerdict>,
    elapsed: Duration,
}

/// Plays all lanes in a directory that is gone afterwards.
async fn play(plan: &Plan, env: &Env, view: &mut View) -> Result<Played> {
    let begin = env.now();
    let mut signals = Signals::listen()?;
    let home = tempfile::Builder::new().prefix("leasehold-demo-").tempdir();
    let home = home.context("cannot make a temporary directory")?;
    let (mut records, mut lanes) = (Vec::new(), Vec::new());
    for lane in Lane::ALL {
        let mut director = Director { plan, env, home: home.path(), view: &mut *view, signals: &mut signals };
        let record = director.play(lane).await?;
        let verdict = LaneVerdict::of(&record, plan);
        view.end(&verdict);
        records.push(record);
        lanes.push(verdict);
    }
    home.close().context("cannot remove the temporary directory")?;
    Ok(Played { records, lanes, elapsed: env.now().since(begin) })
}

fn interrupted(error: anyhow::Error) -> Result<ExitCode> {
    let interrupted = error.downcast::<Interrupted>()?;
    writeln!(std::io::stderr(), "leasehold: {interrupted}")?;
    Ok(ExitCode::from(interrupted.exit_code()))
}

fn print(verdict: &Verdict, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, verdict)?;
        return Ok(writeln!(out)?);
    }
    let paint = view::colours(out.is_terminal());
    write!(out, "{}", verdict.text(paint))?;
    match &verdict.svg {
        Some(path) => writeln!(out, "The picture of this run: {}", path.display())?,
        None => writeln!(out, "`leasehold demo --svg demo.svg` draws the picture of a run.")?,
    }
    Ok(())
}
