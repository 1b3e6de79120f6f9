//! The diagnosis of a server: [`probe`] gathers the facts, [`rules`] derives findings from them.

mod probe;
mod rules;

use leasehold_core::{ClaimId, Finding, Interest, LockName, Result, store_kit::Explain};

use crate::{PostgresStore, client::Client, transport::Transport};
use probe::Probe;

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
        Ok(sorted(gather(&self.client).await.explain_store("doctor", url)?))
    }
}

/// The facts about our own table, and whether notifications arrive.
async fn gather(client: &Client) -> Result<Probe> {
    let mut probe = probe::gather(&client.transport, Some("leasehold.locks")).await?;
    if !probe.is_pooled && !probe.is_standby {
        let nobody = Interest::Turn(ClaimId::mint(&client.env));
        drop(client.listener.watch(&LockName::new("doctor")?, nobody).await?);
        probe.hears = Some(!client.listener.is_deaf());
    }
    Ok(probe)
}

/// The findings about locks in the table of another library, or in none.
pub(crate) async fn of_table(transport: &Transport, table: Option<&str>) -> Result<Vec<Finding>> {
    let probe = probe::gather(transport, table).await;
    Ok(sorted(probe.explain_store("doctor", &transport.options.url)?))
}

fn sorted(probe: Probe) -> Vec<Finding> {
    let mut findings = rules::findings(&probe);
    findings.sort_by_key(|finding| finding.severity);
    findings
}
