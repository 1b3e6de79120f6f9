//! etcd: one member, or a cluster of three.

mod builder;
mod cluster;
mod member;

pub use builder::Builder;
pub use cluster::Cluster;
pub use member::Member;
