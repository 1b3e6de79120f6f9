//! The units for systemd and the manifests for Kubernetes.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use leasehold_testkit::redis::Server;
use rustix::process::Signal;
use yaml_rust2::{Yaml, YamlLoader};

use crate::fixture::{Finished, Fixture, Running, finish};

const ITSELF: &str = env!("CARGO_BIN_EXE_leasehold");

fn packaged(path: &str) -> String {
    let path = format!("{}/../../packaging/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A unit that runs this build, under the name of an instance.
fn unit(fixture: &Fixture, name: &str, text: &str) -> PathBuf {
    let path = fixture.path(name);
    fs::write(&path, text.replace("/usr/bin/leasehold", ITSELF)).unwrap();
    path
}

fn verify(units: &[PathBuf]) -> Finished {
    finish(Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_that_the_service_could_do() {
    let fixture = Fixture::new();
    let read = |name: &str| packaged(&format!("systemd/{name}"));
    let units = [
        unit(&fixture, "leasehold-job@backup.service", &read("leasehold-job@.service")),
        unit(&fixture, "leasehold-job@backup.timer", &read("leasehold-job@.timer")),
        unit(&fixture, "leasehold-serve.service", &read("leasehold-serve.service")),
    ];
    let verified = verify(&units);
    assert_eq!((verified.code, verified.stderr.as_str(), verified.stdout.as_str()), (Some(0), "", ""));
    let wrong = read("leasehold-serve.service").replace("ProtectHome=", "ProtectHomes=");
    let control = verify(&[unit(&fixture, "wrong.service", &wrong)]);
    assert!(control.stderr.contains("ProtectHomes"), "the control: {}", control.stderr);
    let rated = finish(
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&units[2]),
    );
    assert_eq!(rated.code, Some(0), "an exposure of at most 2.0 of 10: {}", rated.stdout);
}

/// The line of the unit, as systemd splits it.
#[test]
fn the_job_of_systemd_runs_and_a_second_one_is_skipped() {
    let fixture = Fixture::new();
    let jobs = fixture.path("jobs");
    let text = packaged("systemd/leasehold-job@.service");
    let value = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim_matches('"').to_string()
    };
    let line =
        value("ExecStart=").replace("%i", "backup").replace("/etc/leasehold/jobs", jobs.to_str().unwrap());
    let options = value("Environment=\"LEASEHOLD_OPTIONS=");
    let start = |options: &str| {
        let line = line.replace("/usr/bin/leasehold", ITSELF).replace("$LEASEHOLD_OPTIONS", options);
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env("LEASEHOLD_STORE", fixture.store()).env("HOME", fixture.path(""));
        command
    };
    program(&jobs.join("backup"), "echo in; exec sleep 1000");
    let mut first = Running::start(&mut start(&options));
    assert_eq!(first.line(), "in");
    let second = finish(&mut start(&options));
    assert_eq!((second.code, second.stdout.as_str()), (Some(0), ""), "{}", second.stderr);
    first.send(Signal::TERM);
    assert_eq!(first.end().code, Some(143));
    program(&jobs.join("backup"), "echo in");
    // The other options that the unit names.
    let once = start("--once-per 1000h").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&once.stdout), "in\n");
    assert!(start("--once-per 1000h").output().unwrap().stdout.is_empty());
}

/// The fields of the types of Kubernetes, as far as the manifests have such types: `!` stands after what is required.
type Schema = BTreeMap<String, BTreeMap<String, String>>;

fn schema() -> Schema {
    serde_json::from_str(include_str!("kubernetes-schema.json")).unwrap()
}

/// The faults of a value of a type.
fn faults(schema: &Schema, place: &str, kind: &str, value: &Yaml) -> Vec<String> {
    let kind = kind.trim_end_matches('!');
    let wrong = || vec![format!("{place} is no {kind}: {value:?}")];
    if let Some(of) = kind.strip_suffix("[]") {
        let Some(items) = value.as_vec() else { return wrong() };
        return items.iter().flat_map(|item| faults(schema, place, of, item)).collect();
    }
    let Some(fields) = schema.get(kind) else {
        let fits = match kind {
            "string" => value.as_str().is_some(),
            "integer" => value.as_i64().is_some(),
            "boolean" => value.as_bool().is_some(),
            "IntOrString" => value.as_str().is_some() || value.as_i64().is_some(),
            "string{}" => {
                value.as_hash().is_some_and(|all| all.values().all(|value| value.as_str().is_some()))
            }
            _ => false,
        };
        return if fits { Vec::new() } else { wrong() };
    };
    let Some(given) = value.as_hash() else { return wrong() };
    let is_head = |key: &str| matches!(key, "apiVersion" | "kind") && !place.contains('.');
    let of_key = |(key, value): (&Yaml, &Yaml)| {
        let key = key.as_str().unwrap_or_default();
        match fields.get(key) {
            Some(kind) => faults(schema, &format!("{place}.{key}"), kind, value),
            None if is_head(key) => Vec::new(),
            None => vec![format!("{place}.{key} is unknown")],
        }
    };
    let missing =
        fields.iter().filter(|(key, kind)| kind.ends_with('!') && value[key.as_str()].is_badvalue());
    let missing = missing.map(|(key, _)| format!("{place}.{key} is missing"));
    given.iter().flat_map(of_key).chain(missing).collect()
}

fn documents(text: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(text).unwrap()
}

fn all_faults(text: &str) -> Vec<String> {
    let version = |kind: &str| match kind {
        "CronJob" => "batch/v1",
        "Deployment" => "apps/v1",
        _ => "v1",
    };
    let of = |document: &Yaml| {
        let kind = document["kind"].as_str().unwrap();
        assert_eq!(document["apiVersion"].as_str(), Some(version(kind)), "{kind}");
        faults(&schema(), kind, kind, document)
    };
    documents(text).iter().flat_map(of).collect()
}

const MANIFESTS: [&str; 3] = ["cronjob", "leader", "serve"];

#[test]
fn the_manifests_have_the_fields_that_kubernetes_knows() {
    for name in MANIFESTS {
        let text = packaged(&format!("kubernetes/{name}.yaml"));
        assert_eq!(all_faults(&text), [""; 0], "{name}");
        for (from, to, says) in [
            ("securityContext:", "securityContexts:", "unknown"),
            ("readOnly: true", "readOnly: yes please", "is no boolean"),
            ("mountPath:", "mountPaths:", "mountPath is missing"),
        ] {
            let found = all_faults(&text.replace(from, to)).join("\n");
            assert!(found.contains(says), "the control, {name}: {found}");
        }
    }
}

/// The command of a manifest, with this build, a job that ends, and the port that is free.
fn command(fixture: &Fixture, manifest: &str) -> Command {
    let all = documents(&packaged(&format!("kubernetes/{manifest}.yaml")));
    let spec = |document: &Yaml| match document["kind"].as_str() {
        Some("CronJob") => Some(document["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone()),
        Some("Deployment") => Some(document["spec"]["template"]["spec"].clone()),
        _ => None,
    };
    let container = all.iter().find_map(spec).unwrap()["containers"][0].clone();
    let words = container["command"].as_vec().unwrap().iter().map(|word| word.as_str().unwrap());
    let mut arguments: Vec<String> = words.map(|word| word.replace("0.0.0.0:9117", "127.0.0.1:0")).collect();
    if let Some(at) = arguments.iter().position(|word| word == "--") {
        arguments[at + 1] = fixture.path("job").display().to_string();
    }
    let mut command = fixture.leasehold(&arguments[1..].iter().map(String::as_str).collect::<Vec<_>>());
    let directory = fixture.path("etc");
    command.env_remove("LEASEHOLD_STORE").env("LEASEHOLD_CONFIG", directory.join("leasehold.toml"));
    command
}

/// The Secret's files, with the address of a server that has its password.
fn secret(fixture: &Fixture) -> Server {
    let all = documents(&packaged("kubernetes/cronjob.yaml"));
    let data = &all[0]["stringData"];
    let server = Server::builder().password(data["password"].as_str().unwrap()).start().unwrap();
    fs::create_dir_all(fixture.path("etc")).unwrap();
    for (name, text) in data.as_hash().unwrap() {
        let path = fixture.path("etc").join(name.as_str().unwrap());
        let text = text.as_str().unwrap().replace("app@redis.default.svc:6379", &server.address());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
    }
    server
}

#[test]
fn the_commands_of_the_manifests_do_what_they_say() {
    let fixture = Fixture::new();
    let _server = secret(&fixture);
    program(
        &fixture.path("job"),
        "echo $LEASEHOLD_NAME; [ $LEASEHOLD_NAME != scheduler ] || exec sleep 1000",
    );
    // The hour may end between the two.
    let runs: Vec<Finished> = (0..3).map(|_| finish(&mut command(&fixture, "cronjob"))).collect();
    assert!(runs[0].stdout.starts_with("report@"), "{}", runs[0].stderr);
    assert!(runs.iter().any(|run| run.stdout.is_empty() && run.stderr.contains("skipped: ")));
    let mut leader = Running::start(&mut command(&fixture, "leader"));
    assert_eq!(leader.line(), "scheduler");
    let mut inspect = fixture.leasehold(&["inspect", "scheduler"]);
    inspect.env_remove("LEASEHOLD_STORE").env("LEASEHOLD_CONFIG", fixture.path("etc/leasehold.toml"));
    let shown = finish(&mut inspect).stdout;
    assert!(shown.contains("says     $(POD_IP)"), "{shown}");
    leader.send(Signal::TERM);
    assert_eq!(leader.end().code, Some(143));
    let mut serve = Running::start(&mut command(&fixture, "serve"));
    // Warnings about the server may come first.
    let mut line = serve.stderr_line();
    while !line.is_empty() && !line.contains("shows the locks of redis://") {
        line = serve.stderr_line();
    }
    assert!(!line.is_empty(), "it has ended");
}
