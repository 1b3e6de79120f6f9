//! The diagnosis of a cluster: [`probe`] gathers the facts, [`rules`] derives findings from them.

mod probe;
mod rules;

use leasehold_core::{Finding, Result, Store, store_kit::Explain};

use self::probe::Probe;
use crate::EtcdStore;

impl EtcdStore {
    /// Examines every member that the URL names, and their cluster, and returns the findings that matter for locks, the
    /// worst first. Nothing is written. A query that the user has no right to is a finding, and so is one of several
    /// members that does not answer.
    ///
    /// # Errors
    /// [`Unreachable`](leasehold_core::ErrorKind) and the like when no member answers, `Rejected` for a login or a
    /// certificate that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let probe = Probe::gather(&self.client).await.explain_store("doctor", self.url())?;
        let mut findings = rules::findings(&probe);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}
