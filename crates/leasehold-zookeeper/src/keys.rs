//! [`Paths`]: the paths of locks, and the encoding of lock names as node names.

use leasehold_core::LockName;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The node of our own records. It is no lock's node: `%l` begins no escape.
const OURS: &str = "%leasehold";

/// The ASCII characters that are encoded; others than ASCII always are.
const ENCODED: &AsciiSet = &CONTROLS.add(b'/').add(b'%');

/// The paths below the chroot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Paths {
    /// `/chroot`, or nothing.
    base: String,
}

impl Paths {
    pub(crate) fn new(chroot: &str) -> Paths {
        Paths { base: chroot.trim_end_matches('/').to_string() }
    }

    /// The node whose children are the locks.
    pub(crate) fn root(&self) -> &str {
        if self.base.is_empty() { "/" } else { &self.base }
    }

    /// The node of a lock, whose children are its holders and waiters.
    pub(crate) fn lock(&self, name: &LockName) -> String {
        format!("{}/{}", self.base, encode(name))
    }

    /// The nodes with the identity of this store: that of the ensemble, which all chroots share, and that of the chroot, for
    /// users without access outside of it.
    pub(crate) fn identities(&self) -> [String; 2] {
        ["", &self.base].map(|base| format!("{base}/{OURS}/identity"))
    }
}

/// The node name of a lock name. Injective; most names are unchanged, so that other programs use the same node.
fn encode(name: &LockName) -> String {
    let text = name.as_str();
    // `.` and `..` are no nodes, and a node called `zookeeper` belongs to the server.
    match text.as_bytes() {
        [first, ..] if matches!(text, "." | ".." | "zookeeper") => format!("%{first:02X}{}", &text[1..]),
        _ => utf8_percent_encode(text, ENCODED).to_string(),
    }
}

/// The lock of a node name; `None` for other nodes.
pub(crate) fn decode(node: &str) -> Option<LockName> {
    let name = LockName::new(percent_decode_str(node).decode_utf8().ok()?).ok()?;
    // One spelling only.
    (encode(&name) == node).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> LockName {
        LockName::new(text).unwrap()
    }

    #[test]
    fn plain_names_are_themselves() {
        let paths = Paths::new("/apps/locks");
        assert_eq!(paths.lock(&name("orders 42:a.b")), "/apps/locks/orders 42:a.b");
        assert_eq!(Paths::new("").lock(&name("orders")), "/orders");
        assert_eq!(Paths::new("").root(), "/");
        let [ensemble, chroot] = paths.identities();
        assert_eq!((&*ensemble, &*chroot), ("/%leasehold/identity", "/apps/locks/%leasehold/identity"));
    }

    #[test]
    fn every_name_is_one_node_and_comes_back() {
        let hostile = [
            "/",
            "//",
            "a/b",
            "..",
            ".",
            "...",
            "%",
            "%2F",
            "%2f",
            "zookeeper",
            "%7Aookeeper",
            "\0",
            "a\r\n",
            "π",
            "🦀",
            "\u{7f}",
            "\u{ffff}",
            "%leasehold",
            "a%",
            "a%4",
        ];
        let mut nodes = std::collections::HashSet::new();
        for text in hostile {
            let node = encode(&name(text));
            assert!(node.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b'/'), "{node}");
            assert!(!matches!(&*node, "." | ".." | "zookeeper" | OURS), "{node}");
            assert_eq!(decode(&node), Some(name(text)), "{node}");
            assert!(nodes.insert(node));
        }
        for foreign in ["%2f", "%leasehold", "%", "%4", "%+1", "zookeeper", "..", "é", "%FF"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }
}
