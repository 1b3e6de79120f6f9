//! Every mechanism is needed: without it a scenario breaks a rule, and with it the same seeds break none.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test that prints its table")]

use std::process::ExitCode;

use leasehold_core::Mechanism;
use leasehold_lab::{config::RunConfig, run::play, scenario::Scenario};

/// Within so many seeds it must show.
const SEEDS: u64 = 400;

/// Where each mechanism is missed.
const TABLE: [(Mechanism, &str); 17] = [
    (Mechanism::OwnerCheck, "pause"),
    (Mechanism::DeadlineFromSendTime, "partition"),
    (Mechanism::LocalDeadline, "pause"),
    (Mechanism::SuspendCounts, "suspend"),
    (Mechanism::PollGuard, "pause"),
    (Mechanism::IdempotentClaim, "lost-replies"),
    (Mechanism::ReleaseAfterCancel, "given-up"),
    (Mechanism::CarriedToItsEnd, "given-up"),
    (Mechanism::LateGrantRefused, "pause-asking"),
    (Mechanism::RenewalMakesNothing, "late-renewal"),
    (Mechanism::Recheck, "lost-replies"),
    (Mechanism::Drift, "clock-drift"),
    (Mechanism::Floor, "server-forgets"),
    (Mechanism::WriteBack, "quorum-calendars-apart"),
    (Mechanism::RestartDelay, "quorum-forgets-in-turn"),
    (Mechanism::DoubtHasNoVote, "quorum-late"),
    (Mechanism::ClaimStep, "pause"),
];

/// What was found for a mechanism.
struct Row {
    seeds: u64,
    rules: String,
    complaint: String,
}

fn missed(mechanism: Mechanism, scenario: &'static Scenario) -> Result<Row, String> {
    for seed in 0..SEEDS {
        let whole = play(RunConfig::of(scenario, seed));
        if let Some(complaint) = whole.complaint() {
            return Err(format!("with it, seed {seed} fails as well: {complaint}"));
        }
        let run = play(RunConfig::of(scenario, seed).without(mechanism));
        if let Some(complaint) = run.complaint() {
            return Ok(Row { seeds: seed + 1, rules: run.rules().join(", "), complaint });
        }
    }
    Err(format!("{SEEDS} seeds do not miss it: either it is not needed, or nothing tests it"))
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        TABLE.iter().for_each(|(mechanism, _)| println!("{mechanism:?}: test"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = 0;
    let mut passed = 0;
    for mechanism in Mechanism::ALL {
        if !TABLE.iter().any(|(tabled, _)| *tabled == mechanism) {
            failed += 1;
            println!("FAILED {mechanism:?}: the table says nowhere that it is missed");
        }
    }
    println!(
        "{:22} {:24} {:>5}  {:28} what went wrong first",
        "without", "scenario", "seeds", "rules broken"
    );
    for (mechanism, name) in TABLE {
        let word = format!("{mechanism:?}");
        if !wanted.is_empty() && !wanted.iter().any(|part| word.contains(part.as_str())) {
            continue;
        }
        let found = Scenario::named(name).ok_or_else(|| format!("there is no scenario {name}"));
        match found.and_then(|scenario| missed(mechanism, scenario)) {
            Ok(row) => {
                passed += 1;
                println!("{word:22} {name:24} {:>5}  {:28} {}", row.seeds, row.rules, row.complaint);
            }
            Err(reason) => {
                failed += 1;
                println!("FAILED {word} in {name}: {reason}");
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
