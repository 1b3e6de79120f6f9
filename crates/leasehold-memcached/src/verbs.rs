//! The operations of the store, one file each.

mod claim;
mod inspect;
mod list;
mod release;
mod renew;
