//! [`RunReport`]: the result of a test run.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::{model::EnvironmentKind, workload::Workload};
use crate::{
    checker::{Assumptions, Figures, Rule, Violation, check},
    history::Event,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// All rules were kept, and the controls lost updates under the same faults.
    Kept,
    /// All rules were kept, but a control lost nothing or nothing was written: the faults had no effect.
    ProvesNothing,
    /// A rule was broken.
    Broken,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunReport {
    pub(crate) store: EnvironmentKind,
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) workers: usize,
    /// The number of them in containers.
    pub(crate) containers: usize,
    pub(crate) outcome: Outcome,
    /// Whether leases exclude in this environment: an overlap breaks a rule then, and is counted otherwise.
    pub(crate) exclusive: bool,
    /// The command that repeats the run; time is real and differs.
    pub(crate) replay: String,
    /// The directory of the histories, if they were kept.
    pub(crate) histories: Option<PathBuf>,
    pub(crate) workloads: Vec<WorkloadReport>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct WorkloadReport {
    pub(crate) workload: Workload,
    pub(crate) control: bool,
    pub(crate) figures: Figures,
    pub(crate) broken: Vec<Violation>,
}

const SHOWN: usize = 5;

/// Judges the history of a workload. A control without Leasehold has no rules to keep; one with it keeps those about
/// grants.
pub(crate) fn judge(workload: Workload, usual: &Assumptions, events: &[Event]) -> WorkloadReport {
    let (tokens, fence) = (workload.is_leasehold(), workload.fence());
    let clocks = usual.clocks && workload.is_leasehold();
    let report = check(events, &Assumptions { clocks, tokens, fence, ..usual.clone() });
    let mut broken = report.broken;
    if !workload.is_leasehold() {
        broken.clear();
    }
    broken.retain(|violation| !workload.is_control() || violation.rule != Rule::Resource);
    WorkloadReport { workload, control: workload.is_control(), figures: report.figures, broken }
}

impl RunReport {
    pub(crate) fn outcome(workloads: &[WorkloadReport]) -> Outcome {
        let broken = workloads.iter().any(|workload| !workload.broken.is_empty());
        let shows = |workload: &WorkloadReport| {
            workload.figures.writes > 0 && (!workload.control || workload.figures.updates_lost > 0)
        };
        match () {
            () if broken => Outcome::Broken,
            () if workloads.iter().all(shows) => Outcome::Kept,
            () => Outcome::ProvesNothing,
        }
    }

    fn faults(&self) -> String {
        let faults = self.workloads.first().map(|workload| &workload.figures.faults_by_name);
        let each = faults.into_iter().flatten().map(|(name, count)| format!("{count} {name}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (store, seed, seconds) = (self.store, self.seed, self.seconds);
        writeln!(f, "{store}, seed {seed}, {seconds} s, {} workers: {:?}", self.workers, self.outcome)?;
        writeln!(f, "  faults: {}", self.faults())?;
        writeln!(
            f,
            "  {:<9} {:>7} {:>7} {:>7} {:>7} {:>13} {:>7} {:>8} {:>7}",
            "workload", "grants", "busy", "errors", "losses", "double holds", "writes", "refused", "lost"
        )?;
        for workload in &self.workloads {
            let its = &workload.figures;
            let double = format!("{} ({:.1} s)", its.double_holds, its.double_held_us as f64 / 1e6);
            let refused = its.writes_refused + its.reads_refused;
            writeln!(
                f,
                "  {:<9} {:>7} {:>7} {:>7} {:>7} {double:>13} {:>7} {refused:>8} {:>7}{}",
                workload.workload.name(),
                its.grants,
                its.refusals,
                its.failures,
                its.losses,
                its.writes,
                its.updates_lost,
                if workload.control { "  control: has to lose" } else { "" }
            )?;
        }
        for workload in &self.workloads {
            for violation in workload.broken.iter().take(SHOWN) {
                writeln!(f, "  broken in {}: {violation}", workload.workload.name())?;
            }
        }
        if let Some(histories) = &self.histories {
            writeln!(f, "  histories: {}", histories.display())?;
        }
        if self.outcome != Outcome::Kept {
            writeln!(f, "  again (time is real and will differ): {}", self.replay)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::EventKind;

    fn event(at_us: u64, process: u32, kind: EventKind) -> Event {
        Event { at_us, process, kind }
    }

    /// Two holders of one workload, of whom the second has read when the first, which is late, writes.
    fn stale_write(workload: Workload, accepted: bool) -> Vec<Event> {
        let resource = || workload.name();
        let lock = || workload.name();
        let write = |attempt, accepted| EventKind::Write {
            attempt,
            resource: resource(),
            value: 1,
            accepted: Some(accepted),
        };
        vec![
            event(0, 1, EventKind::Ask { attempt: 1, lock: lock(), shared: false }),
            event(1, 1, EventKind::Grant { attempt: 1, token: Some(1), deadline_us: Some(10) }),
            event(2, 1, EventKind::Read { attempt: 1, resource: resource(), value: Some(0) }),
            event(11, 2, EventKind::Ask { attempt: 2, lock: lock(), shared: false }),
            event(12, 2, EventKind::Grant { attempt: 2, token: Some(2), deadline_us: Some(30) }),
            event(13, 2, EventKind::Read { attempt: 2, resource: resource(), value: Some(0) }),
            event(20, 1, EventKind::Write { attempt: 1, resource: resource(), value: 1, accepted: None }),
            event(21, 1, write(1, accepted)),
            event(22, 2, write(2, true)),
            event(23, 2, EventKind::Release { attempt: 2 }),
            event(40, 0, EventKind::Final { resource: resource(), value: 1 }),
        ]
    }

    fn all(lost_in: &[Workload]) -> Vec<WorkloadReport> {
        let judged = |workload| {
            judge(workload, &Assumptions::default(), &stale_write(workload, lost_in.contains(&workload)))
        };
        Workload::all().map(judged).collect()
    }

    #[test]
    fn a_run_is_good_when_the_controls_alone_lose() {
        assert_eq!(
            RunReport::outcome(&all(&[Workload::Written, Workload::Owner, Workload::Bare])),
            Outcome::Kept
        );
        assert_eq!(
            RunReport::outcome(&all(&[
                Workload::Written,
                Workload::Owner,
                Workload::Bare,
                Workload::Deadline
            ])),
            Outcome::Kept,
            "a lease alone may lose: nobody checks at the resource"
        );
    }

    #[test]
    fn a_run_whose_controls_lose_nothing_proves_nothing() {
        for missing in [Workload::Written, Workload::Owner, Workload::Bare] {
            let lost: Vec<Workload> =
                Workload::all().filter(|workload| workload.is_control() && *workload != missing).collect();
            assert_eq!(RunReport::outcome(&all(&lost)), Outcome::ProvesNothing, "{}", missing.name());
        }
        let idle = judge(Workload::Deadline, &Assumptions::default(), &[]);
        assert_eq!(RunReport::outcome(&[idle]), Outcome::ProvesNothing, "nothing was written");
    }

    #[test]
    fn an_update_lost_with_the_claim_breaks_a_run() {
        let workloads = all(&Workload::all().collect::<Vec<_>>());
        assert_eq!(RunReport::outcome(&workloads), Outcome::Broken);
        let broken: Vec<String> = workloads
            .iter()
            .filter(|workload| !workload.broken.is_empty())
            .map(|it| it.workload.name())
            .collect();
        assert_eq!(broken, ["claimed"]);
    }
}
