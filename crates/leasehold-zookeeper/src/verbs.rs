//! The operations of the store, one file each.

pub(crate) mod claim;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod release;
pub(crate) mod renew;
