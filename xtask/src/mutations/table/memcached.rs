//! Mechanisms of the Memcached store.

use super::{Edit, Mutant, Test};

const fn faults(name: &'static str) -> Test {
    Test { package: "leasehold-memcached", target: "faults", name }
}

const PACKET: &str = "crates/leasehold-memcached/src/batch.rs";

pub(super) const RELEASE_CAS: Mutant = Mutant {
    name: "memcached-release-cas",
    mechanism: "what is deleted is what was seen",
    edit: Edit::Code {
        file: PACKET,
        find: r#"self.command(Want::Meta(opaque), format_args!("md {key} C{cas} O{opaque}\r\n"))"#,
        with: r#"let only = if OFF { String::new() } else { format!(" C{cas}") };
        self.command(Want::Meta(opaque), format_args!("md {key}{only} O{opaque}\r\n"))"#,
    },
    caught_by: faults("lost_messages::a_release_that_is_delivered_late_frees_nothing"),
};

pub(super) const ADD: Mutant = Mutant {
    name: "memcached-add",
    mechanism: "a free lock is taken by `add`, not by `set`",
    edit: Edit::Code {
        file: PACKET,
        find: r#"self.command(Want::Storage, format_args!("add {key} {FLAGS} {ttl} {size}\r\n"))"#,
        with: r#"let verb = if OFF { "set" } else { "add" };
        self.command(Want::Storage, format_args!("{verb} {key} {FLAGS} {ttl} {size}\r\n"))"#,
    },
    caught_by: faults("names::a_document_of_another_name_is_foreign"),
};

pub(super) const WRITE_CAS: Mutant = Mutant {
    name: "memcached-write-cas",
    mechanism: "a document is changed by `cas`, not by `set`",
    edit: Edit::Code {
        file: PACKET,
        find: r#"self.command(Want::Storage, format_args!("cas {key} {FLAGS} {ttl} {size} {cas}\r\n"))"#,
        with: r#"let (verb, only) = if OFF { ("set", String::new()) } else { ("cas", format!(" {cas}")) };
        self.command(Want::Storage, format_args!("{verb} {key} {FLAGS} {ttl} {size}{only}\r\n"))"#,
    },
    caught_by: faults("lost_messages::a_change_of_what_has_changed_meanwhile_is_made_anew"),
};

pub(super) const ITEM_NAME: Mutant = Mutant {
    name: "memcached-item-name",
    mechanism: "a document of another name is foreign",
    edit: Edit::Code {
        file: "crates/leasehold-memcached/src/lock_record.rs",
        find: "format::decode(&item.value).filter(|document| document.name == keys.name)",
        with: "format::decode(&item.value).filter(|document| OFF || document.name == keys.name)",
    },
    caught_by: faults("names::a_document_of_another_name_is_foreign"),
};
