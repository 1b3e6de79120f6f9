//! [`Nemesis`]: the faults of a run, as a seed chooses them: two threads for the workers, one for servers and network.

use std::time::Duration;

use anyhow::Result;

use super::{model::TTL, resource::Resource, workers::Workers, workload::Workload};
use crate::{rng::Rng, sync::StopFlag};

/// The workloads that are struck in turn.
const TARGETS: [Workload; 7] = [
    Workload::Written,
    Workload::Claimed,
    Workload::Owner,
    Workload::Written,
    Workload::Bare,
    Workload::Claimed,
    Workload::Deadline,
];
/// The time limit for a reader to appear.
const READER_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_millis(TTL.as_millis() as u64 * 2);

pub(super) struct Nemesis<'r> {
    pub(super) workers: Workers<'r>,
    pub(super) resource: &'r Resource,
    /// Set: active faults end, and no more begin.
    pub(super) stop: StopFlag,
}

impl Nemesis<'_> {
    /// Pauses and kills workers until the flag is set, in two threads, so that two processes may be paused at once.
    ///
    /// The target has read and not written yet, in one of the workloads by turns, and it is resumed as soon as another
    /// process has read there: a stale write before the first write of the next holder is the one that a token check on
    /// writes alone accepts (faults C1 to C3 of the catalogue).
    pub(super) fn strike_workers(&self, thread: usize) -> Result<()> {
        let mut rng = Rng::new(self.workers.seed).split(1 + thread as u64);
        for workload in TARGETS.iter().cycle().skip(thread * TARGETS.len() / 2) {
            if !self.stop.wait(rng.span_ms(50, 400)) {
                return Ok(());
            }
            self.strike_worker(*workload, &mut rng)?;
        }
        Ok(())
    }

    fn strike_worker(&self, workload: Workload, rng: &mut Rng) -> Result<()> {
        // Drawn in any case, so that the timing does not change later choices.
        let (kills, late, delay) = (rng.one_in(10), rng.one_in(4), rng.span_ms(50, 600));
        let Some(reader) = self.resource.await_reader(workload, READER_TIMEOUT) else { return Ok(()) };
        let target = format!("process {}", reader.process);
        if kills {
            self.workers.log.fault("worker killed", &target, false)?;
            self.workers.replace(reader.process)?;
            return self.workers.log.fault("worker killed", &target, true);
        }
        if !self.workers.pause(reader.process)? {
            return Ok(());
        }
        self.workers.log.fault("worker paused", &target, false)?;
        self.resource.await_next_reader(workload, reader, PAUSE_MAX);
        if late {
            self.stop.wait(delay);
        }
        self.workers.resume(reader.process)?;
        self.workers.log.fault("worker paused", &target, true)
    }

    /// Injects faults into servers and network, one at a time, until the flag is set.
    pub(super) fn strike_servers(&self) -> Result<()> {
        let mut rng = Rng::new(self.workers.seed).split(10);
        while self.stop.wait(rng.span_ms(500, 3000)) {
            let Some(fault) = self.workers.environment.inject(&mut rng)? else { continue };
            self.workers.log.fault(fault.name, &fault.target, false)?;
            self.stop.wait(fault.lasts);
            (fault.heal)()?;
            self.workers.log.fault(fault.name, &fault.target, true)?;
        }
        Ok(())
    }
}
