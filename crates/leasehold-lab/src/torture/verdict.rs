//! [`Verdict`]: what a run has shown.

use std::{fmt, path::PathBuf};

use crate::{
    check::{Assumptions, Figures, Rule, Violation, check},
    history::Event,
};
use serde::Serialize;

use crate::torture::{
    lane::Lane,
    scene::{Kind, Promise},
};

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// All rules were kept, and the controls lost updates under the same faults.
    Kept,
    /// All rules were kept, but a control lost nothing, or nothing was written at all: the faults were none.
    ProvesNothing,
    /// A rule was broken.
    Broken,
}

/// A run, judged.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) store: Kind,
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) workers: usize,
    pub(crate) ending: Ending,
    /// Leases exclude on this scene: an overlap is a broken rule and no figure.
    pub(crate) exclusive: bool,
    /// One command that does it again; time is real and will not be the same.
    pub(crate) replay: String,
    /// Where the histories are, if they were kept.
    pub(crate) histories: Option<PathBuf>,
    pub(crate) lanes: Vec<LaneVerdict>,
}

/// One lane, judged.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LaneVerdict {
    pub(crate) lane: Lane,
    pub(crate) control: bool,
    pub(crate) figures: Figures,
    pub(crate) broken: Vec<Violation>,
}

/// How many breaches are printed.
const SHOWN: usize = 5;

/// What the scene promises and what the lane does.
fn assumptions(lane: Lane, promise: Promise) -> Assumptions {
    Assumptions {
        clocks: promise.clocks && lane.is_library(),
        memory: promise.memory,
        tokens: lane.is_library(),
        fenced: lane.fenced(),
        heal_bound: promise.heal_bound,
    }
}

/// Judges the history of a lane. A control that does not go through the library has no rules to keep; one that does
/// keeps those about grants.
pub(crate) fn judge(lane: Lane, promise: Promise, events: &[Event]) -> LaneVerdict {
    let report = check(events, &assumptions(lane, promise));
    let mut broken = report.broken;
    if !lane.is_library() {
        broken.clear();
    }
    broken.retain(|violation| !lane.is_control() || violation.rule != Rule::Resource);
    LaneVerdict { lane, control: lane.is_control(), figures: report.figures, broken }
}

impl Verdict {
    pub(crate) fn ending(lanes: &[LaneVerdict]) -> Ending {
        let broken = lanes.iter().any(|lane| !lane.broken.is_empty());
        let shows =
            |lane: &LaneVerdict| lane.figures.writes > 0 && (!lane.control || lane.figures.updates_lost > 0);
        match () {
            () if broken => Ending::Broken,
            () if lanes.iter().all(shows) => Ending::Kept,
            () => Ending::ProvesNothing,
        }
    }

    fn faults(&self) -> String {
        let faults = self.lanes.first().map(|lane| &lane.figures.faults_by_name);
        let each = faults.into_iter().flatten().map(|(name, count)| format!("{count} {name}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (store, seed, seconds) = (self.store, self.seed, self.seconds);
        writeln!(f, "{store}, seed {seed}, {seconds} s, {} workers: {:?}", self.workers, self.ending)?;
        writeln!(f, "  faults: {}", self.faults())?;
        writeln!(
            f,
            "  {:<9} {:>7} {:>7} {:>7} {:>7} {:>13} {:>7} {:>8} {:>7}",
            "lane", "grants", "busy", "errors", "losses", "double holds", "writes", "refused", "lost"
        )?;
        for lane in &self.lanes {
            let its = &lane.figures;
            let double = format!("{} ({:.1} s)", its.double_holds, its.double_held_us as f64 / 1e6);
            let refused = its.writes_refused + its.reads_refused;
            writeln!(
                f,
                "  {:<9} {:>7} {:>7} {:>7} {:>7} {double:>13} {:>7} {refused:>8} {:>7}{}",
                lane.lane.name(),
                its.grants,
                its.refusals,
                its.failures,
                its.losses,
                its.writes,
                its.updates_lost,
                if lane.control { "  control: has to lose" } else { "" }
            )?;
        }
        for lane in &self.lanes {
            for violation in lane.broken.iter().take(SHOWN) {
                writeln!(f, "  broken in {}: {violation}", lane.lane.name())?;
            }
        }
        if let Some(histories) = &self.histories {
            writeln!(f, "  histories: {}", histories.display())?;
        }
        if self.ending != Ending::Kept {
            writeln!(f, "  again (time is real and will differ): {}", self.replay)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::history::What;

    use super::*;

    const PROMISE: Promise = Promise { clocks: true, memory: true, heal_bound: Duration::from_secs(1) };

    fn event(at_us: u64, process: u32, what: What) -> Event {
        Event { at_us, process, what }
    }

    /// Two holders of one lane, of whom the second has read when the first, which is late, writes.
    fn stale_write(lane: Lane, accepted: bool) -> Vec<Event> {
        let resource = || lane.name().to_string();
        let lock = || lane.name().to_string();
        let write = |attempt, accepted| What::Write {
            attempt,
            resource: resource(),
            value: 1,
            accepted: Some(accepted),
        };
        vec![
            event(0, 1, What::Ask { attempt: 1, lock: lock(), shared: false }),
            event(1, 1, What::Grant { attempt: 1, token: Some(1), deadline_us: Some(10) }),
            event(2, 1, What::Read { attempt: 1, resource: resource(), value: Some(0) }),
            event(11, 2, What::Ask { attempt: 2, lock: lock(), shared: false }),
            event(12, 2, What::Grant { attempt: 2, token: Some(2), deadline_us: Some(30) }),
            event(13, 2, What::Read { attempt: 2, resource: resource(), value: Some(0) }),
            event(20, 1, What::Write { attempt: 1, resource: resource(), value: 1, accepted: None }),
            event(21, 1, write(1, accepted)),
            event(22, 2, write(2, true)),
            event(23, 2, What::Release { attempt: 2 }),
            event(40, 0, What::Final { resource: resource(), value: 1 }),
        ]
    }

    fn all(lost_in: &[Lane]) -> Vec<LaneVerdict> {
        let judged = |lane| judge(lane, PROMISE, &stale_write(lane, lost_in.contains(&lane)));
        Lane::ALL.map(judged).into()
    }

    #[test]
    fn a_run_is_good_when_the_controls_alone_lose() {
        assert_eq!(Verdict::ending(&all(&[Lane::Written, Lane::Owner, Lane::Bare])), Ending::Kept);
        assert_eq!(
            Verdict::ending(&all(&[Lane::Written, Lane::Owner, Lane::Bare, Lane::Deadline])),
            Ending::Kept,
            "a lease alone may lose: nobody checks at the resource"
        );
    }

    #[test]
    fn a_run_whose_controls_lose_nothing_proves_nothing() {
        for missing in [Lane::Written, Lane::Owner, Lane::Bare] {
            let lost: Vec<Lane> =
                Lane::ALL.into_iter().filter(|lane| lane.is_control() && *lane != missing).collect();
            assert_eq!(Verdict::ending(&all(&lost)), Ending::ProvesNothing, "{}", missing.name());
        }
        let idle = judge(Lane::Deadline, PROMISE, &[]);
        assert_eq!(Verdict::ending(&[idle]), Ending::ProvesNothing, "nothing was written");
    }

    #[test]
    fn an_update_lost_with_the_claim_breaks_a_run() {
        let lanes = all(&Lane::ALL);
        assert_eq!(Verdict::ending(&lanes), Ending::Broken);
        let broken: Vec<&str> =
            lanes.iter().filter(|lane| !lane.broken.is_empty()).map(|it| it.lane.name()).collect();
        assert_eq!(broken, ["claimed"]);
    }
}
