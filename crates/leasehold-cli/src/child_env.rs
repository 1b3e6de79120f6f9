//! The environment variables of the command.

use std::{ffi::OsString, process::Command, time::Duration};

use leasehold::Lease;

use crate::{duration::millis, store_location::StoreLocation, supervise::own_process::RUN_ID};

/// The environment variables of the command. When runs are nested, the innermost lock sets all of them: a variable that
/// it has no value for is removed.
pub(crate) struct ChildEnv {
    variables: Vec<(&'static str, Option<OsString>)>,
}

impl ChildEnv {
    pub(crate) fn new(lease: &Lease, run: u64, ttl: Duration, location: &StoreLocation) -> Self {
        let mut variables = vec![
            (RUN_ID, Some(run.to_string().into())),
            ("LEASEHOLD_NAME", Some(lease.name().as_str().into())),
            ("LEASEHOLD_FENCING_TOKEN", lease.fencing_token().map(|token| token.to_string().into())),
            ("LEASEHOLD_SEQUENCER", lease.sequencer().map(|sequencer| sequencer.to_string().into())),
            ("LEASEHOLD_TTL_MS", Some(millis(ttl).to_string().into())),
        ];
        variables.extend(location.for_child().into_iter().map(|(name, value)| (name, Some(value))));
        ChildEnv { variables }
    }

    pub(crate) fn apply(&self, process: &mut Command) {
        for (name, value) in &self.variables {
            match value {
                Some(value) => process.env(name, value),
                None => process.env_remove(name),
            };
        }
    }
}
