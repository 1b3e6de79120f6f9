//! Building blocks that every store shares: waiting subscriptions, connections, claims in doubt, the end of a client.
//!
//! No network here: a store brings its own transport, and these types hold it.

mod access;
mod client_state;
mod explain;
mod findings;
mod in_doubt;
mod locked;
mod notifier;
mod reconnect;
mod runtime_connections;
#[cfg(test)]
pub(crate) mod schedule_point;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod verbs;
mod waiters;

pub use access::{Access, Secrets};
pub use client_state::ClientState;
pub use explain::{Explain, in_time, timed_out};
pub use findings::{clear_text, open_secrets, permits, silent_member, voting_members};
pub use in_doubt::InDoubt;
pub use locked::Locked;
pub use notifier::{NeverWakes, Notifier};
pub use reconnect::{Connection, Reconnect};
pub use runtime_connections::RuntimeConnections;
#[cfg(feature = "tls")]
pub use tls::tls_config;
pub use verbs::Verbs;
pub use waiters::{Subscription, Topic, Waiters};
