//! One seed is one run, byte for byte.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::process::Command;

use leasehold_lab::{
    config::RunConfig,
    history,
    resource::Fence,
    run::play,
    scenario::{ALL, Scenario},
};

fn bytes(config: RunConfig) -> Vec<u8> {
    let mut lines = Vec::new();
    history::write(&play(config).history, &mut lines).unwrap();
    lines
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    for scenario in &ALL {
        for seed in 0..6 {
            let first = bytes(RunConfig::of(scenario, seed));
            assert_eq!(first, bytes(RunConfig::of(scenario, seed)), "{} {seed}", scenario.name);
            let Some(control) = scenario.control else { continue };
            let config = || RunConfig::with(scenario, seed, control, Fence::None);
            assert_eq!(bytes(config()), bytes(config()), "the control of {} {seed}", scenario.name);
        }
    }
}

#[test]
fn another_seed_leaves_others() {
    let storm = Scenario::named("storm").unwrap();
    assert_ne!(bytes(RunConfig::of(storm, 2)), bytes(RunConfig::of(storm, 4)));
}

/// FNV-1a (Fowler, Noll, Vo): to compare without carrying all bytes from one process to the other.
fn digest() -> u64 {
    let storms = ["storm", "quorum-storm", "lost-replies"].map(|name| Scenario::named(name).unwrap());
    let all = storms.into_iter().flat_map(|storm| (0..6).flat_map(|seed| bytes(RunConfig::of(storm, seed))));
    all.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn another_process_leaves_the_same_bytes() {
    if std::env::var("LEASEHOLD_REPLAY_DIGEST").is_ok() {
        println!("digest={}", digest());
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_leaves_the_same_bytes", "--nocapture"])
        .env("LEASEHOLD_REPLAY_DIGEST", "1")
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(said.contains(&format!("digest={}", digest())), "{said}");
}
