//! ZooKeeper: one server, and an ensemble of several.

mod ensemble;
mod server;

pub use ensemble::Ensemble;
pub use server::Server;
