//! Builds the tests of the copy, and runs one of them with one mechanism switched off.

use std::{
    collections::BTreeSet,
    env, fmt,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{
    VARIABLE,
    table::{Mutant, Test},
};
use crate::{
    test::{
        self,
        binary::{self, Binary},
        tally,
    },
    tree,
};

/// A test that takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// What became of a test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Passed,
    /// With what it said, if it panicked.
    Failed(String),
    /// It did not end in time, and was killed.
    Hung,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => f.write_str("passed"),
            Outcome::Failed(said) => write!(f, "failed: {said}"),
            Outcome::Hung => f.write_str("hung"),
        }
    }
}

/// Programs of tests.
pub(super) struct Runner(Vec<Binary>);

impl Runner {
    /// Builds what the mutants' tests need, once for all.
    ///
    /// All members are named, so that third-party crates have the features that they have in `cargo xtask test`, and
    /// are not compiled a second time; finished programs go elsewhere, so that nobody takes them for the real ones.
    pub(super) fn build(tree: &Path, mutants: &[Mutant]) -> Result<Runner, String> {
        let targets: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.caught_by.target).collect();
        let mut command = tree::cargo(&["test", "--workspace", "--no-run"]);
        command.args(test::FEATURES).current_dir(tree);
        for target in targets {
            command.args(["--test", target]);
        }
        let built =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree::root().join("target"), PathBuf::from);
        command
            .env("CARGO_BUILD_BUILD_DIR", &built)
            .env("CARGO_TARGET_DIR", built.join("mutations/programs"));
        binary::built_by(command).map(Runner)
    }

    /// Runs one test, with a mechanism switched off or with none.
    pub(super) fn run(&self, test: &Test, mutant: Option<&str>) -> Result<(Outcome, Duration), String> {
        let name = format!("{} {}", test.package, test.target);
        let program = self.0.iter().find(|binary| binary.name == name);
        let program = program.ok_or_else(|| format!("there is no program for {test}"))?;
        let mut command = Command::new(&program.program);
        command.args(["--exact", test.name]).current_dir(&program.directory);
        command.env("CARGO_MANIFEST_DIR", &program.directory);
        command.env_remove(VARIABLE).envs(mutant.map(|name| (VARIABLE, name)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let begin = now();
        let child = command.spawn().map_err(|error| format!("{test} could not be run: {error}"))?;
        let outcome = outcome(child, test)?;
        Ok((outcome, now() - begin))
    }
}

#[expect(clippy::disallowed_methods, reason = "a program for the terminal measures on the machine's clock")]
fn now() -> Instant {
    Instant::now()
}

/// Waits for the test, and kills it when it hangs.
fn outcome(mut child: Child, test: &Test) -> Result<Outcome, String> {
    let Some(mut output) = child.stdout.take() else { return Err(format!("{test} has no output")) };
    let (said, hear) = mpsc::channel();
    let read = move || {
        let mut text = String::new();
        let _ = output.read_to_string(&mut text);
        let _ = said.send(text);
    };
    let reader = thread::Builder::new().name("output of a test".into()).spawn(read);
    reader.map_err(|error| format!("no thread could be started: {error}"))?;
    let Ok(text) = hear.recv_timeout(TIME_LIMIT) else {
        let _ = child.kill();
        let _ = child.wait();
        return Ok(Outcome::Hung);
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    match text.lines().find_map(tally::result_of) {
        Some((1, 0)) if status.success() => Ok(Outcome::Passed),
        Some((0, 0)) => Err(format!("{test} is not there any more")),
        // It may also have been killed by what it tests.
        _ => Ok(Outcome::Failed(message(&text))),
    }
}

/// The line that follows `panicked at …`, where the message begins.
fn message(output: &str) -> String {
    let mut lines = output.lines().skip_while(|line| !line.contains("panicked at ")).skip(1);
    lines.next().unwrap_or_default().chars().take(100).collect()
}
