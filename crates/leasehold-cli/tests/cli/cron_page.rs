//! Every command in the book's page about cron.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use leasehold_testkit::etcd::Member;

use crate::fixture::{Fixture, finish};

/// The lines of the blocks of a language.
fn lines<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    let blocks = page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default());
    blocks.flat_map(str::lines).filter(|line| !line.starts_with('#')).collect()
}

/// The command of a line of a crontab, after its five fields: cron cuts it at a `%`, and makes `\%` one.
fn command(line: &str) -> String {
    let command = line.splitn(6, ' ').last().unwrap().trim_start();
    let kept = command.replace("\\%", "\0");
    kept.split('%').next().unwrap_or_default().replace('\0', "%")
}

#[test]
fn every_command_of_the_page_runs_its_job() {
    let path = format!("{}/../../docs/book/cron.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(path).unwrap();
    let (fixture, member) = (Fixture::new(), Member::start().unwrap_or_else(|error| panic!("{error}")));
    let bin = fixture.path("bin");
    fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_leasehold"), bin.join("leasehold")).unwrap();
    for job in ["sync", "backup", "reindex", "report", "mail", "import", "job"] {
        let script = bin.join(format!("{job}.sh"));
        fs::write(&script, "#!/bin/sh\necho ran\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |line: &str| {
        let line = line
            .replace("/usr/local/bin", bin.to_str().unwrap())
            .replace("/run/lock", fixture.path("").to_str().unwrap())
            .replace("127.0.0.1:2379", &member.address());
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).env("PATH", path).env("LEASEHOLD_STORE", fixture.store());
        shell.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", member.address());
        finish(&mut shell)
    };
    let (mut ran, mut of_consul) = (0, 0);
    let crontab = lines(&page, "crontab").into_iter().map(command);
    for line in crontab.chain(lines(&page, "sh").into_iter().map(String::from)) {
        if line.starts_with("consul ") {
            of_consul += 1;
            continue;
        }
        let finished = run(&line);
        let last = finished.stdout.lines().last().unwrap_or_default();
        assert_eq!((finished.code, last), (Some(0), "ran"), "{line}: {}", finished.stderr);
        ran += 1;
    }
    assert_eq!((ran, of_consul), (21, 3), "the page was read");
    assert_ne!(run("leasehold run x -- no-such-program").code, Some(0), "the control");
}
