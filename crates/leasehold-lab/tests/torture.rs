//! A minute of torture on each kind of store, all side by side, because they mostly wait.
//!
//! `LEASEHOLD_TORTURE_SECONDS` makes it longer, `LEASEHOLD_TORTURE_SEED` another one. A failure names the command that does
//! the run again and where its histories are.

use std::{
    fs,
    process::{Command, ExitCode},
    str::FromStr,
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const STORES: [&str; 8] =
    ["redis", "redlock", "zookeeper", "etcd", "etcd-revoked", "sqlite", "memcached", "postgres"];
/// What it takes a level F to keep: nothing is lost there.
const FENCED: &str = "claimed";
/// The lines of a worker's log that a failure shows.
const LINES: usize = 5;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Not as many as there are cores: they wait for leases to end.
    arguments.test_threads = arguments.test_threads.or(Some(STORES.len()));
    let trials = STORES.map(|store| {
        let name = format!("{store}_survives_torture_and_its_controls_do_not");
        Trial::test(name, move || survives(store))
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn from_environment<T: FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

fn survives(store: &str) -> Result<(), Failed> {
    let seconds: u64 = from_environment("LEASEHOLD_TORTURE_SECONDS", 60);
    let seed: u64 = from_environment("LEASEHOLD_TORTURE_SEED", 1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold-lab"));
    command.args(["torture", "run", "--json", "--store", store]);
    command.args(["--seconds", &seconds.to_string(), "--seed", &seed.to_string()]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict: Value = serde_json::from_str(&said)
        .map_err(|_| format!("no run: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
    // Every second process that shares a file is in a container.
    let containers = if store == "sqlite" { 2 } else { 0 };
    ensure(verdict["containers"] == containers, "processes in containers", &verdict)?;
    ensure(verdict["outcome"] == "kept" && output.status.success(), "all rules, and the controls", &verdict)?;
    let workloads = verdict["workloads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lost = |workload: &Value| workload["figures"]["updates_lost"].as_u64().unwrap_or_default();
    let claimed = workloads.iter().find(|workload| workload["workload"] == FENCED);
    ensure(claimed.is_some_and(|workload| lost(workload) == 0), "nothing lost with the claim", &verdict)?;
    let controls: Vec<&Value> = workloads.iter().filter(|workload| workload["control"] == true).collect();
    let fail = controls.iter().all(|workload| lost(workload) > 0);
    ensure(fail && controls.len() == 3, "controls that lose", &verdict)?;
    let double = |workload: &Value| workload["figures"]["double_holds"].as_u64().unwrap_or_default();
    let single = claimed.is_some_and(|workload| double(workload) == 0);
    ensure(single || verdict["exclusive"] == false, "one holder where leases exclude", &verdict)
}

fn ensure(kept: bool, what: &str, verdict: &Value) -> Result<(), Failed> {
    let (replay, histories) = (&verdict["replay"], &verdict["histories"]);
    if kept {
        return Ok(());
    }
    let logs = histories.as_str().map(logs).unwrap_or_default();
    Err(format!("not kept: {what}\n{verdict:#}\nagain: {replay}\nhistories: {histories}\n{logs}").into())
}

/// The last lines of each worker's log.
fn logs(histories: &str) -> String {
    let files = fs::read_dir(histories).into_iter().flatten().flatten().map(|file| file.path());
    let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.filter_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        let lines: Vec<&str> = text.lines().rev().take(LINES).collect();
        let name = path.file_name()?.to_string_lossy();
        (!lines.is_empty()).then(|| format!("{name}, the last line first:\n  {}\n", lines.join("\n  ")))
    })
    .collect()
}
