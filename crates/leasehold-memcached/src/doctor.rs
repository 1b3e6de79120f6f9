//! What an operator should know of the server before locks rely on it.

use leasehold_core::{ErrorKind, Finding, Result, Store};

use crate::{MemcachedStore, server::Server};

impl MemcachedStore {
    /// Looks at how the server was started and what it has forgotten, and says what matters for locks, the worst first.
    /// Nothing of a lock is written.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] and the like when the server does not answer, [`ErrorKind::Rejected`] when it lets
    /// nobody in.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn examine(&self) -> Result<Vec<Finding>> {
        let (node, session) = (self.address(), self.session());
        let looked = match session.refuse_closed() {
            Ok(()) => session.node.ask(session.options.timeout).await,
            Err(error) => Err(error),
        };
        let mut findings = match looked {
            Ok(server) => judge(&node, &server),
            Err(error) if error.kind() == ErrorKind::Unsafe => vec![Finding::red(
                node,
                error.to_string(),
                "no lock can be kept in it, and it is refused",
                error.hint_text().unwrap_or_default(),
            )],
            Err(error) => return Err(error.verb("doctor").store(self.url())),
        };
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}

fn judge(node: &str, server: &Server) -> Vec<Finding> {
    vec![version(node, server), eviction(node, server), flushes(node, server), restart(node)]
}

fn version(node: &str, server: &Server) -> Finding {
    let what = format!("memcached {}", server.version);
    if server.compares {
        return Finding::green(node, what, "it compares before it deletes and prolongs");
    }
    Finding::amber(
        node,
        what,
        "before 1.6.13 it cannot compare before it deletes: a release and a renewal need memory",
        "upgrade to 1.6.13 or later",
    )
}

fn eviction(node: &str, server: &Server) -> Finding {
    if !server.evicts {
        return Finding::green(node, "it evicts nothing (-M)", "a lock stays until it ends");
    }
    let what = match server.forgotten.0 {
        0 => "it may evict locks when its memory is full".to_string(),
        count => format!("it evicts when its memory is full, and has evicted {count} items since it started"),
    };
    Finding::red(
        node,
        what,
        "a lock that is evicted lets a second holder in while the first is at work",
        "start it with -M, or give locks a server of their own",
    )
}

fn flushes(node: &str, server: &Server) -> Finding {
    match server.forgotten.1 {
        0 => Finding::green(node, "it was never emptied since it started", "flush_all ends every lock"),
        count => Finding::amber(
            node,
            format!("it was emptied {count} times since it started (flush_all)"),
            "every lock that was held then was lost",
            "start it with -F, or give locks a server of their own",
        ),
    }
}

fn restart(node: &str) -> Finding {
    Finding::amber(
        node,
        "it keeps nothing on disk: a restart forgets every lock",
        "after a restart, a second holder gets in while the first is at work",
        "let the resource check fencing tokens, or keep locks in another store",
    )
}
