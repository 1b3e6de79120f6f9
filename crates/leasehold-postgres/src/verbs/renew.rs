//! Renewals.

use leasehold_core::{Claim, Renewal, Result};

use super::claim::gone;
use crate::{client::Client, error::column, format, sql::RENEW};

/// The renewals that share a commit: enough to make its cost small, few enough to let others in between.
const RENEWALS_MAX: usize = 100;

pub(crate) async fn renew(client: &Client, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let mut answers = Vec::with_capacity(claims.len());
    for some in claims.chunks(RENEWALS_MAX) {
        match renew_some(client, some).await {
            Ok(renewed) => answers.extend(renewed.into_iter().map(Ok)),
            Err(error) => answers.extend(some.iter().map(|_| Err(error.clone()))),
        }
    }
    answers
}

/// Renews some in one statement.
async fn renew_some(client: &Client, claims: &[Claim]) -> Result<Vec<Renewal>> {
    let names: Vec<&[u8]> = claims.iter().map(|claim| claim.name.as_bytes()).collect();
    let ids: Vec<[u8; 16]> = claims.iter().map(|claim| claim.id.bits().to_be_bytes()).collect();
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
    let ttls: Vec<i64> = claims.iter().map(|claim| format::micros(claim.ttl)).collect();
    let is_member = client.transport.options.is_member;
    let rows = client.transport.query(&RENEW, &[&names, &ids, &ttls, &is_member]).await?;
    if let Some(row) = rows.first() {
        client.answered_by(column(row, 2)?);
    }
    let renewal = |row| {
        Ok(match column::<i16>(row, 0)? {
            3 => Renewal::Renewed { valid_for: format::span(column(row, 1)?) },
            reason => Renewal::Gone(gone(reason.into())),
        })
    };
    rows.iter().map(renewal).collect()
}
