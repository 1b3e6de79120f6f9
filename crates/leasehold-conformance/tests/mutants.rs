//! The suite finds broken stores: each of the mutants has one bug, and the case named for it must fail.

#[path = "mutants/answers.rs"]
mod answers;
#[path = "mutants/bug.rs"]
mod bug;
#[path = "mutants/names.rs"]
mod names;
#[path = "mutants/store.rs"]
mod store;
#[path = "mutants/wake.rs"]
mod wake;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bug::{BUGS, Bug};
use leasehold_conformance::{Case, Fixture, Report};
use leasehold_core::{Store, memory::Memory};
use store::{Ledger, Mutant};

fn backend(bug: Bug) -> Fixture {
    let fixture = Fixture::simulated(7, move |env| {
        let memory = Memory::new(env.clone());
        let ledger: Arc<Mutex<Ledger>> = Arc::default();
        move || {
            let inner = if bug == Bug::ClientsShareASession { memory.clone() } else { memory.client() };
            Ok(Arc::new(Mutant { inner, env: env.clone(), bug, ledger: ledger.clone() }) as Arc<dyn Store>)
        }
    });
    fixture.slack(Duration::from_millis(50)).time_limit(Duration::from_secs(3600))
}

fn failing(bug: Bug, cases: &[Case]) -> Vec<String> {
    let fixture = backend(bug);
    // Woken by its own question, or told to ask again at once, the engine asks without a pause, and in a virtual
    // world time never passes.
    let spins = [Bug::WakeHerd, Bug::RecheckZero].contains(&bug);
    let endless = |case: &&Case| spins && ["loss", "abandonment", "fairness"].contains(&case.promise);
    let cases = cases.iter().filter(|case| !endless(case));
    let broken = cases.filter(|case| matches!(fixture.run(case), Report::Broken(_)));
    broken.map(Case::path).collect()
}

#[test]
fn without_a_bug_the_wrapper_passes() {
    assert_eq!(failing(Bug::None, &leasehold_conformance::cases()), Vec::<String>::new());
}

#[test]
fn every_bug_is_found_by_the_case_named_for_it() {
    let cases = leasehold_conformance::cases();
    let healthy = failing(Bug::None, &cases);
    let mut missed = Vec::new();
    let mut unbroken: BTreeSet<_> = cases.iter().map(|case| case.promise).collect();
    println!("| bug | what | found by | cases that fail |\n|---|---|---|---|");
    for (bug, case, what) in BUGS {
        let found: Vec<_> = failing(*bug, &cases).into_iter().filter(|it| !healthy.contains(it)).collect();
        unbroken.retain(|promise| !found.iter().any(|it| it.split("::").next() == Some(promise)));
        let caught = found.iter().any(|it| it == case);
        println!("| {bug:?} | {} | {} | {} |", what.trim(), if caught { case } else { "-" }, found.len());
        if !caught {
            missed.push(format!("{bug:?}: {case} does not fail; these do: {found:?}"));
        }
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
    // Memory is one process, so no mutant of it can break what is promised across processes.
    assert_eq!(unbroken, BTreeSet::from(["process"]), "promises that no bug breaks");
}
