//! A test run from the start of the servers to the report.

use std::{
    fs::File,
    io::Write,
    process::ExitCode,
    sync::{Mutex, atomic::AtomicU32},
    thread::scope,
    time::Duration,
};

use anyhow::{Result, anyhow, bail, ensure};
use leasehold::env::Env;
use tempfile::TempDir;

use super::{
    args::RunArguments,
    environment::Environment,
    history_writer::{HistoryWriter, gather, keep},
    model::{EnvironmentKind, now_us},
    nemesis::Nemesis,
    report::{Outcome, RunReport, judge},
    resource::Resource,
    workers::Workers,
    workload::Workload,
};
use crate::{
    history::{Event, EventKind},
    sync::{StopFlag, sleep},
};

const END_TIMEOUT: Duration = Duration::from_secs(20);
/// The time after the recovery bound until the workers stop.
const MARGIN: Duration = Duration::from_secs(2);
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const FAULTS_MIN: Duration = Duration::from_secs(5);
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// The time of a probe that takes 50 ms, and a write to the disk, which shows that the machine stood still.
const STALL_MIN: Duration = Duration::from_secs(2);
const STALLS_MAX: u32 = 5;
/// The exit code of a run that proved nothing.
const PROVES_NOTHING: u8 = 2;

/// Runs all requested environments, one after the other.
pub(super) fn run_all(arguments: &RunArguments) -> Result<ExitCode> {
    let mut worst = Outcome::Kept;
    for store in &arguments.store {
        let report = run(*store, arguments)?;
        if arguments.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        worst = worst.max(report.outcome);
    }
    Ok(match worst {
        Outcome::Kept => ExitCode::SUCCESS,
        Outcome::ProvesNothing => ExitCode::from(PROVES_NOTHING),
        Outcome::Broken => ExitCode::FAILURE,
    })
}

fn run(store: EnvironmentKind, arguments: &RunArguments) -> Result<RunReport> {
    let count = arguments.workers.max(2);
    let environment = Environment::start(store, count)?;
    let bound = environment.assumptions.heal_bound + MARGIN;
    let faults = Duration::from_secs(arguments.seconds).saturating_sub(bound);
    let least = (bound + FAULTS_MIN).as_secs();
    ensure!(faults >= FAULTS_MIN, "a run on {store} takes at least {least} s, recovery included");
    let place = arguments.keep.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&place)?;
    let prefix = format!("leasehold-torture-{store}-{}-", arguments.seed);
    let histories = tempfile::Builder::new().prefix(&prefix).tempdir_in(place)?;
    let log = HistoryWriter::of_faults(histories.path(), &Env::system()?)?;
    let resource = Resource::open()?;
    let workers = Workers {
        environment: &environment,
        log: &log,
        resource: resource.address()?.to_string(),
        histories: histories.path().to_path_buf(),
        seed: arguments.seed,
        places: (0..count).map(|_| Mutex::default()).collect(),
        last: AtomicU32::new(0),
    };
    let nemesis = Nemesis { workers, resource: &resource, stop: StopFlag::default() };
    let containers = scope(|scope| {
        resource.serve(scope)?;
        let played = play(&nemesis, faults, bound);
        // The scope ends when all connections to the resource are closed.
        let ended = nemesis.workers.await_end(Duration::ZERO);
        resource.close();
        ended.and(played)
    })?;
    conclude(store, arguments, &nemesis, histories, containers)
}

/// Faults, then recovery, then the end; returns the number of workers in containers.
fn play(nemesis: &Nemesis<'_>, faults: Duration, bound: Duration) -> Result<usize> {
    nemesis.workers.start()?;
    scope(|scope| -> Result<()> {
        let first = scope.spawn(|| stopping(&nemesis.stop, nemesis.strike_workers(0)));
        let second = scope.spawn(|| stopping(&nemesis.stop, nemesis.strike_workers(1)));
        let servers = scope.spawn(|| stopping(&nemesis.stop, nemesis.strike_servers()));
        await_controls(nemesis, faults);
        nemesis.stop.set();
        let joined = [first, second, servers].map(|thread| thread.join());
        let panicked = || anyhow!("the nemesis panicked");
        joined.into_iter().try_for_each(|end| end.unwrap_or_else(|_| Err(panicked())))
    })?;
    nemesis.workers.environment.heal()?;
    await_recovery(&nemesis.workers, bound)?;
    let containers = nemesis.workers.containers()?;
    nemesis.resource.stop_workers();
    nemesis.workers.await_end(END_TIMEOUT)?;
    Ok(containers)
}

/// Waits for the recovery bound. It begins again after a time in which the disk or the machine stood still: a fault that nobody
/// has planned.
fn await_recovery(workers: &Workers<'_>, bound: Duration) -> Result<()> {
    let env = Env::system()?;
    let mut file = File::create(workers.histories.join("probe"))?;
    for _ in 0..STALLS_MAX {
        workers.log.record(0, EventKind::Healed)?;
        let end = env.now() + bound;
        let stalled = loop {
            let begin = env.now();
            if begin >= end {
                return Ok(());
            }
            file.write_all(b"x").and_then(|()| file.sync_data())?;
            sleep(PROBE_INTERVAL.min(end.since(begin)));
            let took = env.now().since(begin);
            if took >= STALL_MIN {
                break format!("{took:.1?}");
            }
        };
        workers.log.fault("machine stalled", &stalled, false)?;
        workers.log.fault("machine stalled", &stalled, true)?;
    }
    bail!("the machine stalled {STALLS_MAX} times during the recovery")
}

/// Lets the faults last for that long, and up to twice as long until every control has lost an update: whether it does
/// is chance, and on a busy machine less happens.
fn await_controls(nemesis: &Nemesis<'_>, faults: Duration) {
    nemesis.stop.wait(faults);
    let mut more = faults;
    let has_lost = |workload| nemesis.resource.counter(workload).is_some_and(|counter| counter.lost() > 0);
    let all_lost = || Workload::all().all(|it| !it.is_control() || has_lost(it));
    while !all_lost() && !more.is_zero() && nemesis.stop.wait(CHECK_INTERVAL.min(more)) {
        more = more.saturating_sub(CHECK_INTERVAL);
    }
}

/// Ends the run when a thread of the nemesis has failed.
fn stopping(stop: &StopFlag, outcome: Result<()>) -> Result<()> {
    if outcome.is_err() {
        stop.set();
    }
    outcome
}

fn conclude(
    store: EnvironmentKind,
    arguments: &RunArguments,
    run: &Nemesis<'_>,
    histories: TempDir,
    containers: usize,
) -> Result<RunReport> {
    let assumptions = &run.workers.environment.assumptions;
    let mut workloads = Vec::new();
    for workload in Workload::all() {
        let mut events = gather(histories.path(), workload)?;
        let value = run.resource.counter(workload).map_or(0, |counter| counter.value());
        let at_us = now_us(&Env::system()?);
        let kind = EventKind::Final { resource: workload.name(), value };
        events.push(Event { at_us, process: 0, kind });
        keep(histories.path(), workload, &events)?;
        workloads.push(judge(workload, assumptions, &events));
    }
    let outcome = RunReport::outcome(&workloads);
    let is_kept = arguments.keep.is_some() || outcome == Outcome::Broken;
    let histories = is_kept.then(|| histories.keep());
    let (seed, seconds, workers) = (arguments.seed, arguments.seconds, arguments.workers.max(2));
    let replay =
        format!("cargo xtask torture --store {store} --seed {seed} --seconds {seconds} --workers {workers}");
    let exclusive = assumptions.exclusive();
    Ok(RunReport {
        store,
        seed,
        seconds,
        workers,
        containers,
        outcome,
        exclusive,
        replay,
        histories,
        workloads,
    })
}
