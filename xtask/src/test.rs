//! `cargo xtask test`: all tests, and one line that says how they went.

pub(crate) mod binary;
mod lane;
pub(crate) mod tally;

use std::{
    io::{self, BufReader},
    process::Stdio,
};

use crate::{packages, tree};
use tally::Tally;

/// What nobody in the workspace enables, and is tested all the same.
pub(crate) const FEATURES: [&str; 2] = ["--features", "leasehold-redis/redis-1"];

/// How many lines of a failed runner are told again at the end.
const AGAIN_LINES: usize = 150;

/// Runs the tests of the workspace. With `args`, `cargo test` gets them and has its way.
///
/// # Errors
/// Any failure; empty when the counts have said so already.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    packages::provide()?;
    let tally = if args.is_empty() { everything()? } else { some(args)? };
    for failure in &tally.failures {
        println!("\n==== failed: {}", failure.runner);
        for line in &failure.lines[failure.lines.len().saturating_sub(AGAIN_LINES)..] {
            println!("{line}");
        }
    }
    for failure in &tally.failures {
        println!("failed: {}: {}", failure.runner, failure.tests.join(", "));
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { Ok(()) } else { Err(String::new()) }
}

/// All test programs, some at once, then the examples in the documentation, and then each mechanism of the stores switched
/// off once, which a test has to notice.
fn everything() -> Result<Tally, String> {
    let mut tally = lane::run(binary::build(&FEATURES)?);
    let mut documentation = tree::cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]);
    documentation.args(FEATURES);
    tally.add(watch(documentation, "the examples in the documentation")?);
    let mut mutations = tree::cargo(&["run", "--quiet", "--package", "xtask", "--"]);
    mutations.arg("mutations");
    tally.add(watch(mutations, "cargo xtask mutations")?);
    Ok(tally)
}

fn some(args: &[String]) -> Result<Tally, String> {
    let mut command = tree::cargo(&["test", "--no-fail-fast"]);
    if !chooses_packages(args) {
        command.arg("--workspace").args(FEATURES);
    }
    command.args(args);
    watch(command, "cargo test")
}

/// Runs cargo and passes on what it says as it comes.
fn watch(mut command: std::process::Command, name: &str) -> Result<Tally, String> {
    let cannot = |error: io::Error| format!("{name} could not be run: {error}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut tally = Tally::new(name);
    if let Some(output) = child.stdout.take() {
        tally.read(BufReader::new(output), io::stdout()).map_err(cannot)?;
    }
    tally.end(child.wait().map_err(cannot)?.success());
    Ok(tally)
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
