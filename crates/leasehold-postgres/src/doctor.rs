//! The diagnosis of a server: [`probe`] gathers the facts, [`rules`] derives findings from them.

mod probe;
mod rules;

use leasehold_core::{ClaimId, Finding, Interest, LockName, Result, store_kit::Explain};

use crate::{PostgresStore, client::Client, transport::Transport};

impl PostgresStore {
    /// Examines the server that the URL leads to, and returns the findings that matter for locks, the worst first.
    ///
    /// # Errors
    /// [`Unreachable`](leasehold_core::ErrorKind) and the like, `Rejected` for a login that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe: at most the schema is made.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let Client { transport, listener, .. } = &*self.client;
        let gathered = async {
            let mut probe = probe::gather(transport, Some("leasehold.locks")).await?;
            if !probe.is_pooled && !probe.is_standby {
                let nobody = Interest::Turn(ClaimId::mint(&transport.env));
                drop(listener.watch(&LockName::new("doctor")?, nobody).await?);
                probe.hears = Some(!listener.is_deaf());
            }
            Ok(probe)
        };
        Ok(rules::findings(&gathered.await.explain_store("doctor", &transport.options.url)?))
    }
}

/// The findings about locks in the table of another library, or in none.
pub(crate) async fn of_table(transport: &Transport, table: Option<&str>) -> Result<Vec<Finding>> {
    let probe = probe::gather(transport, table).await;
    Ok(rules::findings(&probe.explain_store("doctor", &transport.options.url)?))
}
