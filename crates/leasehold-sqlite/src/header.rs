//! [`Header`]: the first hundred bytes of the file, read before SQLite may touch it.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    sync::{Mutex, MutexGuard},
};

use leasehold_core::{Error, ErrorKind, Result};

use crate::{
    place::{Identity, Place},
    refusal,
    schema::{APPLICATION_ID, FORMAT},
    shared::lock,
};

/// What stands at the path of the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Header {
    /// Nothing, or an empty file: a new database is to be made.
    Blank,
    /// A database of ours.
    Ours,
}

/// The databases that this process has open, with how many stores have each.
///
/// Closing *any* descriptor of a file drops all POSIX locks that the process has on it, SQLite's among them (fcntl(2);
/// "How to corrupt an SQLite database file", 2.2). So a database that is open is never opened a second time to read
/// its header; it was checked when it was opened first.
static OPEN: Mutex<Option<HashMap<Identity, usize>>> = Mutex::new(None);

/// The right to look at headers, held while a database is being opened.
pub(crate) struct Reader(MutexGuard<'static, Option<HashMap<Identity, usize>>>);

/// Keeps a database known as open in this process. Dropped after SQLite's connections.
#[derive(Debug)]
pub(crate) struct Opened(Identity);

impl Reader {
    /// Waits for those who are opening a database.
    pub(crate) fn new() -> Self {
        Reader(lock(&OPEN))
    }

    /// Says what is there, or refuses it and leaves it as it is.
    pub(crate) fn read(&self, place: &Place) -> Result<Header> {
        let identity = match fs::metadata(&place.database) {
            Ok(file) if !file.is_file() => return Err(foreign(place, "is not a regular file")),
            Ok(file) => Identity::of(&file),
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Header::Blank),
            Err(source) => return Err(refusal::of_io(source, "look at", &place.database)),
        };
        if self.0.as_ref().is_some_and(|open| open.contains_key(&identity)) {
            return Ok(Header::Ours);
        }
        check(place)
    }

    /// Notes that the database is open.
    pub(crate) fn opened(mut self, place: &Place) -> Result<Opened> {
        let identity =
            place.identity().map_err(|source| refusal::of_io(source, "look at", &place.database))?;
        *self.0.get_or_insert_default().entry(identity).or_default() += 1;
        Ok(Opened(identity))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut open = lock(&OPEN);
        let open = open.get_or_insert_default();
        if let Some(count) = open.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.0);
            }
        }
    }
}

fn check(place: &Place) -> Result<Header> {
    let told = |source| refusal::of_io(source, "read", &place.database);
    // NONBLOCK: a named pipe put there since would make us wait for its writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&place.database).map_err(told)?;
    let about = file.metadata().map_err(told)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(told)?;
    if bytes.is_empty() {
        return Ok(Header::Blank);
    }
    judge(&bytes, about.len()).map_err(|why| foreign(place, &why))?;
    if std::os::unix::fs::MetadataExt::nlink(&about) > 1 {
        let message = format!("{} has several names (hard links)", place.database.display());
        return Err(Error::new(ErrorKind::Unsafe, message).hint(
            "SQLite keeps its log beside the name that it was opened by, so two names are two databases: remove one",
        ));
    }
    Ok(Header::Ours)
}

const HEADER_BYTES: usize = 100;

/// Judges a header by the file format of SQLite (sqlite.org/fileformat2.html, 1.3).
fn judge(header: &[u8], file_bytes: u64) -> Result<(), String> {
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

fn foreign(place: &Place, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{} {why}", place.database.display()))
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
        judge(&header(), 5 * 4096).unwrap();
        assert!(judge(&header(), 5 * 4096 - 1).unwrap_err().contains("truncated"));
        assert!(judge(&header()[..99], 99).unwrap_err().contains("not a SQLite"));
        let with = |at: usize, word: u32| {
            let mut changed = header();
            changed[at..at + 4].copy_from_slice(&word.to_be_bytes());
            judge(&changed, 5 * 4096).unwrap_err()
        };
        assert!(with(68, 0).contains("another program"));
        assert!(with(60, FORMAT + 1).contains("format"));
        assert!(with(0, 0).contains("not a SQLite"));
    }
}
