//! `cargo lab simulate`: runs in a virtual world, as users play and replay them.

use serde_json::Value;

use crate::fixture::Fixture;

#[test]
fn the_same_command_shows_the_same_run() {
    let fixture = Fixture::new();
    let play = || fixture.run(&["simulate", "--scenario", "storm", "--seed", "7"]);
    let (one, other) = (play(), play());
    assert_eq!(one.code, Some(0), "{}{}", one.stdout, one.stderr);
    assert!(one.stdout.contains("all rules were kept"), "{}", one.stdout);
    assert_eq!(one.stdout, other.stdout);
}

#[test]
fn a_naive_client_fails_where_ours_does_not_and_is_drawn() {
    let fixture = Fixture::new();
    let picture = fixture.path("run.svg");
    let who = ["--contestant", "owner-checked", "--fence", "none", "--svg", picture.to_str().unwrap()];
    let plan = ["simulate", "--scenario", "pause", "--faults", "pause-writing:c1@0+2500", "--json"];
    let (ours, naive) = (fixture.run(&plan), fixture.run(&[&plan[..], &who].concat()));
    let lost = |stdout: &str| {
        let run: Value = serde_json::from_str(stdout).unwrap();
        run["figures"]["updates_lost"].as_u64().unwrap()
    };
    assert_eq!((ours.code, naive.code), (Some(0), Some(1)), "{}{}", ours.stdout, naive.stdout);
    assert_eq!(lost(&ours.stdout), 0);
    assert!(lost(&naive.stdout) > 0, "{}", naive.stdout);
    let drawn = std::fs::read_to_string(picture).unwrap();
    roxmltree::Document::parse(&drawn).unwrap();
}

#[test]
fn scenarios_are_listed_and_what_is_none_is_refused() {
    let fixture = Fixture::new();
    let listed = fixture.run(&["simulate", "list"]);
    assert!(listed.stdout.lines().any(|line| line.starts_with("quorum-storm ")), "{}", listed.stdout);
    let json: Value = serde_json::from_str(&fixture.run(&["simulate", "list", "--json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), listed.stdout.lines().count());
    for bad in [
        &["--scenario", "none"][..],
        &["--scenario", "pause", "--nodes", "2"],
        &["--scenario", "pause", "--faults", "pause:c9@1+1"],
        &["--scenario", "pause", "--faults", "sleep:c1@1+1"],
    ] {
        let refused = fixture.run(&[&["simulate"][..], bad].concat());
        assert_eq!(refused.code, Some(64), "{bad:?}: {}", refused.stderr);
    }
}

#[test]
fn a_small_matrix_has_a_row_for_each_fault() {
    let fixture = Fixture::new();
    let small = fixture.run(&["simulate", "matrix", "--seeds", "1"]);
    assert_eq!(small.code, Some(0), "{}", small.stderr);
    assert!(small.stdout.lines().any(|line| line.starts_with("server-forgets ")), "{}", small.stdout);
}
