//! A check of the server's settings when a client connects.

use std::sync::atomic::{AtomicBool, Ordering};

use leasehold_core::{Error, ErrorKind, Result};

use crate::{options::MemcachedOptions, server_info::Server};

/// Logs a warning once a client when the server may evict locks, or refuses the server.
///
/// # Errors
/// [`ErrorKind::Unsafe`] when strict.
pub(crate) fn check_eviction(server: &Server, options: &MemcachedOptions, warned: &AtomicBool) -> Result<()> {
    if !server.evicts {
        return Ok(());
    }
    let (message, fix) = (
        "the server evicts locks when its memory is full",
        "start it with -M, or give locks a server of their own",
    );
    if options.strict {
        return Err(Error::new(ErrorKind::Unsafe, message).hint(fix));
    }
    if !warned.swap(true, Ordering::Relaxed) {
        tracing::warn!(store = %options.url, "{message}: {fix}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_info::tests::read;

    #[test]
    fn a_server_that_evicts_is_warned_of_once_and_refused_when_strict() {
        let (evicting, firm) = (read(&[("-evictions", "on")]).unwrap(), read(&[]).unwrap());
        let (mut options, warned) = (MemcachedOptions::new("m", 1), AtomicBool::new(false));
        assert!(check_eviction(&firm, &options, &warned).is_ok() && !warned.load(Ordering::Relaxed));
        assert!(check_eviction(&evicting, &options, &warned).is_ok() && warned.load(Ordering::Relaxed));
        options.strict = true;
        assert_eq!(check_eviction(&evicting, &options, &warned).unwrap_err().kind(), ErrorKind::Unsafe);
        assert!(check_eviction(&firm, &options, &warned).is_ok());
    }
}
