//! [`Workers`]: the worker processes of one round.

use std::{
    io::{Write, pipe},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
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
    processes: Vec<Child>,
    events: Lines<BufReader<Receiver>>,
}

impl Workers {
    pub(super) fn spawn(workers: impl Iterator<Item = WorkerArgs>) -> Result<Workers> {
        let program = std::env::current_exe().context("cannot find the program file of leasehold")?;
        // One pipe for all, so that the events keep their order.
        let (reader, writer) = pipe().context("cannot create a pipe")?;
        let events = Receiver::from_owned_fd(reader.into()).context("cannot read a pipe")?;
        let mut spawned = Workers { processes: Vec::new(), events: BufReader::new(events).lines() };
        for args in workers {
            let mut command = Command::new(&program);
            command.args(["demo", "--worker", &serde_json::to_string(&args)?]);
            // Its own process group: Ctrl-C reaches the parent only, which then ends the workers.
            command.stdin(Stdio::piped()).stdout(writer.try_clone()?).process_group(0);
            spawned.processes.push(command.spawn().context("cannot start a worker process")?);
        }
        Ok(spawned)
    }

    /// The next event; `None` when all workers have ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        let Some(line) = self.events.next_line().await.context("cannot read the workers' events")? else {
            return Ok(None);
        };
        serde_json::from_str(&line).with_context(|| format!("a worker printed `{line}`"))
    }

    pub(super) fn start(&mut self) -> Result<()> {
        for process in &mut self.processes {
            let mut stdin = process.stdin.take().context("a worker has no stdin")?;
            stdin.write_all(b"\n").context("a worker has ended before the start")?;
        }
        Ok(())
    }

    /// Returns when the kernel reports a worker stopped.
    pub(super) fn wait_until_stopped(&self, worker: u32) -> Result<()> {
        let states = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let pid = self.pid(worker)?;
        let state = retry_on_intr(|| waitid(WaitId::Pid(pid), states)).context("cannot wait for a worker")?;
        ensure!(state.is_some_and(|state| state.stopped()), "worker {worker} ended instead of stopping");
        Ok(())
    }

    pub(super) fn resume(&self, worker: u32) -> Result<()> {
        kill_process(self.pid(worker)?, Signal::CONT).context("cannot continue a worker")
    }

    /// The exit status of a worker that failed.
    pub(super) fn failure(&mut self) -> Option<ExitStatus> {
        let mut ended = self.processes.iter_mut().filter_map(|process| process.try_wait().ok()?);
        ended.find(|status| !status.success())
    }

    fn pid(&self, worker: u32) -> Result<Pid> {
        let process = self.processes.get((worker as usize).wrapping_sub(1));
        process.map(Pid::from_child).with_context(|| format!("there is no worker {worker}"))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
        }
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}
