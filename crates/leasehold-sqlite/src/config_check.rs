//! Checks before SQLite opens the file: a local file system, and a header that this store wrote.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    sync::MutexGuard,
};

use leasehold_core::{Error, ErrorKind, Result, store_kit::Locked};

use crate::{error::from_io, platform::platform};

/// "LSHD" in the header of the file: the application that owns it.
pub(crate) const APPLICATION_ID: u32 = 0x4c53_4844;
/// The version of the tables.
pub(crate) const FORMAT: u32 = 1;

/// Refuses file systems on which file locks of one machine do not exclude processes of another, or are dropped
/// silently with the connection. FUSE is refused too because its backing storage cannot be known.
pub(crate) fn file_system(directory: &Path) -> Result<()> {
    let kind = platform()
        .network_file_system(directory)
        .map_err(|source| from_io(source, "ask for the file system of", directory))?;
    let Some(kind) = kind else { return Ok(()) };
    let message =
        format!("{} is on {kind}, where file locks of one machine do not hold", directory.display());
    Err(Error::new(ErrorKind::Unsafe, message)
        .hint("put the database on a local disk, or use a store with a server to lock between machines"))
}

/// Device and inode of a database.
type FileId = (u64, u64);

/// The databases that this process has open, each as often as it is open, with the process that opened it.
///
/// Closing *any* descriptor of a file drops all POSIX locks that the process has on it, SQLite's among them (fcntl(2);
/// "How to corrupt an SQLite database file", 2.2). So a database that is open is never opened a second time to read
/// its header; it was checked when it was opened first.
static OPEN: Locked<Vec<(FileId, u32)>> = Locked::new(Vec::new());

/// The exclusive right of this process to read headers and to open a database.
pub(crate) struct HeaderReader(MutexGuard<'static, Vec<(FileId, u32)>>);

/// Marks a database as open in this process. Dropped after SQLite's connections.
#[derive(Debug)]
pub(crate) struct OpenMark((FileId, u32));

impl HeaderReader {
    /// Waits until no other thread opens a database.
    pub(crate) fn new() -> Self {
        HeaderReader(OPEN.lock())
    }

    /// Whether there is a database at a path, by its header: `false` for nothing and for an empty file. A file of another
    /// program or a damaged one is an error and is left as it is.
    pub(crate) fn finds(&self, database: &Path) -> Result<bool> {
        let file = match fs::metadata(database) {
            Ok(file) if !file.is_file() => return Err(foreign(database, "is not a regular file")),
            Ok(file) => (file.dev(), file.ino()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(from_io(source, "look at", database)),
        };
        match self.0.iter().find(|(open, _)| *open == file) {
            None => read_header(database),
            Some((_, process)) if *process == std::process::id() => Ok(true),
            // SQLite in this child takes the locks of its parent for its own.
            Some(_) => {
                let message = format!("{} was open in the process that was forked", database.display());
                Err(Error::new(ErrorKind::Unsafe, message)
                    .hint("open it after the fork alone, or let the child exec"))
            }
        }
    }

    /// Marks the database as open.
    pub(crate) fn mark_open(mut self, database: &Path) -> Result<OpenMark> {
        let file = fs::metadata(database).map_err(|source| from_io(source, "look at", database))?;
        let id = ((file.dev(), file.ino()), std::process::id());
        self.0.push(id);
        Ok(OpenMark(id))
    }
}

impl Drop for OpenMark {
    fn drop(&mut self) {
        let mut open = OPEN.lock();
        if let Some(at) = open.iter().position(|id| *id == self.0) {
            open.swap_remove(at);
        }
    }
}

fn read_header(database: &Path) -> Result<bool> {
    let failed = |source| from_io(source, "read", database);
    // NONBLOCK: opening a named pipe that was put there in the meantime would wait for its writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(database).map_err(failed)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    (&file).take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Ok(false);
    }
    // A checkpoint writes the header before it appends pages, and may have been killed in between: SQLite finds them in
    // the log. The file is measured after the log, so that a checkpoint that began after the header was read has ended.
    let has_log = fs::metadata(log_of(database)).is_ok_and(|log| log.len() > 0);
    let about = file.metadata().map_err(failed)?;
    let file_bytes = if has_log { u64::MAX } else { about.len() };
    check_header(&bytes, file_bytes).map_err(|why| foreign(database, &why))?;
    if about.nlink() > 1 {
        let message = format!("{} has several names (hard links)", database.display());
        return Err(Error::new(ErrorKind::Unsafe, message).hint(
            "SQLite keeps its log beside the name that it was opened by, so two names are two databases: remove one",
        ));
    }
    Ok(true)
}

fn log_of(database: &Path) -> OsString {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    log
}

const HEADER_BYTES: usize = 100;

/// Checks a header by the file format of SQLite (sqlite.org/fileformat2.html, 1.3).
fn check_header(header: &[u8], file_bytes: u64) -> Result<(), String> {
    if header.len() < HEADER_BYTES || !header.starts_with(b"SQLite format 3\0") {
        return Err("is not a SQLite database".into());
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(68) != APPLICATION_ID {
        return Err("is the database of another program".into());
    }
    if word(60) > FORMAT {
        return Err(format!("has format {}, this program knows formats up to {FORMAT}", word(60)));
    }
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        bytes => u64::from(bytes),
    };
    let page_count_is_valid = word(24) == word(92);
    if page_count_is_valid && file_bytes < page_bytes * u64::from(word(28)) {
        return Err(format!("is truncated: {file_bytes} bytes are left of {} pages", word(28)));
    }
    Ok(())
}

fn foreign(database: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{} {why}", database.display()))
        .hint("it was left as it is; choose another path, or move it away")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES];
        header[..16].copy_from_slice(b"SQLite format 3\0");
        header[16..18].copy_from_slice(&4096u16.to_be_bytes());
        header[28..32].copy_from_slice(&5u32.to_be_bytes());
        header[60..64].copy_from_slice(&FORMAT.to_be_bytes());
        header[68..72].copy_from_slice(&APPLICATION_ID.to_be_bytes());
        header
    }

    #[test]
    fn our_header_passes_and_every_other_says_why_not() {
        check_header(&header(), 5 * 4096).unwrap();
        assert!(check_header(&header(), 5 * 4096 - 1).unwrap_err().contains("truncated"));
        assert!(check_header(&header()[..99], 99).unwrap_err().contains("not a SQLite"));
        let with = |at: usize, word: u32| {
            let mut changed = header();
            changed[at..at + 4].copy_from_slice(&word.to_be_bytes());
            check_header(&changed, 5 * 4096).unwrap_err()
        };
        assert!(with(68, 0).contains("another program"));
        assert!(with(60, FORMAT + 1).contains("format"));
        assert!(with(0, 0).contains("not a SQLite"));
    }
}
