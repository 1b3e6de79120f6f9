//! The diagnosis of a server: [`probe`] gathers the facts, [`rules`] derives findings from them.

mod probe;
mod rules;

use leasehold_core::{Finding, Result, store_kit::Explain};

use crate::PostgresStore;

impl PostgresStore {
    /// Examines the server that the URL leads to, and returns the findings that matter for locks, the worst first.
    ///
    /// # Errors
    /// [`Unreachable`](leasehold_core::ErrorKind) and the like, `Rejected` for a login that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe: at most the schema is made.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let url = &self.client.transport.options.url;
        let probe = probe::gather(&self.client).await.explain_store("doctor", url)?;
        let mut findings = rules::findings(&probe);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}
