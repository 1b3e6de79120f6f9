//! `cargo xtask test`: all tests, and one line that says how they went.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::Stdio,
};

use crate::{packages, tree};

/// How many tests passed and failed, over all runners.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    runners: u64,
    passed: u64,
    failed: u64,
}

/// Runs the tests of the workspace; `args` go to `cargo test`.
///
/// # Errors
/// Any failure; empty when the counts have said so already.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    packages::provide()?;
    let mut command = tree::cargo(&["test", "--no-fail-fast"]);
    if !chooses_packages(args) {
        command.arg("--workspace");
        // What nobody in the workspace enables, and is tested all the same.
        command.args(["--features", "leasehold-redis/redis-1"]);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let cannot = |error: io::Error| format!("cargo test could not be run: {error}");
    let mut child = command.spawn().map_err(cannot)?;
    let mut count = match child.stdout.take() {
        Some(output) => tally(BufReader::new(output), io::stdout()).map_err(cannot)?,
        None => Count::default(),
    };
    let status = child.wait().map_err(cannot)?;
    if count.failed == 0 && (!status.success() || count.runners == 0) {
        // A crash or a compiler error has no line of its own in the counts.
        eprintln!("cargo test ended with {status} and no failed test: this counts as one failure");
        count.failed = 1;
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed == 0 { Ok(()) } else { Err(String::new()) }
}

fn chooses_packages(args: &[String]) -> bool {
    let own = args.iter().take_while(|arg| *arg != "--");
    own.into_iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package") || arg == "--workspace")
}

/// Passes every line on as it comes, and adds up what the runners say at their ends.
fn tally(mut from: impl BufRead, mut to: impl Write) -> io::Result<Count> {
    let mut count = Count::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        if let Some((passed, failed)) = result_of(&String::from_utf8_lossy(&line)) {
            count.runners += 1;
            count.passed += passed;
            count.failed += failed;
        }
        line.clear();
    }
    Ok(count)
}

/// Reads `test result: ok. 12 passed; 0 failed; …`, with which every runner ends.
fn result_of(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = counts.split("; ");
    let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some((passed, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_runners_are_added_and_all_lines_passed_on() {
        let output = "running 3 tests\ntest a ... ok\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: FAILED. 40 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s\n\
            a test that prints test result: ok. 9 passed; 9 failed\nlast line without an end";
        let mut passed_on = Vec::new();
        let count = tally(output.as_bytes(), &mut passed_on).unwrap();
        assert_eq!(count, Count { runners: 2, passed: 43, failed: 2 });
        assert_eq!(passed_on, output.as_bytes());
    }

    #[test]
    fn naming_a_package_leaves_out_the_others() {
        let args = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert!(chooses_packages(&args("-p leasehold-core")));
        assert!(chooses_packages(&args("--package=xtask")));
        assert!(!chooses_packages(&args("mutex -- -p")));
    }
}
