//! A run that fails is reduced to what it takes, and shown.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use leasehold_lab::{
    config::RunConfig,
    faults,
    resource::Fence,
    run::{play, smallest},
    scenario::Scenario,
    timeline, trace,
};

/// A run of the naive client, in which a rule is broken.
fn failing() -> RunConfig {
    let pause = Scenario::named("pause").unwrap();
    (0..50)
        .map(|seed| RunConfig::with(pause, seed, pause.control.unwrap(), Fence::None))
        .find(|config| !play(config.clone()).is_good())
        .unwrap()
}

#[test]
fn a_failing_run_is_reduced_and_still_fails() {
    let config = failing();
    let small = smallest(&config);
    assert!(!play(small.clone()).is_good());
    assert!(small.faults.len() <= config.faults.len() && small.rounds <= config.rounds);
    assert!(small.faults.len() <= 2, "{}", faults::join(&small.faults));
    for at in 0..small.faults.len() {
        let mut fewer = small.clone();
        fewer.faults.remove(at);
        assert!(play(fewer).is_good(), "fault {at} is not needed");
    }
}

#[test]
fn a_run_that_keeps_all_rules_stays_as_it_is() {
    let config = RunConfig::of(Scenario::named("pause").unwrap(), 1);
    let small = smallest(&config);
    assert_eq!((small.faults, small.rounds), (config.faults, config.rounds));
}

#[test]
fn it_is_shown_as_text_and_as_a_picture_with_the_command_that_plays_it_again() {
    let small = smallest(&failing());
    let run = play(small.clone());
    let text = trace::text(&small, &run);
    assert!(text.contains("BROKEN") && text.contains("is granted"), "{text}");
    let again = text.lines().find_map(|line| line.strip_prefix("again: ")).unwrap();
    assert!(again.starts_with("cargo lab simulate --scenario pause --seed "), "{again}");
    let quoted = again.split('"').nth(1).unwrap();
    assert_eq!(faults::parse(quoted).unwrap(), small.faults);
    let picture = timeline::draw(&small, &run);
    assert!(picture.starts_with("<svg") && picture.contains("client 1") && !picture.contains("NaN"));
}
