//! Recording of events with the time of the machine: [`HistoryWriter`] in a file for each worker and workload,
//! [`EventLog`] in the memory of the runner.

use std::{
    fs::{File, OpenOptions, create_dir_all},
    io::{BufReader, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::Result;
use leasehold::env::Env;

use super::{model::now_us, workload::Workload};
use crate::{
    history::{self, Event, EventKind},
    sync::lock,
};

/// One file. Every event is one write of a whole line, so that `kill -9` leaves whole lines.
#[derive(Debug)]
pub(crate) struct HistoryWriter {
    file: File,
    env: Env,
    process: u32,
}

impl HistoryWriter {
    pub(crate) fn create(histories: &Path, workload: Workload, process: u32, env: &Env) -> Result<Self> {
        let directory = histories.join(workload.name());
        create_dir_all(&directory)?;
        let path = directory.join(format!("{process}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, env: env.clone(), process })
    }

    pub(crate) fn record(&mut self, kind: EventKind) -> Result<()> {
        let event = Event { at_us: now_us(&self.env), process: self.process, kind };
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok(self.file.write_all(&line)?)
    }
}

/// Events of the runner and its nemesis.
#[derive(Debug)]
pub(crate) struct EventLog {
    env: Env,
    events: Mutex<Vec<Event>>,
}

impl EventLog {
    pub(crate) fn new(env: &Env) -> Self {
        Self { env: env.clone(), events: Mutex::default() }
    }

    /// Records the beginning or end of a fault.
    pub(crate) fn fault(&self, name: &str, target: &str, ended: bool) {
        self.record(0, EventKind::PlannedFault { name: name.into(), target: target.into(), ended });
    }

    pub(crate) fn record(&self, process: u32, kind: EventKind) {
        let mut events = lock(&self.events);
        events.push(Event { at_us: now_us(&self.env), process, kind });
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }
}

/// The events of all processes in a workload, and `others`, in the order of the clock.
pub(crate) fn gather(histories: &Path, workload: Workload, others: &[Event]) -> Result<Vec<Event>> {
    let mut events = others.to_vec();
    let directory = histories.join(workload.name());
    if directory.is_dir() {
        for entry in directory.read_dir()? {
            events.extend(history::read(BufReader::new(File::open(entry?.path())?))?);
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
