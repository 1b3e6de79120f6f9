//! A worker process: one thread for each workload, which locks, reads, waits, writes one more and releases, in a loop.

use std::{thread::scope, time::Duration};

use anyhow::{Result, anyhow};
use leasehold::env::Env;

use super::{
    args::WorkArguments,
    history_writer::HistoryWriter,
    lock::{self, Acquired, HoldState, Lock},
    resource::ResourceClient,
    workload::Workload,
};
use crate::{history::EventKind, rng::Rng, sync::sleep};

const WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// The interval between two checks of the lease during the work.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Attempts of one process, so that their numbers are unique in a run.
const ATTEMPTS_MAX: u64 = 1_000_000;

/// Runs all workloads until the resource stops them.
pub(super) fn run(arguments: &WorkArguments) -> Result<()> {
    let env = Env::system()?;
    scope(|scope| {
        let mut threads = Vec::new();
        for workload in Workload::all() {
            let thread = WorkerThread::new(workload, arguments, &env)?;
            let work = move || thread.work(arguments);
            threads.push(std::thread::Builder::new().name(workload.name()).spawn_scoped(scope, work)?);
        }
        let panicked = || anyhow!("a workload panicked");
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(panicked())))
    })
}

/// One workload of one process.
struct WorkerThread {
    workload: Workload,
    process: u32,
    history: HistoryWriter,
    resource: ResourceClient,
    rng: Rng,
    env: Env,
    attempt: u64,
}

impl WorkerThread {
    fn new(workload: Workload, arguments: &WorkArguments, env: &Env) -> Result<Self> {
        let process = arguments.process;
        let seed = arguments.seed ^ u64::from(process) << 32;
        Ok(Self {
            workload,
            process,
            history: HistoryWriter::of_process(&arguments.histories, workload, process, env)?,
            resource: ResourceClient::open(&arguments.resource, workload, process)?,
            rng: Rng::new(seed).split(100 + workload as u64),
            env: env.clone(),
            attempt: u64::from(process) * ATTEMPTS_MAX,
        })
    }

    fn work(mut self, arguments: &WorkArguments) -> Result<()> {
        let mut connected = None;
        while self.resource.goes_on() {
            if connected.is_none() {
                // The log of the process keeps this message.
                let failed = |error| eprintln!("{}: {error:#}", self.workload.name());
                connected = lock::connect(self.workload, arguments).map_err(failed).ok();
            }
            match &mut connected {
                Some(lock) => self.iterate(lock.as_mut())?,
                None => sleep(PAUSE),
            }
        }
        Ok(())
    }

    fn iterate(&mut self, lock: &mut dyn Lock) -> Result<()> {
        self.attempt += 1;
        let (attempt, name) = (self.attempt, self.workload.name());
        self.record(EventKind::Ask { attempt, lock: name, shared: false })?;
        match lock.acquire(WAIT) {
            Acquired::Granted(token) => {
                let deadline_us = lock.hold().deadline_us;
                self.record(EventKind::Grant { attempt, token, deadline_us })?;
                self.increment(lock, token, deadline_us)?;
                self.release(lock)?;
                // Gives other processes a chance.
                sleep(self.rng.span_ms(0, 60));
                Ok(())
            }
            Acquired::Busy => self.record(EventKind::Busy { attempt }),
            Acquired::Failed { unknown } => {
                self.record(EventKind::Fail { attempt, unknown })?;
                sleep(PAUSE);
                Ok(())
            }
        }
    }

    fn increment(&mut self, lock: &dyn Lock, token: Option<u64>, deadline_us: Option<u64>) -> Result<()> {
        let (attempt, resource) = (self.attempt, self.workload.name());
        let seen = self.resource.read(token)?;
        self.record(EventKind::Read { attempt, resource: resource.clone(), value: seen })?;
        let Some(seen) = seen else { return Ok(()) };
        self.think(lock, HoldState { deadline_us, lost: false })?;
        if self.workload == Workload::Deadline && lock.hold().lost {
            return Ok(());
        }
        let value = seen + 1;
        let write = |accepted| EventKind::Write { attempt, resource: resource.clone(), value, accepted };
        self.record(write(None))?;
        let accepted = self.resource.write(token, value)?;
        self.record(write(Some(accepted)))
    }

    fn record(&self, kind: EventKind) -> Result<()> {
        self.history.record(self.process, kind)
    }

    /// Waits by the clock, so that a process that was paused meanwhile writes as soon as it goes on.
    fn think(&mut self, lock: &dyn Lock, mut known: HoldState) -> Result<()> {
        let end = self.env.now() + self.rng.span_ms(100, 450);
        while self.env.now() < end {
            sleep(CHECK_INTERVAL.min(end.since(self.env.now())));
            self.record_changes(lock.hold(), &mut known)?;
        }
        Ok(())
    }

    fn record_changes(&mut self, now: HoldState, known: &mut HoldState) -> Result<()> {
        let attempt = self.attempt;
        if now.lost && !known.lost {
            known.lost = true;
            self.record(EventKind::Lost { attempt })?;
        }
        match now.deadline_us {
            Some(deadline_us) if now.deadline_us > known.deadline_us && !known.lost => {
                known.deadline_us = now.deadline_us;
                self.record(EventKind::Extend { attempt, deadline_us })
            }
            _ => Ok(()),
        }
    }

    fn release(&mut self, lock: &mut dyn Lock) -> Result<()> {
        let attempt = self.attempt;
        self.record(EventKind::Release { attempt })?;
        if lock.release() {
            self.record(EventKind::Released { attempt })?;
        }
        Ok(())
    }
}
