//! [`Transaction`]: one change of the database, or none.

use leasehold_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, FileControl};

use crate::{
    desk::{Calls, Desk},
    gate::doze,
    refusal::{self, is_busy, may_have_committed, of_sqlite},
    shared::{Shared, lock},
    worker,
};

/// What came of trying to run a request.
pub(crate) enum Attempt<T> {
    /// It ran; this is to be done now.
    Done(T, Calls),
    /// It could not begin: somebody who does not use the gate is writing.
    Busy,
}

/// How long a read waits for a log that is just being recovered.
const READ_TRIES: usize = 100;

impl Shared {
    /// One transaction, with the gate locked. On a full disk it is tried again after the log was moved: a log that
    /// starts anew needs no room, so what is held can still be released.
    pub(crate) fn transact<T>(
        &self,
        connection: &Connection,
        work: &mut dyn FnMut(&mut Desk<'_>) -> Result<T>,
    ) -> Attempt<Result<T>> {
        let attempt = self.transact_once(connection, work);
        match &attempt {
            Attempt::Done(Err(error), _) if error.kind() == ErrorKind::Exhausted => {
                match worker::move_log(connection) {
                    Ok(_) => self.transact_once(connection, work),
                    Err(_) => attempt,
                }
            }
            _ => attempt,
        }
    }

    fn transact_once<T>(
        &self,
        connection: &Connection,
        work: &mut dyn FnMut(&mut Desk<'_>) -> Result<T>,
    ) -> Attempt<Result<T>> {
        let transaction = match Transaction::begin(connection) {
            Ok(transaction) => transaction,
            Err(source) if is_busy(&source) => return Attempt::Busy,
            Err(source) => return Attempt::Done(Err(of_sqlite(source)), Calls::default()),
        };
        let mut desk = Desk::new(self, connection);
        let answer = still_there(connection).and_then(|()| work(&mut desk));
        let calls = desk.calls;
        let answer = match answer {
            Ok(answer) => transaction.commit().map(|()| answer),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => Attempt::Done(Ok(answer), calls),
            Err(error) => Attempt::Done(Err(error), Calls::default()),
        }
    }

    /// Reads, without the gate: a stopped writer does not keep anybody from looking.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        let connection = lock(&self.connection);
        let connection = connection.as_ref().ok_or_else(refusal::closed)?;
        for _ in 0..READ_TRIES {
            match connection.execute_batch("BEGIN") {
                Ok(()) => {}
                Err(source) => return Err(of_sqlite(source)),
            }
            let transaction = Transaction(Some(connection));
            match still_there(connection).and_then(|()| work(connection)) {
                // A log is being recovered after a crash; that takes milliseconds.
                Err(error) if error.kind() == ErrorKind::TimedOut => drop(transaction),
                other => return other,
            }
            doze();
        }
        Err(Error::new(ErrorKind::TimedOut, "the database cannot be read at the moment"))
    }
}

/// A transaction, rolled back when it is dropped without a commit.
struct Transaction<'c>(Option<&'c Connection>);

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Transaction(Some(connection)))
    }

    fn commit(mut self) -> Result<()> {
        let connection = self.0.expect("it is taken out here, where the transaction ends");
        match connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            Ok(_) => {
                self.0 = None;
                Ok(())
            }
            Err(source) if may_have_committed(&source) => Err(of_sqlite(source).unknown()),
            Err(source) => Err(of_sqlite(source)),
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

/// Refuses to lock in a file that others cannot find: whoever comes to the path now would make or use another one.
fn still_there(connection: &Connection) -> Result<()> {
    if !has_moved(connection)? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, "the database was deleted or replaced while it was open")
        .hint("what was held in it is lost: stop the protected work and open the store again"))
}

/// Whether the path of the database names another file now, or none.
pub(crate) fn has_moved(connection: &Connection) -> Result<bool> {
    let mut moved = 0;
    connection.file_control(None::<&str>, FileControl::HasMoved(&mut moved)).map_err(of_sqlite)?;
    Ok(moved != 0)
}
