//! The library's own log, for those who ask for it: `LEASEHOLD_LOG=debug`.

use tracing_subscriber::filter::LevelFilter;

/// Starts it if `LEASEHOLD_LOG` names a level. Lines go to stderr.
pub(crate) fn start() {
    let Ok(level) = std::env::var("LEASEHOLD_LOG") else { return };
    let Ok(level) = level.parse::<LevelFilter>() else { return };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}
