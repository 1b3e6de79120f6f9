//! [`Backend`]: how a store is reached by URL; and the [`Registry`] of those that a program has.
//!
//! A store crate has one static value of this type. Programs name it in a list, and need to know nothing else of it.

mod lazy;
mod registry;

use std::{sync::Arc, time::Duration};

pub use lazy::LazyStore;
pub use registry::{BackendEntry, Registry};

use crate::{
    BoxFuture, Capability, Env, Finding, Result, Store,
    url::{ParsedUrl, Scheme},
};

/// A kind of store: its URLs, and how to open, examine and promote what they name.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// The URL schemes of the store, with their grammar.
    pub schemes: &'static [Scheme],
    /// A URL for each variant of the store that differs in its capability.
    pub examples: &'static [&'static str],
    /// Checks the parts that the grammar of the scheme leaves open, and puts the path into its one spelling. No I/O.
    pub check: Option<fn(&mut ParsedUrl) -> Result<()>>,
    /// The capability of the store; where it depends on the servers, the one they have if they agree. No I/O.
    pub capability: fn(&ParsedUrl) -> Result<Capability>,
    /// Opens the store; a voting member of a quorum, if possible, without waiting for its servers: a quorum works while a
    /// minority of its members is down. The prefix of the URL is applied by the caller.
    pub open: for<'a> fn(&'a ParsedUrl, Option<QuorumMembership>, &'a Env) -> Opening<'a>,
    /// Examines configuration and state of the servers.
    pub diagnose: for<'a> fn(&'a ParsedUrl, &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>>,
    /// Gives a member of a quorum its vote at once, by the caller's assurance that nothing is held on it; `None` for a
    /// store that never loses its vote. Answers whether the member can lose it.
    pub promote: Option<for<'a> fn(&'a ParsedUrl, QuorumMembership, &'a Env) -> Promotion<'a>>,
}

/// A store that is being opened.
pub type Opening<'a> = BoxFuture<'a, Result<Arc<dyn Store>>>;

/// A vote that is being given.
pub type Promotion<'a> = BoxFuture<'a, Result<bool>>;

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
