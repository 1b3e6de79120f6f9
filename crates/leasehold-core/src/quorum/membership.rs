//! The identity of the members: read at the first use of the quorum, when one may have changed, and from time to time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{
    Core,
    fan_out::{FanOut, Next},
    member::MemberState,
};
use crate::{Error, ErrorKind, FencingToken, LockName, Member, Result};

/// A member is asked again who it is when that is as old as this.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

impl Core {
    /// Identifies the members, as far as they can be reached, and refuses a wrong configuration.
    pub(super) async fn identified(self: &Arc<Self>) -> Result<()> {
        if self.identified.load(Ordering::Acquire) {
            self.probe_stale();
            return self.refuse_mistakes();
        }
        if self.probe_all().await > 0 {
            self.identified.store(true, Ordering::Release);
        }
        self.refuse_mistakes()
    }

    /// Probes all members; the number that answered in time.
    pub(super) async fn probe_all(self: &Arc<Self>) -> usize {
        let mut timer = self.env.sleep(self.options.node_timeout);
        let mut calls = FanOut::new(&self.env);
        for member in &self.members {
            calls.add(member.number, self.probe(member));
        }
        let mut known = 0;
        while let Next::Answer(_, is_known) = calls.next(&mut timer).await {
            known += usize::from(is_known);
        }
        known
    }

    /// Probes a member in the background, unless a probe is under way.
    pub(super) fn probe_later(self: &Arc<Self>, member: &Arc<MemberState>) {
        if !member.is_asked.swap(true, Ordering::AcqRel) {
            let probe = self.probe(member);
            let member = member.clone();
            self.env.spawn(async move {
                probe.await;
                member.is_asked.store(false, Ordering::Release);
            });
        }
    }

    fn probe_stale(self: &Arc<Self>) {
        let now = self.env.now();
        for member in &self.members {
            let known_since = member.record().info.as_ref().map(|(_, seen)| *seen);
            if known_since.is_none_or(|seen| now.since(seen) > PROBE_INTERVAL) {
                self.probe_later(member);
            }
        }
    }

    /// Reads the server info of a member; whether it answered.
    pub(super) fn probe(self: &Arc<Self>, member: &Arc<MemberState>) -> crate::BoxFuture<'static, bool> {
        let (core, member) = (self.clone(), member.clone());
        Box::pin(async move {
            match member.probe(&core.env).await {
                Ok(probe) => {
                    member.probed(probe, core.options.quarantine());
                    core.compare();
                    core.set_calendar();
                    true
                }
                Err(error) => {
                    member.record().failure = Some(format!("{error:#}"));
                    if matches!(error.kind(), ErrorKind::Unsafe | ErrorKind::Unsupported) {
                        member.record().mistake = Some(format!("{error:#}"));
                    }
                    tracing::debug!(node = %member.url, %error, "a member could not be identified");
                    false
                }
            }
        })
    }

    /// Finds members that are the same server, or replicas of each other.
    fn compare(&self) {
        let (mut servers, mut lineages) = (HashMap::new(), HashMap::new());
        for member in &self.members {
            let Some(info) = member.server_info() else { continue };
            let twin = servers.insert(info.server.clone(), member.url.clone());
            let copy = info.lineage.and_then(|lineage| lineages.insert(lineage, member.url.clone()));
            member.record().mistake = match (twin, copy) {
                (Some(other), _) => Some(format!("it is the same server as {other}")),
                (None, Some(other)) => Some(format!("it and {other} are replicas of each other")),
                (None, None) => None,
            };
        }
    }

    fn refuse_mistakes(&self) -> Result<()> {
        for member in &self.members {
            let mistake = member.record().mistake.clone();
            if let Some(mistake) = mistake {
                return Err(Error::new(ErrorKind::Unsafe, member.says(mistake)).hint(
                    "name independent servers, each once: what two of them share does not survive its loss",
                ));
            }
        }
        Ok(())
    }

    /// How far the calendar of the members is ahead of our clock: the median, so that one wrong clock does not count, but no less
    /// than a member by itself grants by. Otherwise, tokens would go back when the counters that such a member has raised are lost.
    fn set_calendar(&self) {
        let mut ahead_us: Vec<i128> = self.members.iter().filter_map(|member| member.ahead_us()).collect();
        ahead_us.sort_unstable();
        let (median, last) = (ahead_us.get(ahead_us.len() / 2), ahead_us.last());
        let least = last.map(|last| last - i128::from(FencingToken::SLACK_US));
        let offset = |ahead_us: i128| i64::try_from(ahead_us).unwrap_or(0);
        if let (Some(median), Some(least)) = (median, least) {
            self.clock_offset_us.store(offset(least.max(*median)), Ordering::Release);
            self.least_offset_us.store(offset(least), Ordering::Release);
        }
    }

    /// The token to propose for a new grant: the calendar of the members, independent of our own.
    pub(super) fn proposal(&self) -> Option<FencingToken> {
        u64::try_from(self.calendar_us(&self.clock_offset_us)).ok().and_then(|us| FencingToken::new(us).ok())
    }

    /// The same for a lock that this client may just have had.
    pub(super) fn proposal_for(&self, name: &LockName) -> Option<FencingToken> {
        let least = u64::try_from(self.calendar_us(&self.least_offset_us)).unwrap_or_default();
        self.proposal().map(|newest| self.proposals.choose(name, newest, least))
    }

    fn calendar_us(&self, offset_us: &AtomicI64) -> i128 {
        i128::from(self.env.now().nanos() / 1000) + i128::from(offset_us.load(Ordering::Acquire))
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let (quarantine, now) = (self.options.quarantine(), self.env.now());
        self.members.iter().map(|member| member.member(quarantine, now)).collect()
    }
}
