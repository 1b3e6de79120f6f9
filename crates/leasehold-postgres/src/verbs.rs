//! The verbs: one statement each.

pub(crate) mod claim;
pub(crate) mod inspect;
pub(crate) mod release;
pub(crate) mod renew;
