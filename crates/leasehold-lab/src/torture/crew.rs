//! [`Crew`]: the worker processes. Each has a place, and whoever is killed is followed by another at that place.

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

use leasehold_testkit::{process::Process, wait};

use crate::torture::{
    failure::{Failure, Result},
    nemesis::Chronicle,
    pace::lock,
    scene::Scene,
};

/// All of them.
pub(crate) struct Crew<'r> {
    pub(crate) scene: &'r dyn Scene,
    pub(crate) chronicle: &'r Chronicle,
    pub(crate) resource: String,
    pub(crate) histories: PathBuf,
    pub(crate) seed: u64,
    places: Vec<Mutex<Option<Worker>>>,
    last: AtomicU32,
}

struct Worker {
    number: u32,
    process: Process,
    stopped: bool,
}

impl<'r> Crew<'r> {
    pub(crate) fn new(
        scene: &'r dyn Scene,
        chronicle: &'r Chronicle,
        resource: String,
        histories: PathBuf,
        seed: u64,
        places: usize,
    ) -> Self {
        let places = (0..places).map(|_| Mutex::default()).collect();
        Self { scene, chronicle, resource, histories, seed, places, last: AtomicU32::new(0) }
    }

    /// Fills all places.
    pub(crate) fn start(&self) -> Result<()> {
        for (at, place) in self.places.iter().enumerate() {
            *lock(place) = Some(self.start_worker(at)?);
        }
        Ok(())
    }

    fn start_worker(&self, place: usize) -> Result<Worker> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let program = std::env::current_exe()?;
        let program = program.to_str().ok_or_else(|| Failure("this program has an odd path".into()))?;
        let log = File::create(self.histories.join(format!("{number}.log")))?;
        let output = log.try_clone()?;
        let process = Process::start(program, |command| {
            command.args([
                "torture",
                "work",
                "--process",
                &number.to_string(),
                "--url",
                &self.scene.url(place),
            ]);
            command.args(["--resource", &self.resource, "--seed", &self.seed.to_string()]);
            command.arg("--histories").arg(&self.histories);
            let servers = self.scene.servers(place);
            if !servers.is_empty() {
                command.args(["--servers", &servers.join(",")]);
            }
            command.stdin(Stdio::null()).stdout(output).stderr(log);
        })?;
        Ok(Worker { number, process, stopped: false })
    }

    /// Does that to a worker; `None` when it is no longer there.
    fn with<T>(&self, number: u32, deed: impl FnOnce(usize, &mut Worker) -> Result<T>) -> Result<Option<T>> {
        for (at, place) in self.places.iter().enumerate() {
            if let Some(worker) = lock(place).as_mut().filter(|worker| worker.number == number) {
                return deed(at, worker).map(Some);
            }
        }
        Ok(None)
    }

    /// SIGSTOP; whether it went on until now.
    pub(crate) fn pause(&self, number: u32) -> Result<bool> {
        let paused = self.with(number, |_, worker| {
            let went_on = !worker.stopped;
            worker.process.pause()?;
            worker.stopped = true;
            Ok(went_on)
        });
        paused.map(|paused| paused.unwrap_or(false))
    }

    /// SIGCONT.
    pub(crate) fn resume(&self, number: u32) -> Result<()> {
        let resumed = self.with(number, |_, worker| {
            worker.stopped = false;
            Ok(worker.process.resume()?)
        });
        resumed.map(|_| ())
    }

    /// SIGKILL, and another at its place.
    pub(crate) fn replace(&self, number: u32) -> Result<()> {
        let replaced = self.with(number, |place, worker| {
            // Said before: its lock may be another's the moment it is dead.
            self.chronicle.gone(number);
            worker.process.kill();
            *worker = self.start_worker(place)?;
            Ok(())
        });
        replaced.map(|_| ())
    }

    /// Waits until all have ended by themselves, and ends those that have not: answers how many these were.
    pub(crate) fn await_end(&self, limit: Duration) -> usize {
        let running = |place: &Mutex<Option<Worker>>| {
            lock(place).as_mut().is_some_and(|worker| worker.process.is_running())
        };
        wait::until(limit, || !self.places.iter().any(running));
        let mut ended = 0;
        for place in &self.places {
            if let Some(mut worker) = lock(place).take()
                && worker.process.is_running()
            {
                self.chronicle.gone(worker.number);
                worker.process.kill();
                ended += 1;
            }
        }
        ended
    }
}
