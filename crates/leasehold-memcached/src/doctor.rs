//! Diagnosis of a server: [`probe`] collects its statistics and settings, [`rules`] judges them.

mod probe;
mod rules;

use leasehold_core::{Finding, Result, Store, store_kit::Explain};

use self::probe::Probe;
use crate::{MemcachedStore, client::Client, server_info::Stats};

impl MemcachedStore {
    /// Diagnoses the server's settings and its data losses as far as locks are concerned, the worst finding first.
    /// Nothing is written. A server on which locks are refused is diagnosed, too.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like when the server does not answer,
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) when it demands a login.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let probe = probe(&self.client).await.explain_store("doctor", self.url())?;
        let mut findings = rules::findings(&probe);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}

async fn probe(client: &Client) -> Result<Probe> {
    client.state.check_open()?;
    let options = &client.options;
    let mut replies = client.transport.probe().await?.into_iter();
    Ok(Probe {
        node: options.address.to_string(),
        stats: Stats::of(replies.next())?,
        settings: Stats::of(replies.next())?,
        wall_us: client.env.wall_us(),
        text_only: options.text_only,
    })
}
