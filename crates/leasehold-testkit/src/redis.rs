//! Redis: one server, a master with replicas, Sentinels, a cluster; and a client that is just enough to look.

mod builder;
mod cluster;
mod connection;
mod replicated;
mod reply;
mod sentinels;
mod server;

pub use builder::Builder;
pub use cluster::Cluster;
pub use connection::Connection;
pub use replicated::Replicated;
pub use reply::Reply;
pub use sentinels::Sentinels;
pub use server::Server;
