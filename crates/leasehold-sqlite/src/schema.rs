//! The database file: made whole, then opened.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};
use rusqlite::{Connection, OpenFlags, config::DbConfig, params};

use crate::{
    boot::{self, Boot},
    gate::Gate,
    header::{Header, Opened, Reader},
    place::Place,
    refusal::{of_io, of_sqlite},
};

/// "LSHD" in the header of the file: whose it is.
pub(crate) const APPLICATION_ID: u32 = 0x4c53_4844;
/// The version of the tables.
pub(crate) const FORMAT: u32 = 1;

/// Every page that a transaction changes is summed and written to the log whole, and most changes are a few hundred
/// bytes: a lock and unlock takes 32 µs with pages of this size and 37 µs with SQLite's usual 4096.
const PAGE_BYTES: u32 = 1024;
/// When the log starts anew, what is beyond this is given back to the file system.
const LOG_BYTES_MAX: u32 = 16 << 20;

/// An open database.
pub(crate) struct Database {
    /// The way into it.
    pub(crate) connection: Connection,
    /// Where it is noted as open.
    pub(crate) opened: Opened,
    /// What its writers lock in turn.
    pub(crate) gate: Gate,
}

/// Opens the database at a place; makes it if there is none; carries it over if the machine was restarted.
pub(crate) fn open(place: &Place, boot: &Boot, env: &Env, deadline: Moment) -> Result<Database> {
    let reader = Reader::new();
    let fresh = reader.read(place)?;
    let mut gate = Gate::open(place)?;
    if fresh == Header::Blank {
        let pass = gate.enter_until(place, env, deadline)?;
        // Another process may have made it while we waited.
        if reader.read(place)? == Header::Blank {
            make(place, boot, env)?;
        }
        drop(pass);
    }
    let connection = connect(place)?;
    let opened = reader.opened(place)?;
    if crate::transaction::has_moved(&connection)? {
        return Err(Error::new(ErrorKind::Corrupt, "the database was replaced while it was opened")
            .hint("open it again"));
    }
    if !boot::is_current(&connection, boot)? {
        let pass = gate.enter_until(place, env, deadline)?;
        boot::carry_over(&connection, boot, env)?;
        drop(pass);
    }
    trim_log(place, &connection);
    Ok(Database { connection, opened, gate })
}

/// Another connection to a database that is open.
pub(crate) fn connect(place: &Place) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&place.database, flags).map_err(of_sqlite)?;
    // For a moment somebody may be recovering the log after a crash; after that the gate is where we wait.
    connection.busy_timeout(std::time::Duration::from_secs(1)).map_err(of_sqlite)?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(of_sqlite)?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Unsafe,
            format!("the database is in journal mode {mode}, not wal"),
        )
        .hint("put it on a local disk that this process may write to"));
    }
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = {LOG_BYTES_MAX};"
        ))
        .map_err(of_sqlite)?;
    // A short run of a command must not pay for the fsync of a checkpoint.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(of_sqlite)?;
    // Else SQLite, built with STAT4, compiles a statement anew whenever a name is bound to it, in the hope of a plan
    // that suits the name better.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(of_sqlite)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.busy_timeout(std::time::Duration::ZERO).map_err(of_sqlite)?;
    Ok(connection)
}

/// Moves a log into the database that many short runs have left behind, each too short to do it.
pub(crate) fn trim_log(place: &Place, connection: &Connection) {
    let log_bytes = fs::metadata(place.beside("-wal")).map_or(0, |log| log.len());
    if log_bytes > u64::from(LOG_BYTES_MAX)
        && let Err(error) = crate::worker::move_log(connection)
    {
        tracing::debug!(%error, "the log of the database is left to grow");
    }
}

/// Makes a database under another name and moves it into place, so that nobody ever sees half of one.
fn make(place: &Place, boot: &Boot, env: &Env) -> Result<()> {
    let draft = place.beside(&format!("-new-{:016x}", env.random() as u64));
    let made = write(&draft, place.mode(), boot).and_then(|()| {
        // A log left by a deleted database would be replayed into the new one.
        for suffix in ["-wal", "-shm", "-journal"] {
            remove(&place.beside(suffix))?;
        }
        fs::rename(&draft, &place.database).map_err(|source| of_io(source, "make", &place.database))
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

fn write(draft: &Path, mode: u32, boot: &Boot) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(draft);
    drop(file.map_err(|source| of_io(source, "make", draft))?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(draft, flags).map_err(of_sqlite)?;
    // Nobody sees the draft before it is whole, so one sync at the end is enough.
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA page_size = {PAGE_BYTES}; BEGIN;
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
        ))
        .map_err(of_sqlite)?;
    connection.execute_batch(include_str!("../sql/schema.sql")).map_err(of_sqlite)?;
    connection
        .execute(include_str!("../sql/meta_new.sql"), params![boot.id, boot.clock])
        .map_err(of_sqlite)?;
    connection.execute_batch("COMMIT").map_err(of_sqlite)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(of_sqlite)?;
    connection.close().map_err(|(_, source)| of_sqlite(source))?;
    let whole = fs::File::open(draft).and_then(|file| file.sync_all());
    whole.map_err(|source| of_io(source, "write", draft))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(of_io(source, "remove", path)),
        _ => Ok(()),
    }
}
