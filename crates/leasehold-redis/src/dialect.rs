//! In which format locks are kept: one file a dialect.

pub(crate) mod foreign;
pub(crate) mod native;
pub(crate) mod plain;
