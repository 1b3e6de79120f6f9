//! [`Crew`]: the worker processes of one lane. They die with it, on every way out.

use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::unix::pipe::Receiver,
    process::{Child, ChildStdin, Command},
};

use super::{event::Event, plan::Assignment};

/// The worker processes of one lane.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    events: Lines<BufReader<Receiver>>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
}

impl Crew {
    /// Starts one process for each assignment: this very program with a hidden argument.
    pub(crate) fn start(assignments: impl Iterator<Item = Assignment>) -> Result<Crew> {
        // One pipe for all: its order is the order in which things were said.
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let workers = assignments.map(|assignment| {
            let stdout = writer.try_clone().context("cannot share a pipe")?;
            spawn(&assignment, stdout.into())
        });
        let workers = workers.collect::<Result<Vec<_>>>()?;
        let events = Receiver::from_owned_fd(reader.into()).context("cannot read a pipe")?;
        Ok(Crew { workers, events: BufReader::new(events).lines() })
    }

    /// What is said next; `None` when all workers have ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        let line = self.events.next_line().await.context("cannot hear the workers")?;
        line.as_deref().map(Event::read).transpose()
    }

    /// Gives a worker the word to go on; it is kept for one that is stopped.
    pub(crate) async fn give_word(&mut self, worker: u32) -> Result<()> {
        let stdin = &mut self.worker(worker)?.stdin;
        stdin.write_all(b"\n").await.with_context(|| format!("worker {worker} has ended"))
    }

    /// Stops a worker's process, and returns when the kernel says that it stands still.
    pub(crate) fn pause(&mut self, worker: u32) -> Result<()> {
        let pid = self.pid(worker)?;
        kill_process(pid, Signal::STOP).with_context(|| format!("cannot stop worker {worker}"))?;
        let news = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let news = retry_on_intr(|| waitid(WaitId::Pid(pid), news))
            .with_context(|| format!("cannot watch worker {worker}"))?;
        anyhow::ensure!(
            news.is_some_and(|it| it.stopped()),
            "worker {worker} ended when it was to be stopped"
        );
        Ok(())
    }

    /// Lets a stopped process go on.
    pub(crate) fn wake(&mut self, worker: u32) -> Result<()> {
        let pid = self.pid(worker)?;
        kill_process(pid, Signal::CONT).with_context(|| format!("cannot continue worker {worker}"))
    }

    /// A worker whose process has ended, and how, unless it is one of those `gone` home.
    pub(crate) fn fallen(&mut self, gone: &[u32]) -> Option<(u32, ExitStatus)> {
        let numbered = self.workers.iter_mut().zip(1..);
        let mut missing = numbered.filter(|(_, number)| !gone.contains(number));
        missing.find_map(|(worker, number)| Some((number, worker.child.try_wait().ok()??)))
    }

    /// Kills whoever still lives, also the stopped ones, and waits until all are gone.
    pub(crate) async fn end(mut self) {
        for worker in &mut self.workers {
            // An error says that it has ended by itself.
            let _ = worker.child.start_kill();
        }
        for worker in &mut self.workers {
            let _ = worker.child.wait().await;
        }
    }

    fn worker(&mut self, worker: u32) -> Result<&mut Worker> {
        let index = (worker as usize).checked_sub(1);
        index.and_then(|it| self.workers.get_mut(it)).with_context(|| format!("there is no worker {worker}"))
    }

    fn pid(&mut self, worker: u32) -> Result<Pid> {
        let pid = self.worker(worker)?.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        pid.with_context(|| format!("worker {worker} has ended"))
    }
}

fn spawn(assignment: &Assignment, stdout: Stdio) -> Result<Worker> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.args(["demo", "--worker", &serde_json::to_string(assignment)?]);
    command.stdin(Stdio::piped()).stdout(stdout).kill_on_drop(true);
    // Ctrl-C is for the parent, which then ends the workers: not one race between all of them.
    command.process_group(0);
    let mut child = command.spawn().context("cannot start a worker process")?;
    let stdin = child.stdin.take().context("a worker has no stdin")?;
    Ok(Worker { child, stdin })
}
