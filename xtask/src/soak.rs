//! `cargo xtask soak`: what takes too long for every change. A million seeds of the simulation, and half an hour of torture
//! on all stores, one after the other.

use crate::{packages, torture, tree};

/// What is tortured, each for an equal part of the time.
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
];

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Amount {
    seeds: u64,
    seconds: u64,
    seed: u64,
}

impl Amount {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut amount = Amount { seeds: 1_000_000, seconds: 1800, seed: 1 };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let number = words.next().and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| format!("`{word}` wants a number"))?;
            match word.as_str() {
                "--seeds" => amount.seeds = number,
                "--seconds" => amount.seconds = number,
                "--seed" => amount.seed = number,
                _ => return Err(format!("`{word}` is none of --seeds, --seconds and --seed")),
            }
        }
        Ok(amount)
    }

    /// For one store.
    fn share_seconds(self) -> u64 {
        self.seconds / STORES.len() as u64
    }
}

/// Runs both parts; `--seeds 0` or `--seconds 0` leaves one out.
///
/// # Errors
/// The names of what failed.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let amount = Amount::parse(args)?;
    packages::provide()?;
    let mut failed = Vec::new();
    if amount.seeds > 0 && !simulate(amount.seeds)? {
        failed.push("the simulation".to_string());
    }
    for store in STORES.iter().filter(|_| amount.seconds > 0) {
        let (seconds, seed) = (amount.share_seconds().to_string(), amount.seed.to_string());
        let args = ["--store", store, "--seconds", &seconds, "--seed", &seed].map(String::from);
        if !torture::direct(&args)?.success() {
            failed.push(format!("torture of {store}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("soak failed: {}", failed.join(", "))) }
}

/// The scenarios of leasehold-lab with that many seeds a scenario.
fn simulate(seeds: u64) -> Result<bool, String> {
    let mut command =
        tree::cargo(&["test", "--release", "--package", "leasehold-lab", "--test", "scenarios"]);
    let status = command.env("LEASEHOLD_SEEDS", seeds.to_string()).status();
    Ok(status.map_err(|error| format!("cargo test could not be run: {error}"))?.success())
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
        assert_eq!(whole.share_seconds(), 150);
        assert!(parse("--seeds").is_err() && parse("--minutes 3").is_err());
    }
}
