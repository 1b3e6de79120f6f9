//! [`Boot`]: which run of the machine the times of a file belong to.

use std::fs;

use leasehold_core::{
    Env, Error, ErrorKind, LockName, Result,
    decide::lock_state::{Entry, LockState, State},
};
use rusqlite::{Connection, TransactionBehavior};

use crate::{capability::TTL_MAX, desk::Desk, refusal::of_sqlite, row::Row, sheet::Sheet};

/// Which run of the machine it is, and which of its clocks this process sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Boot {
    /// Random, new with every start of the machine.
    pub(crate) id: String,
    /// How far this process's CLOCK_BOOTTIME is shifted from the machine's (time_namespaces(7)).
    pub(crate) clock: String,
}

impl Boot {
    /// Asks the kernel; `id` is for tests.
    pub(crate) fn now(id: Option<String>) -> Result<Boot> {
        let id = match id {
            Some(id) => id,
            None => fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(|source| {
                Error::new(ErrorKind::Unsafe, "the kernel does not tell which boot this is")
                    .hint(
                        "mount /proc: without it, locks held before a restart of the machine cannot be told",
                    )
                    .source(source)
            })?,
        };
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        let clock = offsets.lines().find_map(|line| line.strip_prefix("boottime")).unwrap_or("0 0");
        let clock = clock.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Boot { id: id.trim().to_owned(), clock })
    }
}

/// Whether the times of the file can be compared with our clock as they are.
pub(crate) fn is_current(connection: &Connection, boot: &Boot) -> Result<bool> {
    let of_file = read(connection)?;
    if of_file.id == boot.id && of_file.clock != boot.clock {
        return Err(Error::new(
            ErrorKind::Unsafe,
            "the database is used from another time namespace, whose clock is not ours",
        )
        .hint("run all processes that share a database in one time namespace"));
    }
    Ok(of_file.id == boot.id)
}

fn read(connection: &Connection) -> Result<Boot> {
    let read = connection.query_row(include_str!("../sql/meta.sql"), [], |row| {
        Ok(Boot { id: row.get(0)?, clock: row.get(1)? })
    });
    read.map_err(|source| match source {
        rusqlite::Error::QueryReturnedNoRows => {
            Error::new(ErrorKind::Corrupt, "the database has lost its state")
        }
        other => of_sqlite(other),
    })
}

/// Carries all claims over a restart of the machine: no process of the old boot lives, and what lives by time alone
/// goes on by the calendar, the only clock that survived.
pub(crate) fn carry_over(connection: &Connection, boot: &Boot, env: &Env) -> Result<()> {
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(of_sqlite)?;
    // Another process may have done it while we waited.
    if is_current(connection, boot)? {
        return Ok(());
    }
    let desk = Desk::bare(connection, env);
    let names = {
        let mut statement = connection.prepare(include_str!("../sql/names.sql")).map_err(of_sqlite)?;
        let names = statement.query_map([], |row| row.get::<_, String>(0)).map_err(of_sqlite)?;
        names.collect::<rusqlite::Result<Vec<_>>>().map_err(of_sqlite)?
    };
    for name in names {
        carry_over_one(&desk, &LockName::new(name)?)?;
    }
    connection.execute(include_str!("../sql/boot.sql"), [&boot.id, &boot.clock]).map_err(of_sqlite)?;
    transaction.commit().map_err(of_sqlite)
}

fn carry_over_one(desk: &Desk<'_>, name: &LockName) -> Result<()> {
    let rows = Sheet::rows(desk, name)?;
    let entries = rows.into_iter().filter_map(|row| match row {
        Row::Claim(claim) => matches!(claim.entry.state, State::Held | State::Delaying).then_some(claim),
        Row::Watcher(_) => None,
    });
    let entries: Vec<_> = entries
        .map(|claim| {
            let expires = desk.moment_of(claim.expires_wall_us).min(desk.now + TTL_MAX);
            Entry { expires, since: desk.now, ..claim.entry }
        })
        .collect();
    let sessions: Vec<_> = entries.iter().filter_map(|entry| entry.session).collect();
    let mut document = LockState::of(entries);
    for session in sessions {
        document.end_session(session, desk.now);
    }
    desk.prepare(include_str!("../sql/clear.sql"))?.execute([name.as_str()]).map_err(of_sqlite)?;
    Sheet::anew(name.clone(), document).write_all(desk)
}
