//! What the command is told through its environment.

use std::{ffi::OsString, process::Command};

use leasehold::Lease;

use crate::{duration, store::Location};

/// The variables of the command. The innermost lock wins: what an outer one set and this one cannot say is removed.
pub(crate) struct Environment {
    variables: Vec<(&'static str, Option<OsString>)>,
}

impl Environment {
    /// The variables for a lease on a store.
    pub(crate) fn new(lease: &Lease, ttl: std::time::Duration, location: &Location) -> Self {
        let mut variables = vec![
            ("LEASEHOLD_NAME", Some(lease.name().as_str().into())),
            ("LEASEHOLD_FENCING_TOKEN", lease.fencing_token().map(|token| token.to_string().into())),
            ("LEASEHOLD_SEQUENCER", lease.sequencer().map(|sequencer| sequencer.to_string().into())),
            ("LEASEHOLD_TTL_MS", Some(duration::millis(ttl).to_string().into())),
        ];
        if let Some(url) = location.for_child() {
            variables.push(("LEASEHOLD_STORE", Some(url.into())));
        }
        Environment { variables }
    }

    /// Sets them for a process to be started.
    pub(crate) fn put(&self, process: &mut Command) {
        for (name, value) in &self.variables {
            match value {
                Some(value) => process.env(name, value),
                None => process.env_remove(name),
            };
        }
    }
}
