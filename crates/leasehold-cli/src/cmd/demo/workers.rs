//! [`Workers`]: the worker processes of one round.

use std::{
    io::{Write, pipe},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::unix::pipe::Receiver,
};

use super::{config::WorkerArgs, event::Event};

/// The worker processes of one round; killed and reaped on drop.
pub(super) struct Workers {
    processes: Vec<Worker>,
    events: Lines<BufReader<Receiver>>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
}

impl Workers {
    /// Starts one process per worker.
    pub(super) fn start(workers: impl Iterator<Item = WorkerArgs>) -> Result<Workers> {
        // One pipe for all, so that the events keep their order.
        let (reader, writer) = pipe().context("cannot create a pipe")?;
        let events = Receiver::from_owned_fd(reader.into()).context("cannot read a pipe")?;
        let mut started = Workers { processes: Vec::new(), events: BufReader::new(events).lines() };
        for args in workers {
            let stdout = writer.try_clone().context("cannot share a pipe")?;
            started.processes.push(spawn(&args, stdout.into())?);
        }
        Ok(started)
    }

    /// The next event; `None` when all workers have ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        let line = self.events.next_line().await.context("cannot read the events of the workers")?;
        line.as_deref().map(Event::parse).transpose()
    }

    /// Lets a worker continue that waits for the start or for permission to write.
    pub(super) fn permit(&mut self, worker: u32) -> Result<()> {
        let stdin = &mut self.worker(worker)?.stdin;
        stdin.write_all(b"\n").with_context(|| format!("worker {worker} has ended"))
    }

    /// Stops a worker with SIGSTOP, and returns when the kernel reports it stopped.
    pub(super) fn pause(&mut self, worker: u32) -> Result<()> {
        let pid = self.pid(worker)?;
        kill_process(pid, Signal::STOP).with_context(|| format!("cannot stop worker {worker}"))?;
        let states = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let state = retry_on_intr(|| waitid(WaitId::Pid(pid), states));
        let state = state.with_context(|| format!("cannot wait for worker {worker}"))?;
        ensure!(state.is_some_and(|state| state.stopped()), "worker {worker} ended before it was stopped");
        Ok(())
    }

    /// Continues a stopped worker with SIGCONT.
    pub(super) fn resume(&mut self, worker: u32) -> Result<()> {
        let pid = self.pid(worker)?;
        kill_process(pid, Signal::CONT).with_context(|| format!("cannot continue worker {worker}"))
    }

    /// A worker that has ended, except for those in `finished`.
    pub(super) fn ended(&mut self, finished: &[u32]) -> Option<(u32, ExitStatus)> {
        let numbered = self.processes.iter_mut().zip(1..);
        let mut unfinished = numbered.filter(|(_, number)| !finished.contains(number));
        unfinished.find_map(|(worker, number)| Some((number, worker.child.try_wait().ok()??)))
    }

    fn worker(&mut self, worker: u32) -> Result<&mut Worker> {
        let index = (worker as usize).checked_sub(1);
        let process = index.and_then(|index| self.processes.get_mut(index));
        process.with_context(|| format!("there is no worker {worker}"))
    }

    fn pid(&mut self, worker: u32) -> Result<Pid> {
        let pid = i32::try_from(self.worker(worker)?.child.id()).ok().and_then(Pid::from_raw);
        pid.with_context(|| format!("worker {worker} has no process id"))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.processes {
            let _ = worker.child.kill();
        }
        for worker in &mut self.processes {
            let _ = worker.child.wait();
        }
    }
}

fn spawn(args: &WorkerArgs, stdout: Stdio) -> Result<Worker> {
    let program = std::env::current_exe().context("cannot find the program file of leasehold")?;
    let mut command = Command::new(program);
    command.args(["demo", "--worker", &serde_json::to_string(args)?]);
    // Its own process group: Ctrl-C reaches the parent only, which then ends the workers.
    command.stdin(Stdio::piped()).stdout(stdout).process_group(0);
    let mut child = command.spawn().context("cannot start a worker process")?;
    let stdin = child.stdin.take().context("a worker has no stdin")?;
    Ok(Worker { child, stdin })
}
