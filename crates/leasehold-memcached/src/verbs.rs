//! The operations of the store, one file each.

mod claim;
mod list;
mod release;
mod renew;
