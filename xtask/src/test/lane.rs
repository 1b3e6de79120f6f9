//! Several test programs at once: most of their time goes by in waiting for servers and for leases to end.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{binary::Binary, tally::Tally};

/// How many run at once.
const LANES: usize = 2;

/// How long one may take. The longest takes a third of it on two busy cores; what takes longer hangs.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// How often it is looked whether one has ended.
const GLANCE: Duration = Duration::from_millis(50);

/// What takes long, the longest first: it begins first, so that no lane is left alone with it at the end.
const LONG: &[&str] = &[
    "leasehold-redis conformance",
    "leasehold-memcached conformance",
    "leasehold-zookeeper conformance",
    "leasehold-etcd conformance",
];

/// Runs all and says what each has said, each as a whole when it has ended.
pub(super) fn run(mut binaries: Vec<Binary>) -> Tally {
    binaries.sort_by_key(|binary| LONG.iter().position(|name| *name == binary.name).unwrap_or(LONG.len()));
    let (queue, sum) = (Mutex::new(VecDeque::from(binaries)), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(binary) = next(&queue) {
                    let (tally, said) = run_one(&binary);
                    // One at a time, so that what each says stays together.
                    let mut sum = lock(&sum);
                    println!("\n==== {}\n{}", binary.name, String::from_utf8_lossy(&said));
                    sum.add(tally);
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn next(queue: &Mutex<VecDeque<Binary>>) -> Option<Binary> {
    lock(queue).pop_front()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one; answers its counts and what it said.
fn run_one(binary: &Binary) -> (Tally, Vec<u8>) {
    let (mut tally, mut said) = (Tally::new(&binary.name), Vec::new());
    let program = binary.program.file_name().unwrap_or_default().to_string_lossy();
    let file = std::env::temp_dir().join(format!("leasehold-xtask-{}-{program}", std::process::id()));
    let success = run_into(binary, &file).unwrap_or_else(|error| {
        eprintln!("{} could not be run: {error}", binary.name);
        false
    });
    let read = File::open(&file).and_then(|file| tally.read(BufReader::new(file), &mut said));
    if let Err(error) = read {
        eprintln!("what {} said could not be read: {error}", binary.name);
    }
    tally.end(success);
    // Nothing depends on it.
    let _ = fs::remove_file(&file);
    (tally, said)
}

/// Runs one with its output in a file; answers whether it ended well.
fn run_into(binary: &Binary, said: &Path) -> io::Result<bool> {
    let output = File::create(said)?;
    let mut command = Command::new(&binary.program);
    command.current_dir(&binary.directory).env("CARGO_MANIFEST_DIR", &binary.directory);
    command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
    let mut child = command.spawn()?;
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if waited > LONGEST {
            eprintln!("{} hangs: it is ended after {} minutes", binary.name, LONGEST.as_secs() / 60);
            child.kill()?;
            return child.wait().map(|status| status.success());
        }
        glance();
        waited += GLANCE;
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, which waits for another to end")]
fn glance() {
    std::thread::sleep(GLANCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Tally {
        let directory = tempfile_directory();
        let program = directory.join("program.sh");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let binary = Binary { name: "some program".into(), program, directory: directory.clone() };
        let (tally, _) = run_one(&binary);
        fs::remove_dir_all(directory).unwrap();
        tally
    }

    fn tempfile_directory() -> std::path::PathBuf {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("leasehold-lane-{}-{number}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        directory
    }

    #[test]
    fn a_program_is_counted_by_what_it_says_and_by_how_it_ends() {
        let well = shell("echo 'test result: ok. 3 passed; 0 failed; 0 ignored'");
        assert_eq!((well.passed, well.failed), (3, 0));
        let crashed = shell("echo half a word; kill -SEGV $$");
        assert_eq!((crashed.passed, crashed.failed), (0, 1));
        assert!(crashed.failures[0].lines.iter().any(|line| line == "half a word"), "{crashed:?}");
        let lying = shell("echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; exit 1");
        assert_eq!((lying.passed, lying.failed), (3, 1));
    }
}
