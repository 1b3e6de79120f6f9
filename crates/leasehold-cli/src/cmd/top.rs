//! `leasehold top`: all locks of a store, live.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use leasehold::Client;

use super::{
    common::{RangeArgs, StoreArgs},
    list::table,
};
use crate::{
    output::Output,
    store_location::{StoreLocation, disconnect},
    supervise::signals::Signals,
    view::{
        board::{Board, Sort},
        scanner::{Range, scan, scans},
    },
};

/// Show all locks of a store, their holders and waiters, live on the terminal.
///
/// The store is scanned once a second (--every), and for at most a tenth of the time: the second line says how long a scan takes.
/// Grants between two scans are not seen, so their rate is a lower bound. An opened lock is followed as its store
/// pushes changes.
///
/// Keys: ↑ ↓ move, Enter opens a lock, Esc goes back, s sorts, / filters by name, holder and note, f releases by force, after
/// its name has been typed, q quits.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Print one table and exit. With --json and without it, one JSON object after each scan.
    #[arg(long)]
    once: bool,
    /// Order of the locks.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    #[command(flatten)]
    range: RangeArgs,
}

/// Shows the locks until the user quits, or once.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let range = arguments.range.range();
    let location = arguments.store.location(output)?;
    if !arguments.once && !output.json {
        terminal::check()?;
    }
    let mut signals = Signals::new()?;
    let client = signals.unless_ended(location.connect(|options| options)).await??;
    let shown = if arguments.once {
        signals.unless_ended(once(&client, &range, arguments.sort, output)).await.and_then(|shown| shown)
    } else if output.json {
        signals.unless_ended(stream(&client, range, arguments.sort, output)).await.and_then(|shown| shown)
    } else {
        terminal::run(&client, range, arguments.sort, &location, &mut signals).await
    };
    disconnect(&client, &shown).await;
    shown.map(|()| ExitCode::SUCCESS)
}

async fn once(client: &Client, range: &Range, sort: Sort, output: Output) -> Result<()> {
    let mut board = Board::default();
    board.update(scan(client, range).await?);
    let locks = board.shown("", sort);
    output.data(|| board.to_json(&locks), || format!("{}\n\n{}\n", board.summary(), table(&locks)))
}

/// One JSON object after each scan, until nobody reads.
async fn stream(client: &Client, range: Range, sort: Sort, output: Output) -> Result<()> {
    let (mut board, mut scans) = (Board::default(), scans(client, range));
    while let Some(scan) = scans.recv().await {
        board.update(scan?);
        if output.deliver(|| board.to_json(&board.shown("", sort)), String::new).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(not(feature = "top"))]
mod terminal {
    use super::*;

    pub(super) fn check() -> Result<()> {
        Err(crate::exit::CliError::usage("this build has no live view", "use `leasehold top --once`"))
    }

    pub(super) async fn run(_: &Client, _: Range, _: Sort, _: &StoreLocation, _: &mut Signals) -> Result<()> {
        check()
    }
}

#[cfg(feature = "top")]
mod terminal {
    use std::{
        io::{IsTerminal, stdin, stdout},
        time::Duration,
    };

    use crossterm::event::{self, Event};
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::{
        cmd::inspect::page,
        describe::summary,
        exit::CliError,
        view::{
            scanner::follow,
            screen::{Action, Screen},
        },
    };

    /// Interval of drawing without a key: the times count on.
    const REDRAW: Duration = Duration::from_secs(1);

    /// A variable by which a test of a debug build asks for a panic.
    #[cfg(debug_assertions)]
    const FAILS: &str = "LEASEHOLD_TEST_PANIC";

    pub(super) fn check() -> Result<()> {
        if stdin().is_terminal() && stdout().is_terminal() {
            return Ok(());
        }
        Err(CliError::usage("the live view needs a terminal", "use --once for a table, or --json for data"))
    }

    /// Restores the terminal. A panic restores it too, before it prints.
    struct Restored;

    impl Drop for Restored {
        fn drop(&mut self) {
            ratatui::restore();
        }
    }

    pub(super) async fn run(
        client: &Client,
        range: Range,
        sort: Sort,
        location: &StoreLocation,
        signals: &mut Signals,
    ) -> Result<()> {
        let mut screen = Screen::new(sort, location.shown());
        let mut scans = scans(client, range);
        let mut terminal = ratatui::try_init()?;
        let _restored = Restored;
        let mut keys = keys()?;
        let mut opened = None;
        loop {
            #[cfg(debug_assertions)]
            assert!(
                screen.board.at.is_none() || std::env::var_os(FAILS).is_none(),
                "a failure that a test asks for"
            );
            let elapsed = screen.board.at.map_or(Duration::ZERO, |at| client.env().now().since(at));
            terminal.draw(|frame| {
                screen.draw(frame, elapsed, |lock| page(lock, location).unwrap_or_default());
            })?;
            tokio::select! {
                biased;
                signal = signals.ending() => return Err(CliError::interrupted(signal)),
                Some(event) = keys.recv() => match event.as_key_press_event().map(|key| screen.key(key)) {
                    Some(Action::Quit) => return Ok(()),
                    Some(Action::Open(name)) => opened = follow(client, &name).ok(),
                    Some(Action::Close) => opened = None,
                    Some(Action::ForceRelease(name)) => {
                        let released = signals.unless_ended(client.force_release(&name)).await?;
                        screen.message = match released {
                            Ok(evicted) if evicted.is_empty() => format!("`{name}` was not held"),
                            Ok(evicted) => {
                                let who: Vec<String> = evicted.iter().map(summary).collect();
                                format!("evicted {} from `{name}`", who.join(", "))
                            }
                            Err(error) => error.to_string(),
                        };
                    }
                    Some(Action::None) | None => {}
                },
                Some(scan) = scans.recv() => {
                    screen.away = scan.as_ref().err().map(ToString::to_string);
                    drop(scan.map(|scan| screen.board.update(scan)));
                }
                Some(lock) = next(&mut opened) => screen.board.replace(lock),
                () = client.env().sleep(REDRAW) => {}
            }
        }
    }

    async fn next<T>(receiver: &mut Option<Receiver<T>>) -> Option<T> {
        match receiver {
            Some(receiver) => receiver.recv().await,
            None => None,
        }
    }

    /// Keys and resizes. On a thread of their own: reading the terminal blocks.
    fn keys() -> Result<Receiver<Event>> {
        let (sender, receiver) = channel(64);
        let read = move || {
            while let Ok(event) = event::read() {
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("keys".to_string()).spawn(read)?;
        Ok(receiver)
    }
}
