//! [`Workers`]: the worker processes. A worker that is killed is replaced by another process in its place.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use leasehold_testkit::{process::Process, wait};
use rustix::process::{Pid, Signal, kill_process};

use super::{environment::Environment, history_writer::HistoryWriter};
use crate::{history::EventKind, sync::lock};

/// Starts a program where the kernel seems to have another identity of its boot, as in containers of LXC and nspawn.
const ENTER: &str = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"";
const BOOT_ID: &str = "00000000-1111-4222-8333-444444444444\n";
/// The time limit for a container to start or to end.
const CONTAINER_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// The worker; of one in a container unshare(1), which ends with it.
    process: Process,
    /// The worker in a container.
    inner: Option<Pid>,
    paused: bool,
}

impl Worker {
    fn pause(&mut self) -> Result<()> {
        match self.inner {
            Some(inner) => Ok(kill_process(inner, Signal::STOP)?),
            None => Ok(self.process.pause()?),
        }
    }

    fn resume(&mut self) -> Result<()> {
        match self.inner {
            Some(inner) => Ok(kill_process(inner, Signal::CONT)?),
            None => Ok(self.process.resume()?),
        }
    }

    /// SIGKILL; returns when the worker is gone.
    fn kill(&mut self) {
        if let Some(inner) = self.inner {
            // It may be gone already.
            let _ = kill_process(inner, Signal::KILL);
            wait::until(CONTAINER_TIMEOUT, || !self.process.is_running());
        }
        self.process.kill();
    }
}

/// Starts a program in mount and process namespaces of its own; returns unshare(1) and the program.
fn contain(program: &Path, boot_id: &Path, prepare: impl FnOnce(&mut Command)) -> Result<(Process, Pid)> {
    fs::write(boot_id, BOOT_ID)?;
    // Without root, a user namespace gives the right to mount.
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let process = Process::start("unshare", |command| {
        command.args((!is_root).then_some("--map-root-user"));
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", ENTER, "sh"]);
        command.arg(boot_id).arg(program);
        prepare(command);
    })?;
    let (id, mut inner) = (process.id(), None);
    wait::until(CONTAINER_TIMEOUT, || {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        inner = children.trim().parse().ok().and_then(Pid::from_raw);
        inner.is_some()
    });
    Ok((process, inner.context("a container has not started")?))
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
        let log = File::create(self.histories.join(format!("{number}.log")))?;
        let output = log.try_clone()?;
        let prepare = |command: &mut Command| {
            command.args(["torture", "work", "--process", &number.to_string()]);
            command.args(["--url", &self.environment.url(place), "--resource", &self.resource]);
            command.args(["--seed", &self.seed.to_string()]).arg("--histories").arg(&self.histories);
            let servers = self.environment.raw_servers(place);
            if !servers.is_empty() {
                command.args(["--servers", &servers.join(",")]);
            }
            command.stdin(Stdio::null()).stdout(output).stderr(log);
        };
        let (process, inner) = if self.environment.is_container(place) {
            let boot_id = self.histories.join("boot_id");
            contain(&program, &boot_id, prepare).map(|(process, inner)| (process, Some(inner)))?
        } else {
            let program = program.to_str().context("the path of this program is not UTF-8")?;
            (Process::start(program, prepare)?, None)
        };
        Ok(Worker { number, process, inner, paused: false })
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
            worker.pause()?;
            worker.paused = true;
            Ok(was_running)
        });
        paused.map(|paused| paused.unwrap_or(false))
    }

    /// SIGCONT.
    pub(super) fn resume(&self, number: u32) -> Result<()> {
        let resumed = self.with(number, |_, worker| {
            worker.paused = false;
            worker.resume()
        });
        resumed.map(|_| ())
    }

    /// SIGKILL, and another process in its place.
    pub(super) fn replace(&self, number: u32) -> Result<()> {
        let replaced = self.with(number, |place, worker| {
            // Recorded before: another may get its lock the moment it is dead.
            self.log.record(number, EventKind::Gone)?;
            worker.kill();
            *worker = self.start_worker(place)?;
            Ok(())
        });
        replaced.map(|_| ())
    }

    /// The number of workers in process namespaces of their own. Fails if a worker has ended by itself.
    pub(super) fn containers(&self) -> Result<usize> {
        let namespace = |id: u32| fs::read_link(format!("/proc/{id}/ns/pid"));
        let (ours, mut containers) = (namespace(std::process::id())?, 0);
        for place in &self.places {
            let mut place = lock(place);
            let worker = place.as_mut().context("a worker is missing")?;
            ensure!(worker.process.is_running(), "worker {} ended by itself", worker.number);
            if let Some(inner) = worker.inner {
                containers += usize::from(namespace(inner.as_raw_nonzero().get() as u32)? != ours);
            }
        }
        Ok(containers)
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
                worker.kill();
            }
        }
        Ok(())
    }
}
