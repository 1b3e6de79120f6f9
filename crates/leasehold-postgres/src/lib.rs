//! The PostgreSQL store of Leasehold: leases in one table, decided by functions in the server.
//!
//! One row a lock holds its claims in order and the highest fencing token granted. A verb is one call of a function, which
//! locks that row for the time of its decision: one round trip each, with or without contention, through poolers as well.
//! Time is the server's `clock_timestamp()`. Waiters are woken by `NOTIFY`, on a second connection that a client makes when
//! it first waits; a client has no more than these two.
//!
//! A lease is exclusive as long as the server keeps what it has committed (`synchronous_commit`, `fsync`, no failover to a
//! standby that lags) and its clock does not jump ahead by more than a lease. See SAFETY.md.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod capability;
mod check_in;
mod client;
mod dialect;
mod doctor;
mod error;
mod format;
mod libpq;
mod listener;
mod named;
mod options;
mod schema;
mod server_info;
mod sql;
mod store;
mod tls;
mod transaction;
mod transport;
mod verbs;

pub use backend::BACKEND;
pub use check_in::{check_in, check_in_statement};
pub use options::PostgresOptions;
pub use sql::SCHEMA;
#[cfg(feature = "sqlx")]
pub use sqlx;
pub use store::PostgresStore;
pub use tokio_postgres;
pub use transaction::{Parameter, PostgresTransaction};
