//! [`ZooKeeperDialect`]: the names of the children of a lock's node, as Curator and kazoo write them.

use leasehold_core::ClaimId;

/// The layout of the nodes of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZooKeeperDialect {
    /// Curator's: `_c_<uuid>-lock-<number>`. Curator's `InterProcessMutex`, go-zookeeper and the Rust crate `zookeeper-client`
    /// exclude our clients and are excluded.
    Curator,
    /// `<32 digits>__lock__<number>`, of Python's kazoo. Exclusive locks only.
    Kazoo,
}

/// The role of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NodeKind {
    /// A member of the queue, whose layout takes ours into account.
    Contender,
    /// A marker that keeps a lock closed after its holder has gone.
    DelayMarker,
    /// A member of another queue, whose layout ignores ours.
    Blind,
}

/// A child of a lock's node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeName {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    /// Its place: later ones have higher numbers, until they wrap around.
    pub(crate) number: i32,
    /// The claim, if the name has one.
    pub(crate) id: Option<ClaimId>,
}

impl NodeName {
    /// Whether it is the node of this claim.
    pub(crate) fn is_of(&self, id: ClaimId) -> bool {
        self.kind == NodeKind::Contender && self.id == Some(id)
    }

    /// The name of its delay marker: the same number gives it the same place for every client.
    pub(crate) fn delay_marker(&self) -> String {
        format!("_d_{}", self.name.trim_start_matches("_c_"))
    }
}

impl ZooKeeperDialect {
    /// The name of a claim's node without its number.
    pub(crate) fn stem(self, id: ClaimId) -> String {
        match self {
            ZooKeeperDialect::Curator => format!("_c_{}-lock-", uuid(id)),
            ZooKeeperDialect::Kazoo => format!("{id}__lock__"),
        }
    }

    /// The name of the node that records the highest raised token. Libraries that take every child for a contender find it
    /// behind all others.
    pub(crate) fn fence(self) -> &'static str {
        match self {
            ZooKeeperDialect::Curator => "_f_-lock-2147483647",
            ZooKeeperDialect::Kazoo => "_f___lock__2147483647",
        }
    }

    /// Parses a child's name; `None` for one that is in no queue.
    pub(crate) fn read(self, name: &str) -> Option<NodeName> {
        if name == self.fence() {
            return None;
        }
        let markers: &[&str] = match self {
            ZooKeeperDialect::Curator => &["lock-"],
            ZooKeeperDialect::Kazoo => &["__lock__", "__rlock__"],
        };
        let in_queue =
            |marker: &&str| name.rsplit_once(marker).and_then(|(head, it)| Some((head, number(it)?)));
        let name_of = |kind, number, id| Some(NodeName { name: name.to_string(), kind, number, id });
        let Some((head, place)) = markers.iter().find_map(in_queue) else {
            // Curator's semaphore has its queue one level below.
            let digits =
                if name == "leases" { "0000000000" } else { name.get(name.len().checked_sub(10)?..)? };
            return name_of(NodeKind::Blind, number(digits)?, None);
        };
        let is_marker = head.starts_with("_d_");
        let kind = match self {
            _ if is_marker => NodeKind::DelayMarker,
            ZooKeeperDialect::Curator if !head.starts_with("_c_") => NodeKind::Blind,
            _ => NodeKind::Contender,
        };
        name_of(kind, place, claim_id(head.trim_start_matches("_c_").trim_start_matches("_d_")))
    }
}

/// Sorts by place, seen from `pivot`. Numbers wrap around: those of one time are less than 2^31 apart.
pub(crate) fn sort(names: &mut [NodeName], pivot: i32) {
    names.sort_by_key(|it| (it.number.wrapping_sub(pivot), it.kind == NodeKind::DelayMarker));
}

/// The ten digits that the server appends; negative after the wrap-around.
fn number(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = text.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// 8-4-4-4-12 digits.
fn uuid(id: ClaimId) -> String {
    let digits = id.to_string();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn claim_id(head: &str) -> Option<ClaimId> {
    head.replace('-', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ClaimId = ClaimId::from_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

    fn kind(dialect: ZooKeeperDialect, name: &str) -> Option<NodeKind> {
        dialect.read(name).map(|it| it.kind)
    }

    #[test]
    fn our_names_come_back() {
        for dialect in [ZooKeeperDialect::Curator, ZooKeeperDialect::Kazoo] {
            for number in [0, 7, i32::MAX, -5, i32::MIN] {
                let name = format!("{}{number:010}", dialect.stem(ID));
                let read = dialect.read(&name).unwrap();
                assert_eq!(
                    (read.kind, read.number, read.id),
                    (NodeKind::Contender, number, Some(ID)),
                    "{name}"
                );
                let delay_marker = dialect.read(&read.delay_marker()).unwrap();
                assert_eq!(
                    (delay_marker.kind, delay_marker.number, delay_marker.id),
                    (NodeKind::DelayMarker, number, Some(ID))
                );
            }
        }
    }

    #[test]
    fn those_who_see_us_are_told_from_those_who_do_not() {
        use NodeKind::{Blind, Contender};
        use ZooKeeperDialect::{Curator, Kazoo};
        let uuid = "_c_01234567-89ab-cdef-0123-456789abcdef";
        let table = [
            (Curator, format!("{uuid}-lock-0000000001"), Some(Contender)),
            (Curator, "_c_0123456789abcdef0123456789abcdef-lock-0000000001".into(), Some(Contender)),
            (Curator, format!("{ID}__lock__0000000001"), Some(Blind)),
            (Curator, format!("{uuid}-__WRIT__0000000001"), Some(Blind)),
            (Curator, format!("{uuid}-latch-0000000001"), Some(Blind)),
            (Curator, "lock-0000000001".into(), Some(Blind)),
            (Curator, "x-72057594-0000000001".into(), Some(Blind)),
            (Curator, "leases".into(), Some(Blind)),
            (Curator, Curator.fence().into(), None),
            (Kazoo, Kazoo.fence().into(), None),
            (Curator, "orders".into(), None),
            (Curator, "é".into(), None),
            (Curator, "lock-1".into(), None),
            (Kazoo, format!("{ID}__lock__0000000001"), Some(Contender)),
            (Kazoo, format!("{ID}__rlock__0000000001"), Some(Contender)),
            (Kazoo, format!("{uuid}-lock-0000000001"), Some(Blind)),
        ];
        for (dialect, name, expected) in table {
            assert_eq!(kind(dialect, &name), expected, "{name}");
        }
    }

    #[test]
    fn the_queue_goes_on_over_the_wrap_around() {
        let mut queue: Vec<_> = [i32::MIN, i32::MAX - 1, i32::MIN + 1, i32::MAX]
            .iter()
            .map(|number| {
                ZooKeeperDialect::Curator
                    .read(&format!("{}{number:010}", ZooKeeperDialect::Curator.stem(ID)))
                    .unwrap()
            })
            .collect();
        sort(&mut queue, i32::MIN);
        let numbers: Vec<_> = queue.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [i32::MAX - 1, i32::MAX, i32::MIN, i32::MIN + 1]);
    }
}
