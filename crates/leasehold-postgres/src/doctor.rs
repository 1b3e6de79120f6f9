//! The diagnosis of a server: [`probe`] gathers the facts, [`rules`] derives findings from them.

mod probe;
mod rules;

use leasehold_core::{ClaimId, Finding, Interest, LockName, Result, store_kit::Explain};

use crate::{PostgresStore, client::Client, options::PostgresOptions, transport::Transport};
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
        judged(&transport.options, gathered.await)
    }
}

/// The findings about locks in the table of another library, or in none.
pub(crate) async fn of_table(transport: &Transport, table: Option<&str>) -> Result<Vec<Finding>> {
    judged(&transport.options, probe::gather(transport, table).await)
}

/// The findings; a server that refuses this user, or every write, has one alone.
fn judged(options: &PostgresOptions, probe: Result<Probe>) -> Result<Vec<Finding>> {
    let is_refusal = |text: &str| ["(42501)", "(25006)"].iter().any(|code| text.contains(code));
    match probe {
        Err(error) if is_refusal(&error.to_string()) => {
            let fix = error.hint_text().unwrap_or_default();
            Ok(vec![Finding::critical(&options.url, error.to_string(), rules::UNUSABLE, fix)])
        }
        probe => Ok(rules::findings(&probe.explain_store("doctor", &options.url)?)),
    }
}
