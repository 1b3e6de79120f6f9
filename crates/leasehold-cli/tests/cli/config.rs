//! `leasehold.toml`: stores by name, and secrets in files.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};

use leasehold_testkit::redis::Server;

use crate::fixture::{Finished, Fixture, finish};

const CANARY: &str = "c4nary-p4ss-7f3a";

/// Writes the file of the user, and files beside it that the user alone can read.
fn write(fixture: &Fixture, config: &str, secrets: &[(&str, &str)]) -> PathBuf {
    let directory = fixture.path(".config/leasehold");
    fs::create_dir_all(&directory).unwrap();
    for (name, text) in [("leasehold.toml", config)].iter().chain(secrets) {
        fs::write(directory.join(name), text).unwrap();
        fs::set_permissions(directory.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

/// A command whose environment names no store.
fn leasehold(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = fixture.leasehold(arguments);
    command.env_remove("LEASEHOLD_STORE");
    command
}

fn run(fixture: &Fixture, arguments: &[&str]) -> Finished {
    finish(&mut leasehold(fixture, arguments))
}

/// The option comes before the variable, and that before the file.
#[test]
fn a_store_is_named_by_the_option_the_variable_or_the_file() {
    let fixture = Fixture::new();
    let url = |name: &str| format!("sqlite:{}", fixture.path(name).display());
    let entries: Vec<String> =
        ["a", "b"].iter().map(|name| format!("[stores.{name}]\nurl = \"{}\"\n", url(name))).collect();
    let head = "store = \"a\"\n[defaults]\nttl = \"12s\"\nwait = \"0s\"\ngrace = \"2s\"\n";
    let directory = write(&fixture, &format!("{head}{}", entries.concat()), &[]);
    let print = ["x", "--", "sh", "-c", "echo $LEASEHOLD_STORE $LEASEHOLD_TTL_MS"];
    let by_file = run(&fixture, &[&["run"], &print[..]].concat());
    assert_eq!((by_file.stdout, by_file.stderr), (format!("{} 12000\n", url("a")), String::new()));
    let by_variable =
        finish(leasehold(&fixture, &[&["run"], &print[..]].concat()).env("LEASEHOLD_STORE", "b"));
    assert_eq!(by_variable.stdout, format!("{} 12000\n", url("b")));
    let mut both = leasehold(&fixture, &[&["run", "--ttl", "9s", "--store", &url("c")], &print[..]].concat());
    assert_eq!(finish(both.env("LEASEHOLD_STORE", "b")).stdout, format!("{} 9000\n", url("c")));
    // The default of the wait.
    let nested =
        run(&fixture, &["run", "x", "--", env!("CARGO_BIN_EXE_leasehold"), "run", "x", "--", "true"]);
    assert_eq!(nested.code, Some(75), "{}", nested.stderr);
    // What is used is shown.
    let listed = run(&fixture, &["stores", "--named", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let shown =
        |at: usize| (listed[at]["name"].clone(), listed[at]["store"].clone(), listed[at]["default"].clone());
    assert_eq!(shown(0), ("a".into(), url("a").into(), true.into()));
    assert_eq!(shown(1), ("b".into(), url("b").into(), false.into()));
    let doctor = run(&fixture, &["doctor", "--store", "b"]).stdout;
    let named = format!("named    b in {}\n", directory.join("leasehold.toml").display());
    assert!(doctor.contains(&named), "{doctor}");
}

/// A nested command finds the same store by its name; nothing shows the password.
#[test]
fn secrets_come_from_files_and_reach_no_environment() {
    let (fixture, server) = (Fixture::new(), Server::builder().password(CANARY).start().unwrap());
    let config = format!(
        "store = \"whole\"\n[stores.whole]\nurl_file = \"url\"\n[stores.part]\nurl = \"redis://{}\"\npassword_file = \"part\"\n",
        server.address()
    );
    let url = format!("redis://:{CANARY}@{}\n", server.address());
    let directory = write(&fixture, &config, &[("url", &url), ("part", CANARY)]);
    let itself = env!("CARGO_BIN_EXE_leasehold");
    let script = "env | grep ^LEASEHOLD_; \"$0\" run --no-wait x -- true; echo $?";
    for store in [&[][..], &["--store", "part"]] {
        let outer = run(&fixture, &[&["run"], store, &["x", "--", "sh", "-c", script, itself]].concat());
        assert_eq!(outer.code, Some(0), "{}", outer.stderr);
        assert!(outer.stdout.ends_with("\n75\n"), "the same store: {} {}", outer.stdout, outer.stderr);
        assert!(!format!("{}{}", outer.stdout, outer.stderr).contains(CANARY), "{}", outer.stdout);
        assert!(!outer.stderr.contains("warning: "), "{}", outer.stderr);
    }
    let open = |name: &str, mode| {
        fs::set_permissions(directory.join(name), Permissions::from_mode(mode)).unwrap();
    };
    for (store, name) in [("part", "part"), ("whole", "url")] {
        open(name, 0o644);
        let warned = run(&fixture, &["list", "--store", store]);
        let warning = format!(
            "warning: every user can read the secret in {0}: chmod o= {0}",
            directory.join(name).display()
        );
        assert!(warned.code == Some(0) && warned.stderr.contains(&warning), "{}", warned.stderr);
    }
    open("leasehold.toml", 0o666);
    let refused = run(&fixture, &["list"]);
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.contains("every user can write to"), "{}", refused.stderr);
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    let fixture = Fixture::new();
    let directory = write(&fixture, "[stores.a]\nurl = \"redis://me:hunter2@db\"\nurls = 1\n", &[]);
    let file = directory.join("leasehold.toml").display().to_string();
    let wrong = run(&fixture, &["list"]);
    assert_eq!(wrong.code, Some(78), "{}", wrong.stderr);
    assert!(wrong.stderr.starts_with(&format!("error: {file}:3: unknown field `urls`")), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("hunter2"), "{}", wrong.stderr);
    write(&fixture, "[stores.a]\nurl = \"sqlite:x\"\n", &[]);
    let unknown = run(&fixture, &["list", "--store", "b"]);
    assert_eq!(unknown.code, Some(64), "{}", unknown.stderr);
    assert!(unknown.stderr.contains(&format!("no store is named `b` in {file}")), "{}", unknown.stderr);
    let missing = finish(leasehold(&fixture, &["list"]).env("LEASEHOLD_CONFIG", "/no/such.toml"));
    assert_eq!(missing.code, Some(78), "{}", missing.stderr);
}

/// A user who can write to the directory in which a job is started cannot send its locks elsewhere.
#[test]
fn the_present_directory_has_no_say() {
    let fixture = Fixture::new();
    let there = fixture.path("job");
    fs::create_dir_all(there.join("leasehold")).unwrap();
    let config = "store = \"a\"\n[stores.a]\nurl = \"redis://127.0.0.1:1\"\n";
    for name in ["leasehold.toml", "leasehold/leasehold.toml"] {
        fs::write(there.join(name), config).unwrap();
    }
    let ran = finish(leasehold(&fixture, &["run", "x", "--", "echo", "in"]).current_dir(&there));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "in\n"), "{}", ran.stderr);
    // The control: the same file, named.
    let mut named = leasehold(&fixture, &["run", "--no-wait", "x", "--", "echo", "in"]);
    let named = finish(named.current_dir(&there).env("LEASEHOLD_CONFIG", "leasehold.toml"));
    assert_eq!(named.code, Some(69), "{}", named.stderr);
}
