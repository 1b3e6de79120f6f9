//! The connection to the database: how the file is made, opened, and found again.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};
use rusqlite::{Connection, OpenFlags, config::DbConfig, params};

use crate::{
    config_check::{APPLICATION_ID, FORMAT, HeaderReader, OpenMark},
    error::{from_io, from_sqlite},
    keys::DatabasePaths,
    server_info::{self, BootId},
    session::Sessions,
    txn::{has_moved, move_log},
    write_lock::WriteLock,
};

/// Every page that a transaction changes is summed and written to the log whole, and most changes are a few hundred
/// bytes: a lock and unlock takes 32 µs with pages of this size and 37 µs with SQLite's usual 4096.
const PAGE_BYTES: u32 = 1024;
/// When the log starts anew, what is beyond this is given back to the file system. The first process that opens the database
/// reads the whole log: 1.8 ms for each MiB, more than all else that a short run of a command does. Some forty such runs
/// share the checkpoint of this many bytes.
const LOG_BYTES_MAX: u32 = 128 << 10;

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A database that is open.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    /// Dropped after the connection.
    _open: OpenMark,
}

/// Opens the database; makes it if there is none, and carries it over a restart of the machine.
pub(crate) fn open(
    paths: &DatabasePaths,
    boot: &BootId,
    env: &Env,
    sessions: &Sessions,
    deadline: Moment,
) -> Result<(Database, WriteLock)> {
    let reader = HeaderReader::new();
    let is_there = reader.finds(&paths.database)?;
    let write_lock = WriteLock::open(paths)?;
    if !is_there {
        let locked = write_lock.lock_until(paths, env, deadline)?;
        // Another process may have made it while this one waited.
        if !reader.finds(&paths.database)? {
            make(paths, boot, env)?;
        }
        drop(locked);
    }
    let connection = connect(paths)?;
    let _open = reader.mark_open(&paths.database)?;
    if has_moved(&connection)? {
        return Err(Error::new(ErrorKind::Corrupt, "the database was replaced while it was opened")
            .hint("open it again"));
    }
    if !boot.matches(&connection, sessions, env)? {
        let locked = write_lock.lock_until(paths, env, deadline)?;
        server_info::carry_over(&connection, boot, env, sessions)?;
        drop(locked);
    }
    trim_log(paths, &connection);
    Ok((Database { connection, _open }, write_lock))
}

impl Database {
    pub(crate) fn close(self, paths: &DatabasePaths) -> Result<()> {
        trim_log(paths, &self.connection);
        self.connection.close().map_err(|(_, source)| from_sqlite(source))
    }
}

/// Another connection to a database that is open.
pub(crate) fn connect(paths: &DatabasePaths) -> Result<Connection> {
    let (connection, mode) = configured(&paths.database).map_err(from_sqlite)?;
    if mode != "wal" {
        let message = format!("the database is in journal mode {mode}, not wal");
        return Err(Error::new(ErrorKind::Unsafe, message)
            .hint("put it on a local disk that this process may write to"));
    }
    Ok(connection)
}

/// A connection, and its journal mode.
fn configured(database: &Path) -> rusqlite::Result<(Connection, String)> {
    let connection = Connection::open_with_flags(database, FLAGS)?;
    // Another process may be recovering the log after a crash for a moment; after that writers wait at the write lock.
    connection.busy_timeout(Duration::from_secs(1))?;
    let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = {LOG_BYTES_MAX};"
    ))?;
    // A short run of a command must not pay for the fsync of a checkpoint.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Else SQLite, built with STAT4, compiles a statement anew whenever a name is bound to it, in the hope of a plan
    // that suits the name better.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.busy_timeout(Duration::ZERO)?;
    Ok((connection, mode))
}

/// Moves a log into the database that many short runs have left behind, each too short to do it.
fn trim_log(paths: &DatabasePaths, connection: &Connection) {
    let log_bytes = fs::metadata(paths.beside("-wal")).map_or(0, |log| log.len());
    if log_bytes > u64::from(LOG_BYTES_MAX)
        && let Err(error) = move_log(connection)
    {
        tracing::debug!(%error, "the log of the database is left to grow");
    }
}

/// Makes a database under another name and moves it into place, so that nobody ever sees half of one.
fn make(paths: &DatabasePaths, boot: &BootId, env: &Env) -> Result<()> {
    let draft = paths.beside(&format!("-new-{:016x}", env.random() as u64));
    let made = write(&draft, paths.mode(), boot).and_then(|()| {
        // A log left by a deleted database would be replayed into the new one.
        for suffix in ["-wal", "-shm", "-journal"] {
            remove(&paths.beside(suffix))?;
        }
        fs::rename(&draft, &paths.database).map_err(|source| from_io(source, "make", &paths.database))
    });
    if made.is_err() {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut leftover = draft.clone().into_os_string();
            leftover.push(suffix);
            let _ = fs::remove_file(leftover);
        }
    }
    made
}

fn write(draft: &Path, mode: u32, boot: &BootId) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(draft);
    drop(file.map_err(|source| from_io(source, "make", draft))?);
    write_tables(draft, boot).map_err(from_sqlite)?;
    let whole = fs::File::open(draft).and_then(|file| file.sync_all());
    whole.map_err(|source| from_io(source, "write", draft))
}

/// Nobody sees the draft before it is whole, so one sync at the end is enough.
fn write_tables(draft: &Path, boot: &BootId) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(draft, FLAGS)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA page_size = {PAGE_BYTES}; BEGIN;
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
    ))?;
    connection.execute_batch(include_str!("../sql/schema.sql"))?;
    connection.execute(include_str!("../sql/meta_new.sql"), params![boot.id, boot.clock])?;
    connection.execute_batch("COMMIT")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.close().map_err(|(_, source)| source)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(from_io(source, "remove", path)),
        _ => Ok(()),
    }
}
