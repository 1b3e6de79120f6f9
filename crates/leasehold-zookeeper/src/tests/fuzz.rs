//! Fuzz targets: arbitrary bytes, and properties of what is parsed from them. Built for tests and fuzzers only.

use leasehold_core::{ClaimId, LockName};

use crate::{
    dialect::{NodeKind, ZooKeeperDialect, sort},
    format::NodeData,
    keys::{self, Paths},
};

/// The name of a corpus in `fuzz/corpus`, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] =
    &[("zookeeper_node_data", node_data), ("zookeeper_node_name", node_name), ("zookeeper_path", path)];

/// Parsed data is written as bytes that parse to the same data.
fn node_data(bytes: &[u8]) {
    let Some(data) = NodeData::read(bytes) else { return };
    assert_eq!(NodeData::read(&data.write()), Some(data));
}

/// Arbitrary children can be parsed and sorted, and our own names are parsed back.
fn node_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for dialect in [ZooKeeperDialect::Curator, ZooKeeperDialect::Kazoo] {
        let mut names: Vec<_> = text.lines().filter_map(|line| dialect.read(line)).collect();
        for pivot in [0, i32::MAX, i32::MIN] {
            sort(&mut names, pivot);
        }
        for name in names {
            let id = name.id.unwrap_or(ClaimId::from_bits(7));
            let ours = format!("{}{:010}", dialect.stem(id), name.number);
            let read = dialect.read(&ours).expect("a name of ours can be read");
            assert_eq!((read.kind, read.number, read.id), (NodeKind::Contender, name.number, Some(id)));
        }
    }
}

/// Node names are injective, one level below the root, and decode to their lock names.
fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = keys::decode(&text);
    let (one, two) = text.split_once('\n').unwrap_or((&text, "other"));
    let [Ok(one), Ok(two)] = [one, two].map(LockName::new) else { return };
    let paths = Paths::new("/locks");
    let nodes = [&one, &two].map(|name| paths.lock(name));
    assert_eq!(one == two, nodes[0] == nodes[1]);
    for (name, node) in [one, two].into_iter().zip(nodes) {
        let node = node.strip_prefix("/locks/").expect("it is below the root");
        assert!(!node.contains('/') && !matches!(node, "." | ".."), "{node}");
        assert!(node.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{node}");
        assert_eq!(keys::decode(node), Some(name));
    }
}

#[cfg(test)]
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_its_mutations_break_nothing() {
        super::corpus::run(super::TARGETS);
    }
}
