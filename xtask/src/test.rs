//! `cargo xtask test`: all tests, and one line of counts.

pub(crate) mod binary;
pub(crate) mod runner;
pub(crate) mod summary;

use std::{
    io::{self, BufReader},
    process::{Command, Stdio},
};

use crate::{files, packages};
use binary::Binary;
use summary::Summary;

/// Features that no crate of the workspace enables, and that are tested.
pub(crate) const FEATURES: [&str; 2] = [
    "--features",
    "leasehold-sqlite/portable-twin,leasehold-cli/portable-twin,leasehold-tower/axum,leasehold/redis-1,leasehold/sqlx,leasehold/testing",
];

/// The tests of the inner loop: those of one process and of SQLite. They need no server.
const QUICK: &[&str] = &[
    "--package=leasehold-core",
    "--package=leasehold",
    "--package=leasehold-conformance",
    "--package=leasehold-sqlite",
    "--package=leasehold-lab",
    "--package=leasehold-cli",
    "--lib",
    "--bins",
    "--test=model",
    "--test=facade",
    "--test=increments",
    "--test=memory",
    "--test=scenarios",
    "--test=conformance",
    "--test=contract",
    "--test=contention",
    "--test=differential",
    "--test=leftovers",
    "--test=processes",
    "--test=refusals",
    "--test=cli",
];
/// The seeds a scenario of the simulation there.
const QUICK_SEEDS: &str = "400";
/// Parts of the names of the command line's tests that start servers.
const SERVERS: &[&str] =
    &["redis", "redlock", "memcached", "zookeeper", "etcd", "quorum", "doctor", "drain", "secrets"];

/// The lines of a failed runner that are printed again at the end.
const AGAIN_LINES: usize = 150;

/// Runs the tests of the workspace, or with `quick` those of the inner loop. Other `args` are those of `cargo test`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let quick = args == ["quick"];
    packages::provide(quick)?;
    let summary = match quick {
        true => self::quick()?,
        false if args.is_empty() => everything()?,
        false => some(args)?,
    };
    for failure in &summary.failures {
        println!("\n==== failed: {}", failure.runner);
        for line in &failure.lines[failure.lines.len().saturating_sub(AGAIN_LINES)..] {
            println!("{line}");
        }
    }
    for failure in &summary.failures {
        println!("failed: {}: {}", failure.runner, failure.tests.join(", "));
    }
    println!("{} passed, {} failed", summary.passed, summary.failed);
    if summary.failed == 0 { Ok(()) } else { Err(String::new()) }
}

/// All test programs, some at once, then the examples in the documentation, the packages, and the mutations.
fn everything() -> Result<Summary, String> {
    let mut build = files::cargo(&["test", "--workspace", "--no-run"]);
    build.args(FEATURES);
    let mut summary = runner::run_all(binary::build(build)?, |_| Vec::new(), &[]);
    let mut documentation = files::cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]);
    documentation.args(FEATURES);
    summary.add(watch(documentation, "the examples in the documentation")?);
    let package =
        files::cargo(&["run", "--quiet", "--package", "xtask", "--", "package", "--profile-of-tests"]);
    summary.add(watch(package, "cargo xtask package")?);
    let mutations = files::cargo(&["run", "--quiet", "--package", "xtask", "--", "mutations"]);
    summary.add(watch(mutations, "cargo xtask mutations")?);
    Ok(summary)
}

fn quick() -> Result<Summary, String> {
    let mut build = files::cargo(&["test", "--no-run"]);
    build.args(QUICK);
    let skip = |binary: &Binary| match binary.name.as_str() {
        "leasehold-cli cli" => SERVERS.iter().flat_map(|name| ["--skip", *name]).collect(),
        _ => Vec::new(),
    };
    // Of its unit tests the laboratory's scenarios show what matters here.
    let is_quick = |binary: &Binary| binary.name != "leasehold-lab";
    let binaries = binary::build(build)?.into_iter().filter(is_quick).collect();
    Ok(runner::run_all(binaries, skip, &[("LEASEHOLD_SEEDS", QUICK_SEEDS)]))
}

fn some(args: &[String]) -> Result<Summary, String> {
    let mut command = files::cargo(&["test", "--no-fail-fast"]);
    if !chooses_packages(args) {
        command.arg("--workspace").args(FEATURES);
    }
    command.args(args);
    watch(command, "cargo test")
}

/// Runs cargo and passes its output on as it comes.
fn watch(mut command: Command, name: &str) -> Result<Summary, String> {
    let failed = |error: io::Error| format!("{name} could not be run: {error}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut summary = Summary::new(name);
    if let Some(output) = child.stdout.take() {
        summary.read(BufReader::new(output), io::stdout()).map_err(failed)?;
    }
    summary.end(child.wait().map_err(failed)?.success());
    Ok(summary)
}

fn chooses_packages(args: &[String]) -> bool {
    let own = args.iter().take_while(|arg| *arg != "--");
    own.into_iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package") || arg == "--workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naming_a_package_leaves_out_the_others() {
        let args = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert!(chooses_packages(&args("-p leasehold-core")));
        assert!(chooses_packages(&args("--package=xtask")));
        assert!(!chooses_packages(&args("mutex -- -p")));
    }
}
