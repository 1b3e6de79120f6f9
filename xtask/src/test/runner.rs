//! Runs test programs side by side: most of their time goes by in waiting for servers and for leases to end.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{binary::Binary, summary::Summary};

/// The programs that run at once.
const AT_ONCE: usize = 2;

/// The limit of a program's time. The longest takes a third of it on two busy cores.
const SECONDS_MAX: u32 = 20 * 60;

/// The programs that begin first: torture beside one that waits most of the time, since its liveness is bounded by the clock,
/// then those that take longest, so that none is left alone at the end.
const FIRST: &[&str] = &[
    "leasehold-lab torture",
    "leasehold-redis conformance",
    "leasehold-memcached conformance",
    "leasehold-zookeeper conformance",
    "leasehold-etcd conformance",
    "leasehold-postgres conformance",
];

/// Runs all with the `args` of each, and prints the output of each when it has ended.
pub(super) fn run_all<'a>(
    mut binaries: Vec<Binary>,
    args: impl Fn(&Binary) -> Vec<&'a str> + Sync,
    env: &[(&str, &str)],
) -> Summary {
    binaries.sort_by_key(|binary| FIRST.iter().position(|name| *name == binary.name).unwrap_or(FIRST.len()));
    let printing = Mutex::new(());
    let summaries = side_by_side(AT_ONCE, &binaries, |binary| {
        let (summary, output) = run_one(binary, &args(binary), env);
        let _one_at_a_time = printing.lock().unwrap_or_else(PoisonError::into_inner);
        println!("\n==== {}\n{output}", binary.name);
        summary
    });
    let mut sum = Summary::default();
    summaries.into_iter().for_each(|summary| sum.add(summary));
    sum
}

/// Calls `work` for each item on several threads; answers in the order of the items.
pub(crate) fn side_by_side<T: Sync, A: Send>(
    at_once: usize,
    items: &[T],
    work: impl Fn(&T) -> A + Sync,
) -> Vec<A> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let answer = work(item);
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(at, answer);
        }
    };
    thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(worker))));
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn run_one(binary: &Binary, args: &[&str], env: &[(&str, &str)]) -> (Summary, String) {
    let mut summary = Summary::new(&binary.name);
    let (success, output) = match run(binary, args, env, SECONDS_MAX) {
        Ok((status, output)) => (status.success(), output),
        Err(error) => (false, format!("{} could not be run: {error}", binary.name)),
    };
    // Reading from memory and writing nowhere do not fail.
    let _ = summary.read(output.as_bytes(), io::sink());
    summary.end(success);
    (summary, output)
}

/// Runs a program; answers its status and its output. A program that hangs is killed, with status 137.
///
/// The output goes through a file: a server that a program leaves behind would keep a pipe open.
pub(crate) fn run(
    binary: &Binary,
    args: &[&str],
    env: &[(&str, &str)],
    seconds_max: u32,
) -> io::Result<(ExitStatus, String)> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("leasehold-xtask-{}-{number}", std::process::id()));
    let output = File::create(&path)?;
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", &seconds_max.to_string()]).arg(&binary.program).args(args);
    command.current_dir(&binary.directory).env("CARGO_MANIFEST_DIR", &binary.directory);
    command.envs(env.iter().copied());
    command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
    let status = command.status();
    let output = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // Nothing depends on it.
    let _ = fs::remove_file(&path);
    Ok((status?, output?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Summary {
        let binary = Binary { name: "sh".into(), program: "/bin/sh".into(), directory: env::temp_dir() };
        run_one(&binary, &["-c", script], &[("WORD", "a word")]).0
    }

    #[test]
    fn a_program_is_counted_by_what_it_says_and_by_how_it_ends() {
        let well = shell("echo 'test result: ok. 3 passed; 0 failed; 0 ignored'");
        assert_eq!((well.passed, well.failed), (3, 0));
        let crashed = shell("echo half $WORD; kill -SEGV $$");
        assert_eq!((crashed.passed, crashed.failed), (0, 1));
        assert!(crashed.failures[0].lines.iter().any(|line| line == "half a word"), "{crashed:?}");
        let lying = shell("echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; exit 1");
        assert_eq!((lying.passed, lying.failed), (3, 1));
    }

    #[test]
    fn answers_are_in_the_order_of_the_items() {
        assert_eq!(side_by_side(3, &[1, 2, 3, 4], |item| item * 2), [2, 4, 6, 8]);
    }
}
