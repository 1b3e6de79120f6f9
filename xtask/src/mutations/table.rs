//! The table: what is switched off, and who has to notice.
//!
//! Mechanisms of core (deadlines, checks before polls, write-back, …) are switched off by knobs of the simulated world
//! and are not here.

use std::fmt;

use super::patch::Edit;

mod memcached;
mod ordered;
mod redis;
mod sqlite;

/// One mechanism that can be switched off.
pub(super) struct Mutant {
    /// How it is called by `cargo xtask mutations NAME`.
    pub(super) name: &'static str,
    /// What is switched off, in words.
    pub(super) mechanism: &'static str,
    /// How.
    pub(super) edit: Edit,
    /// The test that fails then.
    pub(super) caught_by: Test,
}

/// One test of one program of tests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    pub(super) package: &'static str,
    pub(super) target: &'static str,
    pub(super) name: &'static str,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}::{}", self.package, self.target, self.name)
    }
}

/// All of them.
pub(super) const MUTANTS: &[Mutant] = &[
    // The one that takes longest, so that the others run beside it.
    sqlite::GUARDIAN_PARENT,
    redis::RELEASE_OWNER,
    redis::PLAIN_RELEASE_OWNER,
    redis::RENEW_OWNER,
    redis::CLAIM_IDEMPOTENT,
    redis::SPENT_ID,
    redis::TOKEN_CLOCK,
    redis::MEMBER_MARKER,
    redis::REPLICAS,
    sqlite::RELEASE_OWNER,
    sqlite::TOKEN_CALENDAR,
    sqlite::LIVING_HOLDER,
    sqlite::GUARDIAN_DEADLINE,
    sqlite::SEQUENCER_TOKEN,
    memcached::RELEASE_CAS,
    memcached::ADD,
    memcached::WRITE_CAS,
    memcached::ITEM_NAME,
    ordered::ZOOKEEPER_SESSION,
    ordered::ZOOKEEPER_ID,
    ordered::ZOOKEEPER_TOKEN,
    ordered::ETCD_RELEASE_REVISION,
    ordered::ETCD_LATE_CLAIM,
    ordered::ETCD_LOST_PLACE,
    ordered::ETCD_UNCHANGED_QUEUE,
    ordered::ETCD_COMMIT,
];
