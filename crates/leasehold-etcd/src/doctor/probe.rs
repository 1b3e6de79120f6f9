//! [`Probe`]: what was seen of a cluster.

use std::collections::BTreeSet;

use crate::proto::{AlarmMember, Member, StatusResponse};

/// What was seen of one member.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Its address, as the URL has it.
    pub(super) node: String,
    /// Whether the way there leaves this machine.
    pub(super) is_remote: bool,
    /// What it says of itself, or why it was not seen.
    pub(super) seen: Result<StatusResponse, String>,
}

/// What was seen of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// The members that the URL names.
    pub(super) readings: Vec<Reading>,
    /// Who belongs to the cluster, or what was said instead.
    pub(super) members: Result<Vec<Member>, String>,
    /// The alarms that are raised, or what was said instead.
    pub(super) alarms: Result<Vec<AlarmMember>, String>,
    /// Whether a login was accepted; without one, anybody could read.
    pub(super) has_login: bool,
    pub(super) has_tls: bool,
}

impl Probe {
    /// Those that answered.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&str, &StatusResponse)> {
        self.readings.iter().filter_map(|look| Some((look.node.as_str(), look.seen.as_ref().ok()?)))
    }

    /// The clusters to which the members that answered belong: one, if all is well.
    pub(super) fn clusters(&self) -> BTreeSet<u64> {
        self.seen().filter_map(|(_, status)| Some(status.header?.cluster_id)).collect()
    }

    /// How many vote on what is written.
    pub(super) fn voters(&self) -> Option<usize> {
        let members = self.members.as_ref().ok()?;
        Some(members.iter().filter(|member| !member.is_learner).count())
    }

    /// Cluster of the cluster that the URL does not name, by their own names. Those that were not seen may be any.
    pub(super) fn unnamed(&self) -> Vec<&str> {
        let Ok(members) = &self.members else { return Vec::new() };
        let named: BTreeSet<u64> =
            self.seen().filter_map(|(_, status)| Some(status.header?.member_id)).collect();
        let unseen = self.readings.iter().filter(|look| look.seen.is_err()).count();
        let others = members.iter().filter(|member| !named.contains(&member.id) && !member.is_learner);
        let mut others: Vec<&str> = others.map(|member| member.name.as_str()).collect();
        others.sort_unstable();
        if others.len() > unseen { others } else { Vec::new() }
    }

    /// The address of a member, if it was seen, or what it is called.
    pub(super) fn name_of(&self, id: u64) -> String {
        let is_it = |status: &StatusResponse| status.header.is_some_and(|header| header.member_id == id);
        match self.seen().find(|(_, status)| is_it(status)) {
            Some((node, _)) => node.to_string(),
            None => format!("member {id:x}"),
        }
    }
}
