//! [`Backend`]: how a store is reached by URL; and the [`Registry`] of those that a program has.
//!
//! A store crate has one static value of this trait. Programs name it in a list, and need to know nothing else of it.

mod lazy;
mod registry;

use std::{fmt, sync::Arc, time::Duration};

pub use lazy::LazyStore;
pub use registry::{BackendEntry, Registry};

use crate::{
    BoxFuture, Capability, Env, Finding, Result, Store,
    url::{ParsedUrl, Scheme},
};

/// A kind of store: its URLs, and how to open, examine and promote what they name.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The URL schemes of the store, with their grammar.
    fn schemes(&self) -> &'static [Scheme];

    /// A URL for each variant of the store that differs in its capability.
    fn examples(&self) -> &'static [&'static str];

    /// Checks the parts that the grammar of the scheme leaves open, and puts the path into its one spelling. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for a path that means nothing to this store.
    fn check(&self, url: &mut ParsedUrl) -> Result<()> {
        let _ = url;
        Ok(())
    }

    /// The capability of the store; where it depends on the servers, the one they have if they agree. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for an unknown dialect.
    fn capability(&self, url: &ParsedUrl) -> Result<Capability>;

    /// Opens the store. The prefix of the URL is applied by the caller.
    fn open<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Arc<dyn Store>>>;

    /// Opens the store as a voting member of a quorum, if possible without waiting for its servers: a quorum works while
    /// a minority of its members is down.
    fn open_member<'a>(
        &'a self,
        url: &'a ParsedUrl,
        membership: QuorumMembership,
        env: &'a Env,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        let _ = membership;
        self.open(url, env)
    }

    /// Examines configuration and state of the servers.
    fn diagnose<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>>;

    /// Gives a member of a quorum its vote at once, by the caller's assurance that nothing is held on it. Answers
    /// `false` for a store that never loses its vote.
    fn promote<'a>(
        &'a self,
        url: &'a ParsedUrl,
        membership: QuorumMembership,
        env: &'a Env,
    ) -> BoxFuture<'a, Result<bool>> {
        let _ = (url, membership, env);
        Box::pin(async { Ok(false) })
    }
}

/// The quorum that a store is a member of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuorumMembership {
    /// How many members the quorum has.
    pub members: u32,
    /// The longest time to live on it, and so how long a member that may have lost data has no vote.
    pub longest_lease: Duration,
}

/// The finding of a store that has no configuration to examine.
pub fn nothing_to_check(url: &ParsedUrl, why: &str) -> Vec<Finding> {
    let scheme = url.scheme.name;
    vec![Finding::ok(scheme, format!("there is nothing to check for {scheme}:"), why)]
}
