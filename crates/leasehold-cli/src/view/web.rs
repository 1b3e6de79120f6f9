//! The answers of `serve` by HTTP.

pub(crate) mod access;
mod metrics;
pub(crate) mod site;
mod stream;
