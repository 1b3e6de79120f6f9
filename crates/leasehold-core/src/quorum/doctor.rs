//! Findings about the members together.

use std::sync::Arc;

use super::{Core, Quorum};
use crate::{FencingToken, Finding, Severity, decide::votes::majority};

/// The smallest difference between clocks that is reported.
const APART_MAX_US: u128 = 1_000_000;

impl Quorum {
    /// Probes the members and reports the findings about locks: votes, clocks, and how many more members may fail.
    ///
    /// # Cancel safety
    /// Cancel safe; nothing is changed.
    pub async fn diagnose(&self) -> Vec<Finding> {
        let core = &self.0;
        core.probe_all().await;
        let mut findings = core.check_votes();
        findings.extend(core.check_clocks());
        findings
    }
}

impl Core {
    fn check_votes(self: &Arc<Self>) -> Vec<Finding> {
        let members = self.members();
        let (voting, needed) =
            (members.iter().filter(|member| member.votes).count(), majority(members.len()));
        let mut findings: Vec<Finding> = members
            .iter()
            .map(|member| match member.votes {
                true => {
                    Finding::ok(&*member.url, "it has a vote", "it has kept its data for the longest lease")
                }
                false => Finding::warning(
                    &*member.url,
                    member.state.clone(),
                    "a member that may have forgotten who holds must not help a second one to the lock",
                    "wait; or, if the server is new and nobody can hold anything on it, `leasehold promote --store URL`",
                ),
            })
            .collect();
        let spare = voting.checked_sub(needed);
        findings.push(match spare {
            None => Finding::critical(
                self.options.scheme,
                format!("{voting} of {} members have a vote, and {needed} are needed", members.len()),
                "nobody can take a lock",
                "bring members back, or wait until they have their votes; new ones get them by `leasehold promote --store URL`",
            ),
            Some(0) => Finding::warning(
                self.options.scheme,
                format!("{voting} of {} members have a vote: all of them are needed", members.len()),
                "the loss of one more stops everybody",
                "bring members back, or wait until they have their votes",
            ),
            Some(spare) => Finding::ok(
                self.options.scheme,
                format!("{voting} of {} members have a vote", members.len()),
                format!("{spare} may fail"),
            ),
        });
        findings
    }

    fn check_clocks(&self) -> Option<Finding> {
        let ahead_us: Vec<i128> = self.members.iter().filter_map(|member| member.ahead_us()).collect();
        let apart_us = (ahead_us.iter().max()? - ahead_us.iter().min()?).unsigned_abs();
        if apart_us <= APART_MAX_US {
            return None;
        }
        let slack_us = u128::from(FencingToken::SLACK_US);
        let finding = Finding::warning(
            self.options.scheme,
            format!("the clocks of the members are {:.1} s apart", apart_us as f64 / 1e6),
            "a member that has lost its counter floors tokens by its clock; and one whose clock jumps ends holds early",
            "synchronise the clocks of the members, slewing, not stepping",
        );
        Some(match apart_us > slack_us {
            true => Finding { severity: Severity::Critical, ..finding },
            false => finding,
        })
    }
}
