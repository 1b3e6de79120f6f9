//! `leasehold elect`: a command while being the leader.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use leasehold::{Client, LockName};
use rustix::process::Signal;

use crate::{
    args::{ElectArguments, OnBusy, Waiting},
    duty::{Duty, leave},
    entry::{Approach, Entry, enter},
    exit, holder,
    lock::Lock,
    message::Output,
    store::Location,
    supervise::signals::Signals,
    tenure::Plan,
};

/// How long a leader whose command has ended stays out of the next election, so that others get their turn and a
/// command that fails at once does not spin.
const REST: Duration = Duration::from_secs(1);

/// Campaigns, leads, and campaigns again if told so.
pub(crate) async fn run(arguments: ElectArguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = Location::find(arguments.common.store.as_deref())?;
    let plan = Plan::new(&arguments.tenure, &arguments.loss, location.ttl())?;
    let mut signals = Signals::new()?;
    let note = holder::own_note(&arguments.command, arguments.tenure.note.as_deref());
    let client = tokio::select! {
        biased;
        signal = signals.ending() => return Ok(exit::of_signal(signal.as_raw()).into()),
        client = location.connect(|terms| plan.terms(terms, note)) => client?,
    };
    let mut campaign =
        Campaign { arguments: &arguments, name: &name, location: &location, plan: &plan, output };
    let code = campaign.pursue(&client, &mut signals).await;
    leave(&client).await;
    Ok(code?.into())
}

struct Campaign<'a> {
    arguments: &'a ElectArguments,
    name: &'a LockName,
    location: &'a Location,
    plan: &'a Plan,
    output: Output,
}

/// What one term of office led to.
enum Term {
    Over(u8),
    Again(u8),
}

impl Campaign<'_> {
    async fn pursue(&mut self, client: &Client, signals: &mut Signals) -> Result<u8> {
        loop {
            let code = match self.serve(client, signals).await? {
                Term::Over(code) => return Ok(code),
                Term::Again(code) => code,
            };
            self.output.say(format!("campaigning for `{}` again: the command ended with {code}", self.name));
            tokio::select! {
                biased;
                signal = signals.ending() => return Ok(of_signal(signal)),
                () = client.engine().env().sleep(REST) => {}
            }
        }
    }

    async fn serve(&mut self, client: &Client, signals: &mut Signals) -> Result<Term> {
        let lock = Lock::Election(client.election(self.name)?, self.arguments.value.clone());
        let waiting = self.arguments.patience.waiting(Waiting::Forever);
        let approach = Approach { name: self.name, waiting, is_fair: false };
        let env = client.engine().env();
        match enter(lock, approach, env, signals, self.output).await? {
            Entry::Interrupted(signal) => Ok(Term::Over(of_signal(signal))),
            Entry::Busy(refused) => {
                let skips = self.arguments.patience.on_busy == OnBusy::Skip;
                let code = self.arguments.patience.busy_exit_code;
                Ok(Term::Over(refused.report(skips, code, self.output)))
            }
            Entry::Held(hold) => {
                let duty = Duty {
                    command: &self.arguments.command,
                    plan: self.plan,
                    location: self.location,
                    hold_at_least: None,
                    output: self.output,
                };
                let ending = duty.run(hold, env, signals).await?;
                let again = self.arguments.forever && !ending.interrupted;
                Ok(if again { Term::Again(ending.code()) } else { Term::Over(ending.code()) })
            }
        }
    }
}

fn of_signal(signal: Signal) -> u8 {
    exit::of_signal(signal.as_raw())
}
