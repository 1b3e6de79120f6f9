//! Mechanisms of the stores that keep a queue in order: ZooKeeper and etcd.

use super::{Edit, Mutant, Test};

const fn zookeeper(name: &'static str) -> Test {
    Test { package: "leasehold-zookeeper", target: "faults", name }
}

const fn etcd(name: &'static str) -> Test {
    Test { package: "leasehold-etcd", target: "faults", name }
}

pub(super) const ZOOKEEPER_SESSION: Mutant = Mutant {
    name: "zookeeper-session",
    mechanism: "the node of another session is no hold (`ephemeralOwner`)",
    edit: Edit::Code {
        file: "crates/leasehold-zookeeper/src/in_doubt.rs",
        find: "if owner == 0 || owner == live.id {",
        with: "if OFF || owner == 0 || owner == live.id {",
    },
    caught_by: zookeeper("queue::the_node_of_an_old_session_is_no_hold"),
};

pub(super) const ZOOKEEPER_ID: Mutant = Mutant {
    name: "zookeeper-id",
    mechanism: "a node whose making was not answered is found by its id",
    edit: Edit::Code {
        file: "crates/leasehold-zookeeper/src/node_name.rs",
        find: "head.replace('-', \"\").parse().ok()",
        with: "head.replace('-', \"\").parse().ok().filter(|_| !OFF)",
    },
    caught_by: zookeeper("lost_messages::a_lost_reply_to_a_create_is_cured_by_asking_again"),
};

pub(super) const ZOOKEEPER_TOKEN: Mutant = Mutant {
    name: "zookeeper-token",
    mechanism: "the token is the transaction that made the node, not its number",
    edit: Edit::Code {
        file: "crates/leasehold-zookeeper/src/verbs/claim.rs",
        find: "base: token_of(&stat),",
        with: "base: if OFF { number.parse().unwrap_or_default() } else { token_of(&stat) },",
    },
    caught_by: zookeeper("queue::tokens_grow_when_the_parent_was_deleted_and_made_again"),
};

pub(super) const ETCD_RELEASE_REVISION: Mutant = Mutant {
    name: "etcd-release-revision",
    mechanism: "a release is for the key of that revision alone",
    edit: Edit::Code {
        file: "crates/leasehold-etcd/src/verbs/release.rs",
        find: "let mine = if known.create > 0 && !known.in_doubt {",
        with: "let mine = if known.create > 0 && !known.in_doubt && !OFF {",
    },
    caught_by: etcd("lost_messages::a_release_is_for_the_hold_that_it_knows"),
};

pub(super) const ETCD_LATE_CLAIM: Mutant = Mutant {
    name: "etcd-late-claim",
    mechanism: "the leases of a claim that may still be on its way are revoked",
    edit: Edit::Code {
        file: "crates/leasehold-etcd/src/verbs/release.rs",
        find: "    if known.in_doubt {",
        with: "    if known.in_doubt && !OFF {",
    },
    caught_by: etcd("lost_messages::the_leases_of_a_claim_in_doubt_end_with_its_release"),
};

pub(super) const ETCD_LOST_PLACE: Mutant = Mutant {
    name: "etcd-lost-place",
    mechanism: "a waiter whose own key is gone is told",
    edit: Edit::Code {
        file: "crates/leasehold-etcd/src/watcher.rs",
        find: "let went = places.difference(&self.places);",
        with: "let went = places.difference(&self.places).filter(|_| !OFF);",
    },
    caught_by: etcd("leases::a_lease_revoked_under_a_waiter_makes_no_holder"),
};

pub(super) const ETCD_UNCHANGED_QUEUE: Mutant = Mutant {
    name: "etcd-unchanged-queue",
    mechanism: "who becomes the writer does so in the queue that was looked at",
    edit: Edit::Code {
        file: "crates/leasehold-etcd/src/verbs/claim/transition.rs",
        find: "compare.extend(others.map(|other| created(other.key.clone(), other.create)));",
        with: "compare.extend(others.filter(|_| !OFF).map(|other| created(other.key.clone(), other.create)));",
    },
    caught_by: etcd("races::an_upgrade_and_a_reader_whose_way_is_free_do_not_both_get_in"),
};

pub(super) const ETCD_COMMIT: Mutant = Mutant {
    name: "etcd-commit",
    mechanism: "a write is made only while the key of the hold is there",
    edit: Edit::Code {
        file: "crates/leasehold-etcd/src/guarded_write.rs",
        find: "compare: vec![created(keys.place(claim.id), create)],",
        with: "compare: if OFF { Vec::new() } else { vec![created(keys.place(claim.id), create)] },",
    },
    caught_by: etcd("commit::a_write_that_arrives_late_is_refused"),
};
