//! `cargo xtask bench`: the tables of docs/benchmarks.md, one after the other.

use std::process::Command;

use crate::{files, packages};

/// The benches that make the tables, in the order of the page: the package and the bench.
const TABLES: &[(&str, &str)] = &[
    ("leasehold-benches", "stores"),
    ("leasehold-benches", "pairs"),
    ("leasehold-benches", "handover"),
    ("leasehold-benches", "command"),
    ("leasehold-redis", "pairs"),
    ("leasehold-redis", "handover"),
    ("leasehold-redis", "redisson"),
    ("leasehold-redis", "redlock"),
    ("leasehold-cli", "watching"),
    ("leasehold-postgres", "pairs"),
    ("leasehold-memcached", "pairs"),
    ("leasehold-zookeeper", "pairs"),
    ("leasehold-etcd", "lock_unlock"),
];

/// Makes all tables, or those whose package and bench contain one of the words.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let is_wanted = |(package, bench): &&(&str, &str)| {
        words.is_empty() || words.iter().any(|word| format!("{package} {bench}").contains(word))
    };
    let tables: Vec<_> = TABLES.iter().filter(is_wanted).collect();
    if tables.is_empty() {
        return Err(format!("no table is called `{}`", words.join(" ")));
    }
    packages::provide(false)?;
    // All of them are built before the first is measured.
    for (package, bench) in &tables {
        if *bench == "command" {
            succeed(files::cargo(&["build", "--quiet", "--release", "--package", "leasehold-cli"]))?;
        }
        succeed(bench_command(package, bench, &["--no-run"]))?;
    }
    for (package, bench) in tables {
        println!("\n==== cargo bench -p {package} --bench {bench}");
        succeed(bench_command(package, bench, &[]))?;
    }
    Ok(())
}

fn bench_command(package: &str, bench: &str, more: &[&str]) -> Command {
    files::cargo(&[&["bench", "--quiet", "--package", package, "--bench", bench], more].concat())
}

fn succeed(mut command: Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} failed ({status})")),
        Err(error) => Err(format!("{command:?} could not be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bench_that_the_page_names_is_run() {
        let page = include_str!("../../docs/benchmarks.md");
        let named = page.split("cargo bench -p ").skip(1).map(|command| {
            let mut words = command.split([' ', '`', '\n']);
            (words.next().unwrap(), words.nth(1).unwrap())
        });
        let missing: Vec<_> = named.filter(|table| !TABLES.contains(table)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
