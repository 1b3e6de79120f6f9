//! [`SqliteOptions`]: what can be set when the store is opened.

use std::time::Duration;

/// What can be set when the store is opened.
///
/// ```
/// let mut options = leasehold_sqlite::SqliteOptions::default();
/// options.timeout = std::time::Duration::from_secs(1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// How long a verb waits for its turn to write before it fails with
    /// [`ErrorKind::TimedOut`](leasehold_core::ErrorKind). 5 s unless set.
    pub timeout: Duration,
    /// Makes the directories above the file where they are missing, readable by their owner only. Off unless set.
    pub create_directories: bool,
    /// The identity of this boot of the machine, by which claims of an earlier boot are known to be stale. The
    /// kernel's own unless set; set it only in tests.
    pub boot_id: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions { timeout: Duration::from_secs(5), create_directories: false, boot_id: None }
    }
}
