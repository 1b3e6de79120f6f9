//! [`Lock`]: the way in which a workload takes its lock and gives it back.

use std::time::Duration;

use anyhow::Result;
use leasehold::{Client, Mutex, MutexGuard, store::Outcome};

use super::{args::WorkArguments, model::TTL, workload::Workload};
use crate::{naive_redis::NaiveRedis, rng::Rng, sync::sleep};

/// One lock of one worker.
pub(super) trait Lock {
    /// Asks for it until the time limit.
    fn acquire(&mut self, wait: Duration) -> Acquired;
    /// The state of the hold, while it is held.
    fn hold(&self) -> HoldState;
    /// Gives it back; whether that was confirmed.
    fn release(&mut self) -> bool;
}

/// The answer to a request for the lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Acquired {
    /// Granted, with the fencing token if there is one.
    Granted(Option<u64>),
    /// Held by another.
    Busy,
    /// An error; `unknown`: the lock may be held all the same.
    Failed { unknown: bool },
}

/// The holder's knowledge of its hold.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct HoldState {
    /// The deadline on the clock of the run; `None`: a naive client has none.
    pub(super) deadline_us: Option<u64>,
    /// Whether the lease is known to be lost.
    pub(super) lost: bool,
}

pub(super) fn connect(workload: Workload, arguments: &WorkArguments) -> Result<Box<dyn Lock>> {
    if workload.is_leasehold() || arguments.servers.is_empty() {
        return Ok(Box::new(Library::connect(&arguments.url, workload)?));
    }
    let seed = arguments.seed ^ u64::from(arguments.process);
    Ok(Box::new(RawRedis::new(&arguments.servers, workload, seed)))
}

/// Leasehold. The naive workloads use it too where the store has no protocol of three commands: they ignore the lease
/// then, as a client does that believes in a node once it has created it.
struct Library {
    client: Client,
    mutex: Mutex,
    held: Option<MutexGuard>,
    workload: Workload,
}

impl Library {
    fn connect(url: &str, workload: Workload) -> Result<Self> {
        let client = Client::blocking_connect(url)?;
        let mutex = client.mutex(workload.name())?;
        Ok(Self { client, mutex, held: None, workload })
    }
}

impl Lock for Library {
    fn acquire(&mut self, wait: Duration) -> Acquired {
        match self.mutex.blocking_try_lock_for(wait) {
            Ok(Some(guard)) => {
                let token = guard.lease().fencing_token().filter(|_| self.workload.is_leasehold());
                self.held = Some(guard);
                Acquired::Granted(token.map(|token| token.get()))
            }
            Ok(None) => Acquired::Busy,
            Err(error) => {
                // The log of the process keeps the reason.
                eprintln!("{}: {error:#}", self.workload.name());
                Acquired::Failed { unknown: error.outcome() == Outcome::Unknown }
            }
        }
    }

    fn hold(&self) -> HoldState {
        let lease = self.held.as_ref().filter(|_| self.workload.is_leasehold()).map(|guard| guard.lease());
        HoldState {
            deadline_us: lease.map(|lease| lease.deadline().nanos() / 1000),
            lost: lease.is_some_and(|lease| lease.check().is_err()),
        }
    }

    fn release(&mut self) -> bool {
        let Some(guard) = self.held.take() else { return false };
        // The present holder loses the lock, as it does when a key is deleted by its name.
        let deleted = self.workload != Workload::Bare
            || self.client.blocking_force_release(self.workload.name()).is_ok();
        guard.blocking_release().is_ok() && deleted
    }
}

/// Raw Redis commands: `SET NX PX`, and at the end `DEL` with or without a comparison. On several servers a majority
/// decides, as in Redlock; the elapsed time is not subtracted from the time to live.
struct RawRedis {
    client: NaiveRedis,
    is_bare: bool,
    rng: Rng,
}

impl RawRedis {
    fn new(servers: &[String], workload: Workload, seed: u64) -> Self {
        let client = NaiveRedis::new(servers, &format!("raw-{}", workload.name()), "", TTL);
        let (is_bare, rng) = (workload == Workload::Bare, Rng::new(seed).split(workload as u64));
        Self { client, is_bare, rng }
    }

    fn vote(&mut self) -> Acquired {
        self.client.id = format!("{:016x}", self.rng.next_u64());
        let votes = self.client.set();
        if votes.won() {
            return Acquired::Granted(None);
        }
        if votes.granted > 0 {
            self.release();
        }
        if votes.answered == 0 { Acquired::Failed { unknown: true } } else { Acquired::Busy }
    }
}

impl Lock for RawRedis {
    fn acquire(&mut self, wait: Duration) -> Acquired {
        let mut left = wait;
        loop {
            let answer = self.vote();
            let pause = self.rng.span_ms(10, 40);
            left = left.saturating_sub(pause);
            if !matches!(answer, Acquired::Busy) || left.is_zero() {
                return answer;
            }
            sleep(pause);
        }
    }

    fn hold(&self) -> HoldState {
        HoldState::default()
    }

    fn release(&mut self) -> bool {
        if self.is_bare { self.client.delete() } else { self.client.compare_and_delete() }
    }
}
