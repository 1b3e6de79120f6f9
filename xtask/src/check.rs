//! `cargo xtask check`: formatting, lints and the rules of the tree.

use crate::{files, tidy};

/// The commands, the cheap ones first.
const COMMANDS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"],
    // The command has the name of the library: their pages would lie in one directory.
    &[
        "doc",
        "--workspace",
        "--exclude=leasehold-cli",
        "--exclude=xtask",
        "--no-deps",
        "--all-features",
        "--quiet",
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
    if !failed.is_empty() {
        return Err(format!("check failed: {}", failed.join(", ")));
    }
    println!("check: formatting, lints and the rules of the tree are kept");
    Ok(())
}
