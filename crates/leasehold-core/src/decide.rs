//! Pure decisions: no clock, no `async`, no shared state. Every store and the engine ask here.

pub mod backoff;
pub mod grant;
pub mod lock_state;
pub mod validity;
pub mod votes;
