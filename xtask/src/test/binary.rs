//! The test programs of the workspace.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// The directory of its package, in which `cargo test` runs it.
    pub(crate) directory: PathBuf,
}

/// Builds test programs with `cargo test --no-run …`.
pub(crate) fn build(mut command: Command) -> Result<Vec<Binary>, String> {
    command.args(["--message-format", "json-render-diagnostics"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let failed = |error| format!("cargo could not be run: {error}");
    let mut child = command.spawn().map_err(failed)?;
    let mut found = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let message = serde_json::from_str(&line.map_err(failed)?).unwrap_or(Value::Null);
            found.extend(binary(&message));
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(found) } else { Err("the tests do not compile".to_string()) }
}

/// Reads one of cargo's messages; `None` unless it is about a test program.
fn binary(message: &Value) -> Option<Binary> {
    let program = message["executable"].as_str()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?;
    let package = directory.file_name()?.to_string_lossy();
    let (target, kind) = (message["target"]["name"].as_str()?, message["target"]["kind"][0].as_str()?);
    let name = if kind == "test" { format!("{package} {target}") } else { package.into_owned() };
    Some(Binary { name, program: program.into(), directory: directory.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, test: bool) -> Value {
        serde_json::json!({
            "manifest_path": "somewhere/leasehold-core/Cargo.toml", "executable": "deps/model-1",
            "target": { "name": "model", "kind": [kind] }, "profile": { "test": test },
        })
    }

    #[test]
    fn test_programs_are_found_among_the_messages() {
        let found = binary(&message("test", true)).unwrap();
        assert_eq!(found.name, "leasehold-core model");
        assert_eq!(found.directory, Path::new("somewhere/leasehold-core"));
        assert_eq!(binary(&message("lib", true)).unwrap().name, "leasehold-core");
        assert_eq!(binary(&message("bin", false)), None, "a program that tests use");
        assert_eq!(binary(&Value::Null), None);
    }
}
