//! The diagnosis of the servers: [`probe`] takes readings, and [`rules`] turns them into findings.

mod probe;
mod rules;

use leasehold_core::{Finding, Result};

use self::probe::Probe;
use crate::client::Client;

/// The findings about every master, the worst first.
pub(crate) async fn diagnose(client: &Client) -> Result<Vec<Finding>> {
    client.state.check_open()?;
    let (mut findings, mut failure, mut answered) = (Vec::new(), None, false);
    for node in client.router.masters(client.options.timeout).await? {
        match Probe::read(client, &node).await {
            Ok(probe) => {
                answered = true;
                findings.extend(rules::findings(&probe));
            }
            Err(error) => {
                findings.push(rules::silent(&node.endpoint.to_string(), &error.to_string()));
                failure = failure.or(Some(error));
            }
        }
    }
    match failure {
        Some(error) if !answered => Err(error),
        _ => {
            findings.sort_by_key(|finding| finding.severity);
            Ok(findings)
        }
    }
}

/// The findings about a server that answers every request with this text, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn findings_of_text(text: &str) -> Vec<Finding> {
    [false, true]
        .into_iter()
        .flat_map(|is_cluster| rules::findings(&Probe::of_text(text, is_cluster)))
        .collect()
}
