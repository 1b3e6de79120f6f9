//! What a lock around a short command costs, as whole commands:
//! `cargo build --release -p leasehold-cli && cargo bench -p leasehold-benches --bench command`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use leasehold::env::Env;
use leasehold_benches::Samples;

const ROUNDS: usize = 200;

fn leasehold_binary() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    // target/release/deps/command-… → target/release/leasehold
    let binary = program.ancestors().nth(2).expect("benches run from target/release/deps").join("leasehold");
    assert!(binary.exists(), "build it first: cargo build --release -p leasehold-cli");
    binary
}

fn commands(directory: &Path) -> Vec<(&'static str, Command)> {
    let store = format!("sqlite:{}", directory.join("locks.db").display());
    let mut flock = Command::new("flock");
    flock.arg(directory.join("lock")).arg("true");
    let mut leasehold = Command::new(leasehold_binary());
    leasehold.args(["run", "--store", &store, "x", "--", "true"]);
    let mut version = Command::new(leasehold_binary());
    version.arg("--version");
    let mut all = vec![
        ("true", Command::new("true")),
        ("flock f true", flock),
        ("leasehold run x -- true", leasehold),
        ("leasehold --version", version),
    ];
    for (_, command) in &mut all {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    }
    all
}

fn main() {
    let env = Env::system().expect("threads start");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut commands = commands(directory.path());
    let mut samples = vec![Samples::default(); commands.len()];
    for round in 0..=ROUNDS {
        for ((_, command), samples) in commands.iter_mut().zip(&mut samples) {
            let begin = env.now();
            let status = command.status().expect("the command starts");
            assert!(status.success(), "{command:?} failed: {status}");
            // The first round warms up.
            if round > 0 {
                samples.push(env.now().since(begin));
            }
        }
    }
    println!("{}", Samples::head());
    for ((label, _), samples) in commands.iter().zip(&samples) {
        println!("{}", samples.row(label));
    }
    let ratio = samples[2].median().as_secs_f64() / samples[1].median().as_secs_f64();
    println!("\nleasehold run / flock, medians: {ratio:.2}");
}
