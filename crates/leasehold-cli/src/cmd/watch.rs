//! `leasehold watch`: the changes of one lock as they happen.

use std::{io::ErrorKind, process::ExitCode};

use anyhow::Result;
use clap::Args;
use leasehold::{Client, LockName, store::Snapshot};

use super::common::StoreArgs;
use crate::{
    describe::{mode_words, summary},
    duration::{millis, show},
    exit::CliError,
    output::{Output, event_line},
    store_location::{AWAY_PAUSE, disconnect, may_pass, report_away},
    supervise::signals::Signals,
    view::changes::{Change, Counter, Kind, Renewals, changes, free},
};

/// Show the changes of a lock as they happen, until Ctrl-C: one line each, or one JSON object with --json.
///
/// The present holders and waiters come first. `jeopardy`: a hold that was renewed before is half over. `lost`: a hold ended by
/// its time to live. `forced`: it ended before its time and the fencing counter was raised, by force-release or by a grant that
/// came and went unseen; only Redis and PostgreSQL tell it, elsewhere it is `released`.
/// The store pushes the changes where it can, and is asked once a second elsewhere; of several
/// changes at the same moment the last state is shown. A store that goes away is waited for.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Name of the lock.
    name: String,
}

/// Prints changes until a signal.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let location = arguments.store.location(output)?;
    let mut signals = Signals::new()?;
    let client = signals.unless_ended(location.connect(|options| options)).await??;
    let ended = signals.unless_ended(follow(&client, &name, &location.shown(), output)).await;
    disconnect(&client, &ended).await;
    ended?.map(|()| ExitCode::SUCCESS)
}

/// Prints the changes; ends when nobody reads them.
async fn follow(client: &Client, name: &LockName, store: &str, output: Output) -> Result<()> {
    let (mut watcher, env) = (client.watcher(name)?, client.env());
    let counter = Counter::of(client.capability());
    let (mut renewals, mut before) = (Renewals::default(), None::<Snapshot>);
    let (mut at, mut is_away) = (env.now(), false);
    loop {
        let is_news = |now: &Snapshot| {
            let found = |before| changes(before, now, env.now().since(at), counter);
            before.as_ref().is_none_or(|before| !found(before).is_empty())
        };
        let next = watcher.until(|now| is_news(now).then(|| now.clone()));
        // A look in between shows whether the holders are renewed.
        let looked = match renewals.next_look() {
            Some(span) => match env.within(span, next).await {
                Some(looked) => looked,
                None => watcher.until(|now| Some(now.clone())).await,
            },
            None => next.await,
        };
        let after = match looked {
            Err(error) if may_pass(&error) => {
                if !std::mem::replace(&mut is_away, true) {
                    report_away(output, store, &error.to_string());
                }
                env.sleep(AWAY_PAUSE).await;
                watcher = client.watcher(name)?;
                continue;
            }
            looked => looked?,
        };
        is_away = false;
        // Counted from before the earlier inspection was sent: a late answer does not make a lapse look like a release.
        let asked = watcher.asked().unwrap_or(at);
        let passed = env.now().since(std::mem::replace(&mut at, asked));
        let found = changes(before.as_ref().unwrap_or(&free(&after)), &after, passed, counter);
        let late = renewals.observe(std::slice::from_ref(&after), passed);
        for change in found.iter().chain(late.iter().map(|(_, change)| change)) {
            match print(name, change, env.wall_us(), output) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(CliError::with_code(crate::exit::SOFTWARE, error.to_string(), "")),
                Ok(()) => {}
            }
        }
        before = Some(after);
    }
}

fn print(name: &LockName, change: &Change, at_us: u64, output: Output) -> std::io::Result<()> {
    let text = || {
        let who = &change.who;
        let mut facts = vec![summary(who), mode_words(who.mode)];
        facts.extend(who.fence.map(|token| format!("fencing token {token}")));
        let is_over = matches!(change.kind, Kind::Lost | Kind::Released | Kind::Forced);
        facts.extend(
            who.age.filter(|age| millis(*age) > 0 && is_over).map(|age| format!("after {}", show(age))),
        );
        format!("{} {:<9} {}\n", clock(at_us), change.kind.word(), facts.join(" · "))
    };
    output.deliver_line(|| event_line(change.kind.word(), &change.to_json(name.as_str(), at_us)), text)
}

/// The time of day, UTC.
fn clock(at_us: u64) -> String {
    let ms = at_us / 1000;
    let [hours, minutes, seconds] = [3_600_000, 60_000, 1000].map(|unit| ms / unit);
    format!("{:02}:{:02}:{:02}.{:03}Z", hours % 24, minutes % 60, seconds % 60, ms % 1000)
}
