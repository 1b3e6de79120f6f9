//! A command that runs once in each slot of time on all machines that share a store.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, builder::NonEmptyStringValueParser};
use leasehold::{OncePer, RunOutcome, Slot, store::Contender};
use serde_json::json;

use crate::{
    describe::{summary, to_json},
    duration::parse_positive,
    exit::CliError,
    guarded_run::GuardedRun,
    supervise::{Ending, signals::Signals},
};

/// The slot of a run.
#[derive(Args, Debug)]
pub(crate) struct SlotArgs {
    /// Run the command once in each slot of this length, on whichever machine asks first; the others exit with 0. Slots
    /// begin at multiples of DUR since 1970 (UTC). A run that fails or dies is not repeated in its slot. A slot is a lock of its
    /// own: it excludes neither a holder of NAME nor a run of the last slot that takes longer than DUR.
    #[arg(long, value_name = "DUR", value_parser = parse_positive, conflicts_with_all = OTHERS)]
    once_per: Option<Duration>,
    /// Run the command once for this text, such as the time for which a scheduler has started it. The slot stays taken for
    /// 24h, or for --hold-at-least.
    #[arg(long, value_name = "TEXT", conflicts_with_all = OTHERS, conflicts_with = "once_per", value_parser = NonEmptyStringValueParser::new())]
    slot: Option<String>,
    /// With --once-per or --slot: let a later attempt run the slot again after a run that failed or died.
    #[arg(long)]
    retry: bool,
}

/// Options of a lock that a slot does not have.
const OTHERS: [&str; 8] =
    ["shared", "permits", "fair", "wait", "no_wait", "on_busy", "busy_exit_code", "hold_max"];

impl SlotArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.once_per.is_some() || self.slot.is_some()
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.retry && !self.is_given() {
            true => Err(CliError::usage("--retry is of a slot", "add --once-per DUR or --slot TEXT")),
            false => Ok(()),
        }
    }

    fn slot(&self) -> Option<Slot> {
        let every = self.once_per.map(Slot::every);
        every.or_else(|| self.slot.clone().map(Slot::named))
    }
}

/// Runs the command if the present slot is not taken; answers the exit code.
pub(crate) async fn run_once(
    guarded: &GuardedRun<'_>,
    args: &SlotArgs,
    hold_at_least: Option<Duration>,
    signals: &mut Signals,
) -> Result<u8> {
    let Some(slot) = args.slot() else { return Ok(0) };
    let once = guarded.client.once_per(guarded.name.as_str(), slot)?;
    let once = if args.retry { once.retry_failed() } else { once };
    let once = hold_at_least.into_iter().fold(once, OncePer::hold_at_least);
    let mut ended = None;
    let outcome = once.try_run(async |lease| {
        let ending = guarded.supervise(&lease, signals).await;
        let is_done = matches!(&ending, Ok(ending) if ending.code() == 0);
        ended = Some(ending);
        is_done.then_some(()).ok_or(())
    });
    let outcome = outcome.await;
    match (ended, outcome) {
        (Some(ending), outcome) => {
            let mut ending: Ending = ending?;
            ending.lost = ending.lost.or(outcome.err().and_then(|error| error.lost()));
            guarded.report_ending(&ending, &once.name()?);
            Ok(ending.code())
        }
        (None, Err(error)) => Err(error.into()),
        (None, Ok(RunOutcome::AlreadyTaken { by, finished })) => {
            report_taken(guarded, by.as_ref(), finished);
            Ok(0)
        }
        (None, Ok(RunOutcome::Ran(_))) => Ok(0),
    }
}

fn report_taken(guarded: &GuardedRun<'_>, by: Option<&Contender>, finished: Option<bool>) {
    let name = &guarded.name;
    let fields = json!({ "lock": name.as_str(), "holder": by.map(to_json), "finished": finished });
    guarded.output.event("slot-taken", fields);
    let state = match finished {
        Some(true) => "has run",
        Some(false) => "runs, or has run without success,",
        None => "runs or has run",
    };
    let place = by.map(|holder| format!(" on {}", summary(holder))).unwrap_or_default();
    guarded.output.say(format!("skipped: `{name}` {state} in this slot{place}"));
}
