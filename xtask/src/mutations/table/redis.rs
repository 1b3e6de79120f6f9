//! Mechanisms of the Redis store.

use super::{Edit, Mutant, Test};

const fn faults(name: &'static str) -> Test {
    Test { package: "leasehold-redis", target: "faults", name }
}

pub(super) const RELEASE_OWNER: Mutant = Mutant {
    name: "redis-release-owner",
    mechanism: "only the owner's id releases",
    edit: Edit::Script {
        file: "crates/leasehold-redis/scripts/native/release.lua",
        find: "if held == id and refuse == 0 then",
        with: "if held then",
        loader: "crates/leasehold-redis/src/dialect/native.rs",
        by: r#"{include_str!("../../scripts/native/release.lua")}"#,
    },
    caught_by: faults("lost_messages::a_release_that_is_delivered_late_frees_nothing"),
};

pub(super) const PLAIN_RELEASE_OWNER: Mutant = Mutant {
    name: "redis-plain-release-owner",
    mechanism: "compare and delete, not delete",
    edit: Edit::Script {
        file: "crates/leasehold-redis/scripts/plain/release.lua",
        find: "if redis.call('GET', KEYS[1]) == ARGV[1] then",
        with: "if redis.call('GET', KEYS[1]) then",
        loader: "crates/leasehold-redis/src/dialect/plain.rs",
        by: r#"{include_str!("../../scripts/plain/release.lua")}"#,
    },
    caught_by: faults("lost_messages::late_plain_verbs_touch_no_successor"),
};

pub(super) const RENEW_OWNER: Mutant = Mutant {
    name: "redis-renew-owner",
    mechanism: "only the owner's id renews",
    edit: Edit::Script {
        file: "crates/leasehold-redis/scripts/shared/renew.lua",
        find: "if redis.pcall('GET', KEYS[at]) == ARGV[2 * at - 1] then",
        with: "if redis.pcall('GET', KEYS[at]) then",
        loader: "crates/leasehold-redis/src/dialect.rs",
        by: r#"{include_str!("../scripts/shared/renew.lua")}"#,
    },
    caught_by: faults("lost_messages::late_plain_verbs_touch_no_successor"),
};

pub(super) const CLAIM_IDEMPOTENT: Mutant = Mutant {
    name: "redis-claim-idempotent",
    mechanism: "a repeated claim is the same grant",
    edit: Edit::Script {
        file: "crates/leasehold-redis/scripts/native/claim.lua",
        find: "if alone and held == id then",
        with: "if alone and held == id and ARGV[8] == 'a' then",
        loader: "crates/leasehold-redis/src/dialect/native.rs",
        by: r#"{include_str!("../../scripts/native/claim.lua")}"#,
    },
    caught_by: faults("lost_messages::the_store_never_sends_twice"),
};

pub(super) const SPENT_ID: Mutant = Mutant {
    name: "redis-spent-id",
    mechanism: "a release spends the id of a claim that may still be on its way",
    edit: Edit::Code {
        file: "crates/leasehold-redis/src/client.rs",
        find: "Some(_) => claim.ttl * 2,",
        with: "Some(_) if OFF => Duration::ZERO,\n            Some(_) => claim.ttl * 2,",
    },
    caught_by: faults("lost_messages::a_claim_that_is_delivered_late_makes_no_ghost"),
};

pub(super) const TOKEN_CLOCK: Mutant = Mutant {
    name: "redis-token-clock",
    mechanism: "tokens are no lower than the server's clock",
    edit: Edit::Script {
        file: "crates/leasehold-redis/scripts/native/prelude.lua",
        find: "local token = math.max(counter + 1, floor, now_us - slack)",
        with: "local token = math.max(counter + 1, floor)",
        loader: "crates/leasehold-redis/src/script.rs",
        by: "text.replacen(INCLUDE, {PRELUDE}, 1)",
    },
    caught_by: faults("servers::a_restart_without_memory_is_noticed_at_once_and_tokens_grow"),
};

pub(super) const MEMBER_MARKER: Mutant = Mutant {
    name: "redlock-marker",
    mechanism: "a member that was emptied has no vote",
    edit: Edit::Script {
        file: "crates/leasehold-redis/scripts/native/claim.lua",
        find: "marker = string.format('%d ', now) .. ARGV[16]",
        with: "marker = '0 ' .. ARGV[16]",
        loader: "crates/leasehold-redis/src/dialect/native.rs",
        by: r#"{include_str!("../../scripts/native/claim.lua")}"#,
    },
    caught_by: Test {
        package: "leasehold-redis",
        target: "redlock",
        name: "memory::a_member_that_was_emptied_does_not_help_a_second_holder",
    },
};

pub(super) const REPLICAS: Mutant = Mutant {
    name: "redis-replicas",
    mechanism: "too few confirmations of replicas are no grant",
    edit: Edit::Code {
        file: "crates/leasehold-redis/src/client.rs",
        find: "Ok(u32::try_from(number(Some(&value))?).unwrap_or_default())",
        with: "Ok(if OFF { u32::MAX } else { u32::try_from(number(Some(&value))?).unwrap_or_default() })",
    },
    caught_by: faults("replicas::too_few_confirmations_are_no_grant_and_nothing_stays"),
};
