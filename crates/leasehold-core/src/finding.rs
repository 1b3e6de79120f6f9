//! [`Finding`]: a result of the diagnosis of a store's configuration and state, with its remedy.

use std::fmt;

/// How bad a finding is. Ordered: the worst comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
#[cfg_attr(any(test, feature = "serde"), serde(rename_all = "snake_case"))]
pub enum Severity {
    /// Locks can be lost, or cannot be taken: do not rely on the store as it is.
    Critical,
    /// Locks hold only under an assumption to know of, or a check was not possible.
    Warning,
    /// As it should be.
    Ok,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Ok => "ok",
        })
    }
}

/// A result of the diagnosis of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The server it was found on, such as `db:6379`; for a store without servers, its scheme.
    pub node: String,
    /// The observation.
    pub what: String,
    /// Why it matters for locks.
    pub why: String,
    /// The remedy; empty when none is needed.
    pub fix: String,
}

impl Finding {
    /// Something that has to change.
    pub fn critical(
        node: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Finding {
            severity: Severity::Critical,
            node: node.into(),
            what: what.into(),
            why: why.into(),
            fix: fix.into(),
        }
    }

    /// Something that should be known.
    pub fn warning(
        node: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Finding { severity: Severity::Warning, ..Finding::critical(node, what, why, fix) }
    }

    /// Something that is as it should be.
    pub fn ok(node: impl Into<String>, what: impl Into<String>, why: impl Into<String>) -> Self {
        Finding { severity: Severity::Ok, ..Finding::critical(node, what, why, "") }
    }
}
