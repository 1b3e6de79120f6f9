//! etcd: one member, or a cluster of three.

mod cluster;
mod member;

pub use cluster::{Builder, Cluster};
pub use member::Member;
