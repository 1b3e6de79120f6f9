//! The table is TOML, of which this reads what it needs: `[C1]`, `key = "text"`, and `key = ["text", "text"]` on one line or
//! on several.

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fault {
    /// Such as `C1`.
    pub(super) id: String,
    /// What goes wrong.
    pub(super) fault: String,
    /// What Leasehold makes of it.
    pub(super) answer: String,
    /// `server`, `simulation` or `unit`: what the strongest of the tests runs on.
    pub(super) kind: String,
    /// Paths of tests, the strongest first.
    pub(super) tests: Vec<String>,
    /// What fails in the same run.
    pub(super) control: String,
    /// Tests of their own that hold the control, if it is not in the first test.
    pub(super) controls: Vec<String>,
}

/// Reads the table.
///
/// # Errors
/// The line that is not understood, or what a fault lacks.
pub(super) fn read(text: &str) -> Result<Vec<Fault>, String> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let wrong = |what: &str| format!("line {}: {what}: {line}", at + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(id) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            faults.push(Fault { id: id.into(), ..Fault::default() });
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| wrong("neither a key nor a fault"))?;
        let mut value = value.trim().to_string();
        while value.starts_with('[') && !value.ends_with(']') {
            let (_, more) = lines.next().ok_or_else(|| wrong("a list without an end"))?;
            value.push_str(more.trim());
        }
        let fault = faults.last_mut().ok_or_else(|| wrong("a key of no fault"))?;
        fault.set(key.trim(), &value).ok_or_else(|| wrong("not understood"))?;
    }
    faults.iter().try_for_each(Fault::complete)?;
    Ok(faults)
}

impl Fault {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let place = match key {
            "fault" => &mut self.fault,
            "answer" => &mut self.answer,
            "kind" => &mut self.kind,
            "control" => &mut self.control,
            "tests" => return texts(value).map(|all| self.tests = all),
            "controls" => return texts(value).map(|all| self.controls = all),
            _ => return None,
        };
        *place = quoted(value)?;
        Some(())
    }

    fn complete(&self) -> Result<(), String> {
        let texts = [&self.fault, &self.answer, &self.control];
        let whole = texts.iter().all(|text| !text.is_empty()) && !self.tests.is_empty();
        let known = matches!(self.kind.as_str(), "server" | "simulation" | "unit");
        match whole && known {
            true => Ok(()),
            false => Err(format!("{} needs fault, answer, kind, tests and control", self.id)),
        }
    }
}

/// A text in quotation marks, without escapes.
fn quoted(value: &str) -> Option<String> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains(['"', '\\'])).then(|| text.to_string())
}

fn texts(value: &str) -> Option<Vec<String>> {
    let inside = value.strip_prefix('[')?.strip_suffix(']')?;
    inside.split(',').map(str::trim).filter(|text| !text.is_empty()).map(quoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\n[C1]\nfault = \"a pause\"\nanswer = \"loss\"\nkind = \"server\"\n\
        tests = [\n  \"a::b::c\",\n  \"d::e\",\n]\ncontrol = \"none looks\"\ncontrols = [\"f::g\"]\n";

    #[test]
    fn a_fault_is_read() {
        let faults = read(TEXT).unwrap();
        assert_eq!((faults.len(), faults[0].id.as_str(), faults[0].kind.as_str()), (1, "C1", "server"));
        assert_eq!((faults[0].tests.len(), faults[0].controls.as_slice()), (2, &["f::g".to_string()][..]));
    }

    #[test]
    fn what_is_not_understood_or_missing_is_named() {
        for (text, says) in [
            (TEXT.replace("control = ", "contrl = "), "line 10: not understood"),
            (TEXT.replace("\"server\"", "\"hope\""), "C1 needs"),
            (TEXT.replace("control = \"none looks\"\n", ""), "C1 needs"),
            ("x = \"y\"".into(), "line 1: a key of no fault"),
            ("[C1]\ntests = [\n\"a\",".into(), "line 2: a list without an end"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
