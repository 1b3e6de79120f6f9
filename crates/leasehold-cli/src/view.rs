//! The live view of a store, shared by `watch`, `top` and `serve`: scans, the state that they give, and its changes.

#[cfg_attr(not(feature = "top"), expect(dead_code, reason = "the live view alone uses all of it"))]
pub(crate) mod board;
pub(crate) mod changes;
#[cfg_attr(not(feature = "top"), expect(dead_code, reason = "the live view alone uses all of it"))]
pub(crate) mod scanner;
#[cfg(feature = "top")]
pub(crate) mod screen;
#[cfg(feature = "serve")]
pub(crate) mod web;
