//! A wall clock that jumps for one process only. `shim/clock.c` is the preloaded library.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, Weak},
};

use tempfile::TempDir;

use crate::{Result, error::Context, process::output, temp_dir, wait::lock};

const SOURCE: &str = include_str!("../shim/clock.c");
const VARIABLE: &str = "LEASEHOLD_TESTKIT_CLOCK";

/// The clock of the processes that are started with its variables.
#[derive(Debug)]
pub struct Clock {
    shim: Arc<Shim>,
    path: PathBuf,
    file: File,
    offset_ns: Mutex<i64>,
}

impl Clock {
    /// A clock with the true time. Its file is created in the directory.
    pub fn create(directory: &Path) -> Result<Self> {
        let shim = Shim::get()?;
        let path = directory.join("clock");
        let options = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = options.context(|| "the clock's file cannot be made".into())?;
        let clock = Self { shim, path, file, offset_ns: Mutex::new(0) };
        clock.set(0.0)?;
        Ok(clock)
    }

    /// The environment variables of a process that uses this clock. It has to be linked with the C library: Go programs
    /// are not affected.
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.shim.library.clone().into()), (VARIABLE, self.path.clone().into())]
    }

    /// Moves the clock forwards or back, with immediate effect.
    pub fn jump(&self, seconds: f64) -> Result<()> {
        self.change(|offset_ns| offset_ns.saturating_add(nanoseconds(seconds)))
    }

    /// Sets the distance of the clock from the true time.
    pub fn set(&self, seconds: f64) -> Result<()> {
        self.change(|_| nanoseconds(seconds))
    }

    fn change(&self, change: impl FnOnce(i64) -> i64) -> Result<()> {
        let mut offset_ns = lock(&self.offset_ns);
        *offset_ns = change(*offset_ns);
        self.file.write_all_at(&offset_ns.to_ne_bytes(), 0).context(|| "the clock cannot be moved".into())
    }
}

/// A jump of more than 292 years is cut to that.
fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

/// The compiled library, in a directory that goes with the last clock that uses it.
#[derive(Debug)]
struct Shim {
    library: PathBuf,
    _directory: TempDir,
}

impl Shim {
    fn get() -> Result<Arc<Self>> {
        static SHIM: Mutex<Weak<Shim>> = Mutex::new(Weak::new());
        let mut known = lock(&SHIM);
        if let Some(shim) = known.upgrade() {
            return Ok(shim);
        }
        let shim = Arc::new(Self::compile()?);
        *known = Arc::downgrade(&shim);
        Ok(shim)
    }

    fn compile() -> Result<Self> {
        let directory = temp_dir::create()?;
        let (source, library) = (directory.path().join("clock.c"), directory.path().join("clock.so"));
        std::fs::write(&source, SOURCE).context(|| "clock.c cannot be written".into())?;
        let mut command = Command::new("cc");
        command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o"]);
        output(command.arg(&library).arg(&source)).context(|| "clock.c does not compile".into())?;
        Ok(Self { library, _directory: directory })
    }
}
