//! `leasehold doctor`: whether a store can be relied on, and what to change.

use std::{fmt::Write, process::ExitCode};

use anyhow::Result;
use clap::Args;
use leasehold::{Finding, Severity};
use serde_json::{Value, json};

use crate::{args::Common, exit, holder::plain, message::Output, store::Location};

/// Say whether a store can be relied on, and what to change.
///
/// Looks at the configuration and the state of the servers, and writes nothing. Red: locks can be lost, or cannot be taken
/// (exit code 78). Amber: locks hold only under an assumption that you should know of, or it could not be seen. Green: as
/// it should be.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Prints all findings, the worst first.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let location = Location::find(arguments.common.store.as_deref())?;
    let findings = leasehold::diagnose::diagnose(location.url()).await?;
    output.data(
        || Value::Array(findings.iter().map(to_json).collect()),
        || page(&findings, &location).unwrap_or_default(),
    );
    Ok(match count(&findings, Severity::Critical) {
        0 => exit::success(),
        _ => exit::UNSAFE.into(),
    })
}

fn to_json(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.to_string(),
        "node": finding.node,
        "what": finding.what,
        "why": finding.why,
        "fix": finding.fix,
    })
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

fn page(findings: &[Finding], location: &Location) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    writeln!(page, "store    {}", location.shown())?;
    let of = |severity| format!("{} {severity}", count(findings, severity));
    let counts = [Severity::Critical, Severity::Warning, Severity::Ok].map(of);
    writeln!(page, "found    {}", counts.join(", "))?;
    let mut was_green = false;
    for finding in findings {
        let is_green = finding.severity == Severity::Ok;
        // What is well takes a line, what is not a paragraph.
        if !(is_green && was_green) {
            writeln!(page)?;
        }
        was_green = is_green;
        let word = finding.severity.to_string();
        writeln!(page, "{word:<8} {} · {}", plain(&finding.node), plain(&finding.what))?;
        if !is_green {
            writeln!(page, "  why      {}", plain(&finding.why))?;
            writeln!(page, "  fix      {}", plain(&finding.fix))?;
        }
    }
    Ok(page)
}
