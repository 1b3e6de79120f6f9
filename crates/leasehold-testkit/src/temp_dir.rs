//! Temporary directories that do not pile up.
//!
//! A directory is removed with its value. A test process that is killed, or that keeps a server in a `static`, cannot
//! do that: its name carries its process id, and the next test process removes what belongs to a dead one.

use std::{env, fs, path::Path, sync::Once};

use tempfile::TempDir;

use crate::{Result, error::Context};

const PREFIX: &str = "leasehold-testkit-";

pub(crate) fn create() -> Result<TempDir> {
    static SWEEP: Once = Once::new();
    SWEEP.call_once(sweep);
    let prefix = format!("{PREFIX}{}-{}-", namespace(), std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().context(|| "no temporary directory".into())
}

/// The namespace of the process ids: others may use the same temporary directory.
fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

fn sweep() {
    let ours = format!("{PREFIX}{}-", namespace());
    let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(&ours).and_then(|rest| rest.split('-').next());
        let dead =
            process.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists());
        if dead {
            // Another process may be sweeping, too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
