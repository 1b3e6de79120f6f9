//! Whether the server may be trusted with locks, as far as one look can tell.

use std::sync::atomic::{AtomicBool, Ordering};

use leasehold_core::{Error, ErrorKind, Result};

use crate::{options::MemcachedOptions, server_info::Server};

/// Warns of a server that may evict locks, once a client, or refuses it.
///
/// # Errors
/// [`ErrorKind::Unsafe`] when strict.
pub(crate) fn judge(server: &Server, options: &MemcachedOptions, warned: &AtomicBool) -> Result<()> {
    if !server.evicts {
        return Ok(());
    }
    let message = "the server throws out locks when its memory is full";
    if options.strict {
        return Err(Error::new(ErrorKind::Unsafe, message)
            .hint("start it with -M, or give locks a server of their own"));
    }
    if !warned.swap(true, Ordering::Relaxed) {
        tracing::warn!(store = %options.url, "{message}: start it with -M, or give locks a server of their own");
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
        assert!(judge(&firm, &options, &warned).is_ok() && !warned.load(Ordering::Relaxed));
        assert!(judge(&evicting, &options, &warned).is_ok() && warned.load(Ordering::Relaxed));
        options.strict = true;
        assert_eq!(judge(&evicting, &options, &warned).unwrap_err().kind(), ErrorKind::Unsafe);
        assert!(judge(&firm, &options, &warned).is_ok());
    }
}
