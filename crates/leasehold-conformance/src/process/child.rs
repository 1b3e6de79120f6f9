//! [`Child`]: a taker as the cases see it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, Stdio},
    time::Duration,
};

use leasehold_core::{Claim, Queueing};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{CaseResult, Failure, Test};

/// A second process on the backend. Killed and waited for when dropped, also when it is paused.
pub(super) struct Child {
    process: std::process::Child,
    input: ChildStdin,
    lines: UnboundedReceiver<String>,
}

fn broken(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(what, error.to_string())
}

impl Child {
    /// Starts one.
    pub(super) fn start(test: &Test) -> Result<Self, Failure> {
        let taker = test.fixture.taker.as_ref().ok_or_else(|| broken("a taker", "none was given"))?;
        let mut command = taker();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| broken("a taker that starts", error))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(broken("a taker with pipes", "it has none"));
        };
        let (send, lines) = unbounded_channel();
        // A thread of its own: reading from a pipe blocks, and ends when the process does.
        let reader = std::thread::Builder::new().name("taker".into()).spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let child = Child { process, input, lines };
        reader.map_err(|error| broken("a thread that reads from the taker", error))?;
        Ok(child)
    }

    /// `VERB ID TTL_MS NAME DELAY_MS`, the name in hexadecimal; without a lock-delay its time is left out.
    pub(super) fn verb(verb: &str, claim: &Claim) -> String {
        let name: String = claim.name.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("{verb} {} {} {name}", claim.id, claim.ttl.as_millis());
        match claim.lock_delay.as_millis() {
            0 => line,
            delay_ms => format!("{line} {delay_ms}"),
        }
    }

    /// The line that makes it claim.
    pub(super) fn claim(claim: &Claim) -> String {
        Child::verb(if claim.queueing == Queueing::Fifo { "queue" } else { "claim" }, claim)
    }

    /// Tells it something.
    pub(super) fn send(&mut self, line: &str) -> CaseResult {
        writeln!(self.input, "{line}").map_err(|error| broken("a taker that listens", error))
    }

    /// Its next line.
    pub(super) async fn answer(&mut self, test: &Test, within: Duration) -> Result<String, Failure> {
        match test.within(within, self.lines.recv()).await {
            Some(Some(line)) => Ok(line),
            Some(None) => Err(broken("a taker that answers", "it has ended")),
            None => Err(broken("a taker that answers", format!("nothing within {within:?}"))),
        }
    }

    /// Tells it something, and fails unless it answers `wanted`.
    pub(super) async fn expect(&mut self, test: &Test, wanted: &str, line: &str) -> CaseResult {
        self.send(line)?;
        let answer = self.answer(test, test.slack() * 2).await?;
        if answer == wanted {
            return Ok(());
        }
        let verb = line.split(' ').next().unwrap_or_default();
        Err(Failure::new(
            format!("another process's {verb} to be answered `{wanted}`"),
            format!("`{answer}`"),
        ))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// SIGKILL; returns when it is dead.
    pub(super) fn kill(&mut self) -> CaseResult {
        self.process.kill().map_err(|error| broken("a taker that can be killed", error))?;
        self.process.wait().map(drop).map_err(|error| broken("a taker that dies", error))
    }

    /// SIGSTOP; returns when it stands still.
    pub(super) fn pause(&self) -> CaseResult {
        kill_process(self.pid(), Signal::STOP)
            .map_err(|error| broken("a taker that can be paused", error))?;
        waitpid(Some(self.pid()), WaitOptions::UNTRACED)
            .map(drop)
            .map_err(|error| broken("a taker that stops", error))
    }

    /// SIGCONT.
    pub(super) fn resume(&self) -> CaseResult {
        kill_process(self.pid(), Signal::CONT).map_err(|error| broken("a taker that can go on", error))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be dead already; there is nothing else to be done about a failure here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
