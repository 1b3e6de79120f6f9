//! [`BootId`]: the run of the machine that the times of a file belong to, and the change to the next one.

use leasehold_core::{Env, Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    error::from_sqlite,
    lock_record::LockRecord,
    platform::platform,
    session::{Liveness, Sessions},
    txn::{Txn, WRITE},
};

/// The run of the machine, and the clock of it that this process sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BootId {
    /// Random, new with every start of the machine.
    pub(crate) id: String,
    /// The offset of this process's CLOCK_BOOTTIME from the machine's (time_namespaces(7)).
    pub(crate) clock: String,
}

impl BootId {
    /// Asks the kernel; `id` is for tests.
    pub(crate) fn current(id: Option<String>) -> Result<BootId> {
        let id = match id {
            Some(id) => id,
            None => platform().boot_id()?,
        };
        let clock = platform().clock_offset();
        Ok(BootId { id: id.trim().to_owned(), clock })
    }

    /// Whether the times of the file belong to this run of the machine.
    ///
    /// A locked session file proves a living process, and so the same run, whatever the identities say: containers of
    /// one machine may each see another one. Without it, an identity that differs or a hold that began later than now
    /// shows another run; some containers keep their identity over a restart of the machine.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] when another time namespace of this run wrote them.
    pub(crate) fn matches(&self, connection: &Connection, sessions: &Sessions, env: &Env) -> Result<bool> {
        let of_file = read(connection)?;
        let same_id = of_file.id == self.id;
        let same_run =
            same_id && !is_ahead(connection, env)? || sessions.having(Liveness::Alive).next().is_some();
        if (same_id || same_run) && of_file.clock != self.clock {
            return Err(Error::new(
                ErrorKind::Unsafe,
                "the database is used from another time namespace, whose clock differs from this one's",
            )
            .hint("run all processes that share a database in one time namespace"));
        }
        Ok(same_run)
    }
}

/// Whether a hold of the file began later than now.
fn is_ahead(connection: &Connection, env: &Env) -> Result<bool> {
    let now_ns = i64::try_from(env.now().nanos()).unwrap_or(i64::MAX);
    connection
        .query_row(include_str!("../sql/ahead.sql"), params![now_ns], |row| row.get(0))
        .map_err(from_sqlite)
}

fn read(connection: &Connection) -> Result<BootId> {
    let read = connection.query_row(include_str!("../sql/meta.sql"), [], |row| {
        Ok(BootId { id: row.get(0)?, clock: row.get(1)? })
    });
    let read = read.optional().map_err(from_sqlite)?;
    read.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the database has lost its state"))
}

/// Carries all claims over a restart of the machine.
pub(crate) fn carry_over(
    connection: &Connection,
    boot: &BootId,
    env: &Env,
    sessions: &Sessions,
) -> Result<()> {
    let mut carry_over = |txn: &mut Txn<'_>| {
        // Another process may have done it while this one waited.
        if boot.matches(connection, sessions, env)? {
            return Ok(());
        }
        for name in txn.lock_names(include_str!("../sql/names.sql"), [])? {
            LockRecord::load(txn, &name)?.carry_over(txn)?;
        }
        txn.execute(include_str!("../sql/boot.sql"), params![boot.id, boot.clock])
    };
    Txn::run(WRITE, connection, sessions, env, &mut carry_over).map(drop)
}
