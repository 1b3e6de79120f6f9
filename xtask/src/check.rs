//! `cargo xtask check`: formatting, lints and the rules of the tree.

use crate::{api, files, test::FEATURES, tidy};

/// The commands, the cheap ones first.
const COMMANDS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &[
        "clippy",
        "--workspace",
        "--all-targets",
        FEATURES[0],
        FEATURES[1],
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ],
];

pub(crate) fn run(_: &[String]) -> Result<(), String> {
    let mut failed = Vec::new();
    let findings = tidy::all();
    if !findings.is_empty() {
        eprintln!("{}", findings.join("\n"));
        failed.push(format!("{} rules of the tree", findings.len()));
    }
    for args in COMMANDS {
        let status = files::cargo(args).status();
        if !status.is_ok_and(|status| status.success()) {
            failed.push(format!("cargo {}", args[0]));
        }
    }
    let api = api::findings();
    if !api.is_empty() {
        eprintln!("{}", api.join("\n"));
        failed.push("the documentation and the list of the public API".to_string());
    }
    if !failed.is_empty() {
        return Err(format!("check failed: {}", failed.join(", ")));
    }
    println!("check: formatting, lints, the rules of the tree and the public API are kept");
    Ok(())
}
