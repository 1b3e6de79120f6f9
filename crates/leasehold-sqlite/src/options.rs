//! [`SqliteOptions`]: the options of a store.

use std::time::Duration;

/// The options of a store, set when it is opened.
///
/// ```
/// let mut options = leasehold_sqlite::SqliteOptions::default();
/// options.timeout = std::time::Duration::from_secs(1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// The longest wait of a verb for its turn to write; then it fails with
    /// [`ErrorKind::TimedOut`](leasehold_core::ErrorKind). 5 s by default.
    pub timeout: Duration,
    /// Makes missing directories above the file, readable by their owner only. Off by default.
    pub create_directories: bool,
    /// The identity of this boot of the machine, by which claims of an earlier boot are known to be stale. The
    /// kernel's own by default; set it only in tests.
    pub boot_id: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions { timeout: Duration::from_secs(5), create_directories: false, boot_id: None }
    }
}
