//! `cargo xtask torture` and `cargo xtask soak`: the tests that take too long for every change.

use std::process::ExitStatus;

use crate::{files, packages};

/// The stores under torture, each for an equal part of the time.
const STORES: &[&str] = &[
    "redis",
    "redis-volatile",
    "redis-clock",
    "sentinel",
    "cluster",
    "redlock",
    "redlock-clock",
    "zookeeper",
    "etcd",
    "etcd-revoked",
    "sqlite",
    "memcached",
    "postgres",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Amount {
    seeds: u64,
    seconds: u64,
    seed: u64,
}

impl Amount {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut amount = Amount { seeds: 1_000_000, seconds: 1800, seed: 1 };
        for pair in args.chunks(2) {
            let number = pair.get(1).and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| format!("`{}` needs a number", pair[0]))?;
            match pair[0].as_str() {
                "--seeds" => amount.seeds = number,
                "--seconds" => amount.seconds = number,
                "--seed" => amount.seed = number,
                word => return Err(format!("`{word}` is none of --seeds, --seconds and --seed")),
            }
        }
        Ok(amount)
    }
}

/// Runs a million seeds of the simulation, then half an hour of torture; `--seeds 0` or `--seconds 0` omits a part.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let amount = Amount::parse(args)?;
    packages::provide(false)?;
    let mut failed = Vec::new();
    if amount.seeds > 0 && !simulate(amount.seeds)? {
        failed.push("the simulation".to_string());
    }
    for store in STORES.iter().filter(|_| amount.seconds > 0) {
        let share_seconds = amount.seconds / STORES.len() as u64;
        let (seconds, seed) = (share_seconds.to_string(), amount.seed.to_string());
        let args = ["--store", store, "--seconds", &seconds, "--seed", &seed].map(String::from);
        if !run_torture(&args)?.success() {
            failed.push(format!("torture of {store}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("soak failed: {}", failed.join(", "))) }
}

fn simulate(seeds: u64) -> Result<bool, String> {
    let mut command =
        files::cargo(&["test", "--release", "--package", "leasehold-lab", "--test", "scenarios"]);
    let status = command.env("LEASEHOLD_SEEDS", seeds.to_string()).status();
    Ok(status.map_err(|error| format!("cargo test could not be run: {error}"))?.success())
}

/// Runs the library and its competitors in real processes on real servers that fail; `args` are those of the lab.
pub(crate) fn torture(args: &[String]) -> Result<(), String> {
    packages::provide(false)?;
    let status = run_torture(args)?;
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (false, Some(2)) => Err("the controls did not fail: this run proves nothing".into()),
        (false, _) => Err(String::new()),
    }
}

fn run_torture(args: &[String]) -> Result<ExitStatus, String> {
    let mut command = files::cargo(&["run", "--quiet", "--package", "leasehold-lab", "--", "torture", "run"]);
    command.args(args).status().map_err(|error| format!("cargo run could not be run: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_amount_is_a_million_seeds_and_half_an_hour_unless_told_otherwise() {
        let parse =
            |text: &str| Amount::parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>());
        let whole = Amount { seeds: 1_000_000, seconds: 1800, seed: 1 };
        assert_eq!(parse(""), Ok(whole));
        assert_eq!(parse("--seeds 10 --seconds 660"), Ok(Amount { seeds: 10, seconds: 660, ..whole }));
        assert!(parse("--seeds").is_err() && parse("--minutes 3").is_err());
    }
}
