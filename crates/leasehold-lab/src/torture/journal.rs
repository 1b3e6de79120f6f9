//! [`Journal`]: the history of one lane of one process, written line by line as it happens.

use std::{
    fs::{File, OpenOptions, create_dir_all},
    io::{BufReader, Write},
    path::{Path, PathBuf},
};

use crate::history::{self, Event, What};
use leasehold::env::Env;

use crate::torture::{failure::Result, lane::Lane, pace::now_us};

/// One file. Every event is one write of a whole line, so that `kill -9` leaves whole lines.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    env: Env,
    process: u32,
}

impl Journal {
    pub(crate) fn create(histories: &Path, lane: Lane, process: u32, env: &Env) -> Result<Self> {
        let directory = directory(histories, lane);
        create_dir_all(&directory)?;
        let path = directory.join(format!("{process}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, env: env.clone(), process })
    }

    /// Says what happens now.
    pub(crate) fn say(&mut self, what: What) -> Result<()> {
        let event = Event { at_us: now_us(&self.env), process: self.process, what };
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok(self.file.write_all(&line)?)
    }
}

fn directory(histories: &Path, lane: Lane) -> PathBuf {
    histories.join(lane.name())
}

/// What all processes said of a lane, and `others`, in the order of the clock.
pub(crate) fn gather(histories: &Path, lane: Lane, others: &[Event]) -> Result<Vec<Event>> {
    let mut events = others.to_vec();
    let directory = directory(histories, lane);
    if directory.is_dir() {
        for entry in directory.read_dir()? {
            events.extend(history::read(BufReader::new(File::open(entry?.path())?))?);
        }
    }
    events.sort_by_key(|event| event.at_us);
    Ok(events)
}

/// Writes the whole history of a lane into one file; answers its path.
pub(crate) fn keep(histories: &Path, lane: Lane, events: &[Event]) -> Result<PathBuf> {
    let path = histories.join(format!("{}.jsonl", lane.name()));
    let mut lines = Vec::new();
    history::write(events, &mut lines)?;
    std::fs::write(&path, lines)?;
    Ok(path)
}
