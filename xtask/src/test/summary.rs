//! The counts that test programs print at their ends, added up.

use std::io::{self, BufRead, Write};

/// The counts of tests, and the output of the failed ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Summary {
    /// The program that is being read.
    runner: String,
    /// The runners that have come to their ends.
    runners: u64,
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// The tests that failed in the runner that is being read.
    tests: Vec<String>,
    /// Its lines since the last runner ended.
    lines: Vec<String>,
    /// The failures, to be printed again at the end.
    pub(super) failures: Vec<Failure>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) runner: String,
    pub(super) tests: Vec<String>,
    /// Its output about them.
    pub(super) lines: Vec<String>,
}

impl Summary {
    /// No counts yet, for the program of this name.
    pub(super) fn new(runner: &str) -> Summary {
        Summary { runner: runner.to_string(), ..Summary::default() }
    }

    /// Passes every line on as it comes, and adds up the counts.
    pub(super) fn read(&mut self, mut from: impl BufRead, mut to: impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line)? > 0 {
            to.write_all(&line)?;
            to.flush()?;
            self.take(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        Ok(())
    }

    fn take(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix("... FAILED")) {
            self.tests.push(name.trim().to_string());
        }
        // The output of failed tests follows this line, and nothing else does.
        if line == "failures:" && self.lines.first().is_none_or(|first| first != "failures:") {
            self.lines.clear();
        }
        self.lines.push(line.to_string());
        let Some((passed, failed)) = result_of(line) else { return };
        self.runners += 1;
        self.passed += passed;
        self.failed += failed;
        if failed > 0 {
            self.fail();
        }
        self.lines.clear();
        self.tests.clear();
    }

    fn fail(&mut self) {
        let (tests, lines) = (std::mem::take(&mut self.tests), std::mem::take(&mut self.lines));
        self.failures.push(Failure { runner: self.runner.clone(), tests, lines });
    }

    /// Ends the program. A crash or a compiler error has no line of its own in the counts: it is one failure.
    pub(super) fn end(&mut self, success: bool) {
        if self.failed == 0 && (!success || self.runners == 0) {
            self.lines.push("it ended without a count: this counts as one failure".to_string());
            self.tests.push("(the whole program)".to_string());
            self.failed = 1;
            self.fail();
        }
    }

    pub(super) fn add(&mut self, other: Summary) {
        self.runners += other.runners;
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}

/// Reads `test result: ok. 12 passed; 0 failed; …`, with which every runner ends.
pub(crate) fn result_of(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = counts.split("; ");
    let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some((passed, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests\ntest a ... ok\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
        test b ... FAILED\ntest c ... ok\n\nfailures:\n\n---- b stdout ----\nit broke\n\nfailures:\n    b\n\n\
        test result: FAILED. 40 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s\n\
        a test that prints test result: ok. 9 passed; 9 failed\nlast line without an end";

    fn read(output: &str) -> (Summary, Vec<u8>) {
        let (mut summary, mut passed_on) = (Summary::new("some"), Vec::new());
        summary.read(output.as_bytes(), &mut passed_on).unwrap();
        (summary, passed_on)
    }

    #[test]
    fn results_of_all_runners_are_added_and_all_lines_passed_on() {
        let (summary, passed_on) = read(OUTPUT);
        assert_eq!((summary.runners, summary.passed, summary.failed), (2, 43, 2));
        assert_eq!(passed_on, OUTPUT.as_bytes());
    }

    #[test]
    fn what_failed_is_told_again_and_nothing_else() {
        let (summary, _) = read(OUTPUT);
        let [failure] = &summary.failures[..] else { panic!("{summary:?}") };
        assert_eq!((failure.runner.as_str(), &failure.tests[..]), ("some", &["b".to_string()][..]));
        assert_eq!(failure.lines[..4], ["failures:", "", "---- b stdout ----", "it broke"]);
    }

    #[test]
    fn an_end_without_a_count_is_a_failure() {
        let (mut crashed, _) = read("running 3 tests\ntest a ... ok\nSegmentation fault");
        crashed.end(false);
        assert_eq!((crashed.failed, crashed.failures.len()), (1, 1));
        assert!(crashed.failures[0].lines.iter().any(|line| line == "Segmentation fault"), "{crashed:?}");
        let (mut well, _) = read(OUTPUT.split_inclusive('\n').take(3).collect::<String>().as_str());
        well.end(true);
        assert_eq!((well.passed, well.failed), (3, 0));
        let mut sum = Summary::default();
        sum.add(well);
        sum.add(crashed);
        assert_eq!((sum.runners, sum.passed, sum.failed), (1, 3, 1));
    }
}
