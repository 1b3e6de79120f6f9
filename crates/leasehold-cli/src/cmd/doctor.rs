//! `leasehold doctor`: diagnoses the configuration and state of a store.

use std::{fmt::Write, process::ExitCode};

use anyhow::Result;
use clap::Args;
use leasehold::diagnose::{Finding, Severity};
use serde_json::json;

use super::common::StoreArgs;
use crate::{describe::plain, exit, output::Output, store_location::StoreLocation};

/// Diagnose a store: whether its configuration and state are safe for locks, and what to change.
///
/// Reads the configuration and the state of the servers, and writes nothing. Critical: locks can be lost, or cannot be taken
/// (exit code 78). Warning: locks are safe only under the assumption named, or something could not be checked. Ok: no
/// problem.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
}

/// Prints all findings, the worst first.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let location = arguments.store.location(output)?;
    let findings = if location.is_to_be_made() {
        let what = "the database is made at its first use";
        vec![Finding::ok("sqlite", what, "it is the default store, in a directory of this user")]
    } else {
        leasehold::diagnose::diagnose(location.url()).await?
    };
    output.data(|| json!(findings), || page(&findings, &location).unwrap_or_default())?;
    Ok(match count(&findings, Severity::Critical) {
        0 => ExitCode::SUCCESS,
        _ => exit::UNSAFE.into(),
    })
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

fn page(findings: &[Finding], location: &StoreLocation) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    writeln!(page, "store    {}", location.shown())?;
    if let Some(origin) = location.origin() {
        writeln!(page, "named    {origin}")?;
    }
    let of = |severity| format!("{} {severity}", count(findings, severity));
    let counts = [Severity::Critical, Severity::Warning, Severity::Ok].map(of);
    writeln!(page, "found    {}", counts.join(", "))?;
    let mut was_ok = false;
    for finding in findings {
        let is_ok = finding.severity == Severity::Ok;
        // One line for a finding that is ok, a paragraph for any other.
        if !(is_ok && was_ok) {
            writeln!(page)?;
        }
        was_ok = is_ok;
        let severity = finding.severity.to_string();
        writeln!(page, "{severity:<8} {} · {}", plain(&finding.node), plain(&finding.what))?;
        if !is_ok {
            writeln!(page, "  why      {}", plain(&finding.why))?;
            writeln!(page, "  fix      {}", plain(&finding.fix))?;
        }
    }
    Ok(page)
}
