//! [`Workers`]: the worker processes. A worker that is killed is replaced by another process in its place.

use std::{
    fs::File,
    path::PathBuf,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use leasehold_testkit::{process::Process, wait};

use super::{environment::Environment, history_writer::HistoryWriter};
use crate::{history::EventKind, sync::lock};

pub(super) struct Workers<'r> {
    pub(super) environment: &'r Environment,
    pub(super) log: &'r HistoryWriter,
    /// The address of the resource.
    pub(super) resource: String,
    pub(super) histories: PathBuf,
    pub(super) seed: u64,
    pub(super) places: Vec<Mutex<Option<Worker>>>,
    /// The number of the last worker.
    pub(super) last: AtomicU32,
}

pub(super) struct Worker {
    number: u32,
    process: Process,
    paused: bool,
}

impl Workers<'_> {
    pub(super) fn start(&self) -> Result<()> {
        for (at, place) in self.places.iter().enumerate() {
            *lock(place) = Some(self.start_worker(at)?);
        }
        Ok(())
    }

    fn start_worker(&self, place: usize) -> Result<Worker> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let program = std::env::current_exe()?;
        let program = program.to_str().context("the path of this program is not UTF-8")?;
        let log = File::create(self.histories.join(format!("{number}.log")))?;
        let output = log.try_clone()?;
        let process = Process::start(program, |command| {
            command.args(["torture", "work", "--process", &number.to_string()]);
            command.args(["--url", &self.environment.url(place), "--resource", &self.resource]);
            command.args(["--seed", &self.seed.to_string()]).arg("--histories").arg(&self.histories);
            let servers = self.environment.raw_servers(place);
            if !servers.is_empty() {
                command.args(["--servers", &servers.join(",")]);
            }
            command.stdin(Stdio::null()).stdout(output).stderr(log);
        })?;
        Ok(Worker { number, process, paused: false })
    }

    /// Applies `act` to a worker with its place; `None`: it has been replaced.
    fn with<T>(&self, number: u32, act: impl FnOnce(usize, &mut Worker) -> Result<T>) -> Result<Option<T>> {
        for (at, place) in self.places.iter().enumerate() {
            if let Some(worker) = lock(place).as_mut().filter(|worker| worker.number == number) {
                return act(at, worker).map(Some);
            }
        }
        Ok(None)
    }

    /// SIGSTOP; whether the worker was running.
    pub(super) fn pause(&self, number: u32) -> Result<bool> {
        let paused = self.with(number, |_, worker| {
            let was_running = !worker.paused;
            worker.process.pause()?;
            worker.paused = true;
            Ok(was_running)
        });
        paused.map(|paused| paused.unwrap_or(false))
    }

    /// SIGCONT.
    pub(super) fn resume(&self, number: u32) -> Result<()> {
        let resumed = self.with(number, |_, worker| {
            worker.paused = false;
            Ok(worker.process.resume()?)
        });
        resumed.map(|_| ())
    }

    /// SIGKILL, and another process in its place.
    pub(super) fn replace(&self, number: u32) -> Result<()> {
        let replaced = self.with(number, |place, worker| {
            // Recorded before: another may get its lock the moment it is dead.
            self.log.record(number, EventKind::Gone)?;
            worker.process.kill();
            *worker = self.start_worker(place)?;
            Ok(())
        });
        replaced.map(|_| ())
    }

    /// Waits until all have ended, and kills those that have not within the limit.
    pub(super) fn await_end(&self, limit: Duration) -> Result<()> {
        let running = |place: &Mutex<Option<Worker>>| {
            lock(place).as_mut().is_some_and(|worker| worker.process.is_running())
        };
        wait::until(limit, || !self.places.iter().any(running));
        for place in &self.places {
            if let Some(mut worker) = lock(place).take()
                && worker.process.is_running()
            {
                self.log.record(worker.number, EventKind::Gone)?;
                worker.process.kill();
            }
        }
        Ok(())
    }
}
