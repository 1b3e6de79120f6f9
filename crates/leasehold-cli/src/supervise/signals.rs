//! Signals that leasehold receives.

use std::{future::poll_fn, io, task::Poll};

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::{exit::CliError, platform::platform};

/// Signals that end a wait for the lock.
const ENDING: [Signal; 6] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];
/// Signals that matter once the command runs.
const OF_CHILD: [Signal; 4] = [Signal::CHILD, Signal::CONT, Signal::TSTP, Signal::WINCH];

pub(crate) struct Signals {
    streams: Vec<(Signal, Stream)>,
    has_child: bool,
}

impl Signals {
    /// Handles the signals that would end this process. Signals that are ignored at the start (`nohup`, background jobs of a
    /// shell) stay ignored, also by the command.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = platform().ignored_signals();
        let mut signals = Signals { streams: Vec::new(), has_child: false };
        ENDING.into_iter().filter(|one| !is_in(ignored, *one)).try_for_each(|one| signals.add(one))?;
        Ok(signals)
    }

    pub(crate) fn expect_child(&mut self) -> io::Result<()> {
        if self.has_child {
            return Ok(());
        }
        self.has_child = true;
        OF_CHILD.into_iter().try_for_each(|one| self.add(one))
    }

    fn add(&mut self, one: Signal) -> io::Result<()> {
        self.streams.push((one, signal(SignalKind::from_raw(one.as_raw()))?));
        Ok(())
    }

    /// The next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut ready = self
                .streams
                .iter_mut()
                .filter_map(|(one, stream)| stream.poll_recv(context).is_ready().then_some(*one));
            ready.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The next signal that ends a wait. Cancel safe.
    pub(crate) async fn ending(&mut self) -> Signal {
        loop {
            let one = self.next().await;
            if ENDING.contains(&one) {
                return one;
            }
        }
    }

    /// The output of `future`, unless a signal ends the wait for it.
    pub(crate) async fn unless_ended<T>(&mut self, future: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            signal = self.ending() => Err(CliError::interrupted(signal)),
            output = future => Ok(output),
        }
    }
}

/// Whether a signal asks a process to end. User-defined signals may have any meaning.
pub(crate) fn asks_to_end(signal: Signal) -> bool {
    matches!(signal, Signal::TERM | Signal::INT | Signal::HUP | Signal::QUIT)
}

fn is_in(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal.as_raw() - 1)) != 0
}
