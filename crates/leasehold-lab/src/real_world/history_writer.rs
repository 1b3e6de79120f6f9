//! [`HistoryWriter`]: records events with the time of the machine.

use std::{
    fs::{File, OpenOptions, create_dir_all},
    io::{BufReader, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use leasehold::env::Env;

use super::{model::now_us, workload::Workload};
use crate::history::{self, Event, EventKind};

/// The file of the runner and its nemesis.
const FAULTS: &str = "faults.jsonl";

/// One file. Every event is one write of a whole line, so that `kill -9` leaves whole lines.
#[derive(Debug)]
pub(crate) struct HistoryWriter {
    file: File,
    env: Env,
}

impl HistoryWriter {
    /// The history of a process in a workload.
    pub(crate) fn of_process(histories: &Path, workload: Workload, process: u32, env: &Env) -> Result<Self> {
        let directory = histories.join(workload.name());
        create_dir_all(&directory)?;
        Self::append_to(&directory.join(format!("{process}.jsonl")), env)
    }

    /// The faults of the run.
    pub(crate) fn of_faults(histories: &Path, env: &Env) -> Result<Self> {
        Self::append_to(&histories.join(FAULTS), env)
    }

    fn append_to(path: &Path, env: &Env) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, env: env.clone() })
    }

    pub(crate) fn record(&self, process: u32, kind: EventKind) -> Result<()> {
        let mut line = serde_json::to_vec(&Event { at_us: now_us(&self.env), process, kind })?;
        line.push(b'\n');
        Ok((&self.file).write_all(&line)?)
    }

    /// Records the beginning or end of a fault.
    pub(crate) fn fault(&self, name: &str, target: &str, ended: bool) -> Result<()> {
        self.record(0, EventKind::PlannedFault { name: name.into(), target: target.into(), ended })
    }
}

/// The faults and the events of all processes in a workload, in the order of the clock.
pub(crate) fn gather(histories: &Path, workload: Workload) -> Result<Vec<Event>> {
    let read = |path: PathBuf| Ok::<_, anyhow::Error>(history::read(BufReader::new(File::open(path)?))?);
    let mut events = read(histories.join(FAULTS))?;
    let directory = histories.join(workload.name());
    if directory.is_dir() {
        for entry in directory.read_dir()? {
            events.extend(read(entry?.path())?);
        }
    }
    events.sort_by_key(|event| event.at_us);
    Ok(events)
}

/// Writes the whole history of a workload into one file; returns its path.
pub(crate) fn keep(histories: &Path, workload: Workload, events: &[Event]) -> Result<PathBuf> {
    let path = histories.join(format!("{}.jsonl", workload.name()));
    let mut lines = Vec::new();
    history::write(events, &mut lines)?;
    std::fs::write(&path, lines)?;
    Ok(path)
}
