//! Pure decisions: no clock, no `async`, no shared state. Every store and the engine ask here.

pub mod backoff;
pub mod document;
pub mod grant;
pub mod validity;
pub mod votes;
