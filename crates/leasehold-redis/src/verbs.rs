//! The verbs of the store, in whichever dialect the client uses.

pub(crate) mod claim;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod release;
pub(crate) mod renew;
