//! A worker process: one thread a lane, each of which locks, reads, thinks, writes one more, and lets go, over and over.

use std::{thread::scope, time::Duration};

use crate::history::What;
use leasehold::env::Env;

use crate::torture::{
    args::WorkArguments,
    dice::Dice,
    failure::{Failure, Result},
    journal::Journal,
    lane::Lane,
    lock::{self, Lock},
    pace::Pace,
    resource::{Answer, Door},
};

/// How long one waits for the lock, between two looks at whether to go on.
const WAIT: Duration = Duration::from_secs(5);
/// How long after a failure one tries again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one thinks at a stretch, and then looks at how the lease stands.
const STRETCH: Duration = Duration::from_millis(50);
/// Attempts of one process; numbers are unique in a run.
const ATTEMPTS_MAX: u64 = 1_000_000;

/// Works in all lanes until the resource says stop.
///
/// # Errors
/// The resource or a file is not there.
pub(crate) fn run(arguments: &WorkArguments) -> Result<()> {
    let env = Env::system()?;
    scope(|scope| {
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let hand = Hand::new(lane, arguments, &env)?;
            let work = move || hand.work(arguments);
            lanes.push(std::thread::Builder::new().name(lane.name().into()).spawn_scoped(scope, work)?);
        }
        let panicked = || Failure("a lane panicked".into());
        lanes.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|_| Err(panicked())))
    })
}

/// One lane of one process.
struct Hand {
    lane: Lane,
    journal: Journal,
    door: Door,
    dice: Dice,
    pace: Pace,
    env: Env,
    attempt: u64,
}

/// One hold, as far as it was told to the journal.
struct Tenure {
    token: Option<u64>,
    deadline_us: Option<u64>,
    lost: bool,
}

impl Hand {
    fn new(lane: Lane, arguments: &WorkArguments, env: &Env) -> Result<Self> {
        let process = arguments.process;
        Ok(Self {
            lane,
            journal: Journal::create(&arguments.histories, lane, process, env)?,
            door: Door::open(&arguments.resource, lane, process)?,
            dice: Dice::new(arguments.seed ^ u64::from(process) << 32, 100 + lane as u64),
            pace: Pace::default(),
            env: env.clone(),
            attempt: u64::from(process) * ATTEMPTS_MAX,
        })
    }

    fn work(mut self, arguments: &WorkArguments) -> Result<()> {
        let mut connected = None;
        while self.door.goes_on() {
            if connected.is_none() {
                connected = self.connect(arguments);
            }
            match &mut connected {
                Some(lock) => self.errand(lock.as_mut())?,
                // The store is away: that is what this is about.
                None => _ = self.pace.wait(PAUSE),
            }
        }
        Ok(())
    }

    fn connect(&self, arguments: &WorkArguments) -> Option<Box<dyn Lock>> {
        // The director keeps what is said here in the log of the process.
        let failed = |error| eprintln!("{}: {error}", self.lane.name());
        lock::of(self.lane, arguments).map_err(failed).ok()
    }

    fn errand(&mut self, lock: &mut dyn Lock) -> Result<()> {
        self.attempt += 1;
        let (attempt, name) = (self.attempt, self.lane.name().into());
        self.journal.say(What::Ask { attempt, lock: name, shared: false })?;
        match lock.acquire(WAIT) {
            crate::torture::lock::Answer::Granted(token) => {
                let deadline_us = lock.standing().deadline_us;
                self.journal.say(What::Grant { attempt, token, deadline_us })?;
                let mut tenure = Tenure { token, deadline_us, lost: false };
                self.increment(lock, &mut tenure)?;
                self.let_go(lock)?;
                // Lets others in.
                self.pace.wait(self.dice.span_ms(0, 60));
                Ok(())
            }
            crate::torture::lock::Answer::Busy => self.journal.say(What::Busy { attempt }),
            crate::torture::lock::Answer::Failed { unknown } => {
                self.journal.say(What::Fail { attempt, unknown })?;
                self.pace.wait(PAUSE);
                Ok(())
            }
        }
    }

    /// The critical section.
    fn increment(&mut self, lock: &dyn Lock, tenure: &mut Tenure) -> Result<()> {
        let (attempt, resource) = (self.attempt, self.lane.name().to_string());
        let seen = match self.door.read(tenure.token)? {
            Answer::Ok(value) => Some(value),
            Answer::Refused => None,
        };
        self.journal.say(What::Read { attempt, resource: resource.clone(), value: seen })?;
        let Some(seen) = seen else { return Ok(()) };
        self.think(lock, tenure)?;
        if self.lane == Lane::Deadline && lock.standing().lost {
            return Ok(());
        }
        let value = seen + 1;
        self.journal.say(What::Write { attempt, resource: resource.clone(), value, accepted: None })?;
        let accepted = Some(self.door.write(tenure.token, value)? != Answer::Refused);
        self.journal.say(What::Write { attempt, resource, value, accepted })
    }

    /// Takes its time by the clock: whoever was paused meanwhile writes the moment it goes on.
    fn think(&mut self, lock: &dyn Lock, tenure: &mut Tenure) -> Result<()> {
        let end = self.env.now() + self.dice.span_ms(100, 450);
        while self.env.now() < end {
            self.pace.wait(STRETCH.min(end.since(self.env.now())));
            self.look(lock, tenure)?;
        }
        Ok(())
    }

    /// Says what has changed with the lease.
    fn look(&mut self, lock: &dyn Lock, tenure: &mut Tenure) -> Result<()> {
        let (attempt, now) = (self.attempt, lock.standing());
        if now.lost && !tenure.lost {
            tenure.lost = true;
            self.journal.say(What::Lost { attempt })?;
        }
        match now.deadline_us {
            Some(deadline_us) if now.deadline_us > tenure.deadline_us && !tenure.lost => {
                tenure.deadline_us = now.deadline_us;
                self.journal.say(What::Extend { attempt, deadline_us })
            }
            _ => Ok(()),
        }
    }

    fn let_go(&mut self, lock: &mut dyn Lock) -> Result<()> {
        let attempt = self.attempt;
        self.journal.say(What::Release { attempt })?;
        if lock.release() {
            self.journal.say(What::Released { attempt })?;
        }
        Ok(())
    }
}
