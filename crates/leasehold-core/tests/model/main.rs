//! Fenced Redlock as a model that is searched to the end: every order of messages, losses, expiries and crashes.
//!
//! The decisions are the shipped ones ([`votes`](leasehold_core::decide::votes)). Each mechanism is also switched off, and
//! then the search must find what it is there for; the table of these mutations is printed.

mod exclusion;
mod search;
mod tokens;

use search::Found;

/// One mechanism, and what the search finds with it and without.
fn row(table: &mut String, mechanism: &str, found: &Found) {
    let says = match found {
        Found::Nothing { states } => format!("nothing in all {states} states"),
        Found::Violation { what, states, steps } => {
            format!("**{what}** after {states} states, {steps} steps")
        }
        Found::Bound { states } => format!("nothing in the first {states} states"),
    };
    table.push_str(&format!("| {mechanism} | {says} |\n"));
}

#[test]
fn tokens_grow_and_every_mechanism_for_it_is_needed() {
    use tokens::{Model, Mutation};
    let mut table = String::from("| tokens, 3 members, 2 attempts | found |\n|---|---|\n");
    let whole = search::exhaust(&Model::new(3, 2, 0, Mutation::None), 4_000_000);
    row(&mut table, "whole", &whole);
    let crashing = search::exhaust(&Model::new(3, 2, 2, Mutation::None), 500_000);
    row(&mut table, "whole, a member loses its memory twice, or two once", &crashing);
    let mut missed = Vec::new();
    for (mutation, mechanism, crashes) in [
        (Mutation::NoWriteBack, "without raising members to the largest token", 0),
        (Mutation::NoOwnershipCheck, "raising members that no longer hold the claim", 0),
        (Mutation::NoAdoption, "without taking over a larger token", 0),
        (Mutation::NoFloor, "without the floor under a counter that was lost", 1),
    ] {
        let found = search::exhaust(&Model::new(3, 2, crashes, mutation), 3_000_000);
        row(&mut table, mechanism, &found);
        if !matches!(found, Found::Violation { .. }) {
            missed.push(mechanism);
        }
    }
    println!("{table}");
    assert!(matches!(whole, Found::Nothing { .. }), "{whole:?}");
    assert!(!matches!(crashing, Found::Violation { .. }), "{crashing:?}");
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn tokens_grow_on_random_walks_of_five_members() {
    use tokens::{Model, Mutation};
    let whole = search::walk(&Model::new(5, 4, 2, Mutation::None), 7, 20_000);
    assert!(!matches!(whole, Found::Violation { .. }), "{whole:?}");
    let control = search::walk(&Model::new(5, 4, 2, Mutation::NoWriteBack), 7, 20_000);
    assert!(matches!(control, Found::Violation { .. }), "the walk finds what is to be found: {control:?}");
}

#[test]
fn leases_exclude_and_every_mechanism_for_it_is_needed() {
    use exclusion::{Model, Mutation};
    let mut table = String::from("| leases, 3 members, 2 attempts | found |\n|---|---|\n");
    let whole = search::exhaust(&Model::new(2, 0, Mutation::None), usize::MAX);
    row(&mut table, "whole", &whole);
    let crashing = search::exhaust(&Model::new(2, 1, Mutation::None), 1_000_000);
    row(&mut table, "whole, one member loses its memory", &crashing);
    let mut missed = Vec::new();
    for (mutation, mechanism, crashes) in [
        (Mutation::NoValidityCheck, "counting the lease from the reply, not from the request", 0),
        (Mutation::NoRestartDelay, "a member that has forgotten votes at once", 1),
        (Mutation::MajorityOfTheReachable, "a majority of those that answered", 0),
        (Mutation::NoOwnershipOfTheKey, "a member grants over a hold that is there", 0),
    ] {
        let found = search::exhaust(&Model::new(2, crashes, mutation), 3_000_000);
        row(&mut table, mechanism, &found);
        if !matches!(found, Found::Violation { .. }) {
            missed.push(mechanism);
        }
    }
    println!("{table}");
    assert!(matches!(whole, Found::Nothing { .. }), "{whole:?}");
    assert!(!matches!(crashing, Found::Violation { .. }), "{crashing:?}");
    assert!(missed.is_empty(), "not found: {missed:?}");
}
