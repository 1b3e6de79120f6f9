//! What an operator should know of the server: probe are gathered here, and judged in [`rules`].

mod probe;
mod rules;

use leasehold_core::{Finding, Result, Store};

use self::probe::{Probe, Reading};
use crate::{MemcachedStore, reply::Reply, server_info::Stats};

impl MemcachedStore {
    /// Looks at how the server was started and what it has forgotten, and says what matters for locks, the worst first.
    /// Nothing is written. A server on which no lock is taken is looked at as well.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like when the server does not answer,
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) when it lets nobody in.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let looked = self.look().await.map_err(|error| error.verb("doctor").store(self.url()))?;
        let mut findings = rules::findings(&looked);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }

    async fn look(&self) -> Result<Probe> {
        let session = self.session();
        session.refuse_closed()?;
        let options = &session.options;
        let mut replies = session.node.probe(options.timeout).await?.into_iter();
        let mut next = || look_at(replies.next());
        Ok(Probe {
            node: self.address(),
            stats: next()?,
            settings: next()?,
            wall_us: session.env.wall_us(),
            text_only: options.text_only,
        })
    }
}

fn look_at(reply: Option<Reply>) -> Result<Reading> {
    Ok(Reading(Stats::of(reply)?.into_fields()))
}
