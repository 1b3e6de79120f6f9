//! [`QuorumOptions`]: on what terms stores vote.

use std::time::Duration;

use crate::{Capability, Drift, Error, ErrorKind, Exclusion, Fencing, FencingToken, Liveness, Result, Store};

/// On what terms stores vote. All clients of one quorum must agree on the members and on [`QuorumOptions::longest_lease`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct QuorumOptions {
    /// The name in errors and `inspect`: a URL without secrets.
    pub url: String,
    /// The name in messages about capabilities.
    pub scheme: &'static str,
    /// The time for an answer of a member. A verb takes no longer, or twice as long when tokens are raised; a request
    /// without an answer goes on in the background. At most an eighth of the time to live.
    pub node_timeout: Duration,
    /// The longest time to live of a hold, and the time without a vote of a member that may have lost its data.
    pub longest_lease: Duration,
    /// How far the clocks of the members may differ in rate from ours: that much of a lease does not count.
    pub drift: Drift,
}

impl Default for QuorumOptions {
    /// 500 ms, 60 s, 1 % and 2 ms.
    fn default() -> Self {
        QuorumOptions {
            url: "quorum:".to_string(),
            scheme: "quorum",
            node_timeout: Duration::from_millis(500),
            longest_lease: Duration::from_secs(60),
            drift: Drift::TWO_CLOCKS,
        }
    }
}

impl QuorumOptions {
    /// The time without a vote of a member that has lost its data: the longest lease, and until its calendar has passed
    /// every token that it may have granted before.
    pub(super) fn quarantine(&self) -> Duration {
        self.longest_lease.max(Duration::from_micros(FencingToken::SLACK_US) * 2)
    }

    /// Refuses what would not exclude.
    pub(super) fn check(&self, members: &[std::sync::Arc<dyn Store>]) -> Result<()> {
        let refuse =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Unsafe, message).hint(hint.to_string()));
        if members.len() < 3 || members.len().is_multiple_of(2) {
            let message = format!("a quorum of {} members", members.len());
            return refuse(
                message,
                "use three or five: one more than an odd number must agree and survives the loss of no more",
            );
        }
        for member in members {
            if !member.capability().votes {
                let message = format!("{} cannot be a member of a quorum", member.url());
                return refuse(
                    message,
                    "members are independent servers that know when they have forgotten: single Redis servers opened as \
                     members, or stores that do not forget",
                );
            }
        }
        if self.node_timeout.is_zero() || self.longest_lease < Duration::from_millis(100) {
            let message = "a node timeout of nothing, or a longest lease below 100 ms";
            return Err(Error::new(ErrorKind::Invalid, message).hint("the usual ones are 500 ms and 60 s"));
        }
        Ok(())
    }

    /// The capability of a quorum of such members: the common one, without the features that do not survive voting.
    pub fn capability(&self, members: &[Capability]) -> Capability {
        let each = || members.iter();
        let fencing = each().map(|its| its.fencing).min().unwrap_or(Fencing::None);
        Capability {
            scheme: self.scheme,
            exclusion: Exclusion::Lease,
            // There is no transaction across members.
            commits: false,
            // Shared holds would have to agree on tokens while others come and go, and permits cannot be counted by
            // majorities at all: three clients can have two of three members each.
            shared: false,
            permits: 0,
            // Members line up waiters each in its own order.
            fifo: false,
            fencing,
            liveness: Liveness::Ttl,
            waiters: each().all(|its| its.waiters),
            wakes: each().all(|its| its.wakes),
            detach: each().all(|its| its.detach),
            notes: each().all(|its| its.notes),
            lists: each().all(|its| its.lists),
            lock_delay: each().all(|its| its.lock_delay),
            // A quorum of quorums would need members that tell when a majority has forgotten.
            votes: false,
            ttl_min: each().map(|its| its.ttl_min).max().unwrap_or_default().max(Duration::from_millis(50)),
            ttl_max: each().map(|its| its.ttl_max).min().unwrap_or_default().min(self.longest_lease),
            drift: self.drift,
        }
    }
}
