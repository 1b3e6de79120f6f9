//! One module a verb of the store.

pub(crate) mod claim;
pub(crate) mod inspect;
pub(crate) mod release;
pub(crate) mod renew;
