//! [`Probe`]: the facts about a cluster.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use leasehold_core::{Error, ErrorKind, Result, store_kit::in_time};
use prost::Message;
use tonic::Request;

use crate::{
    client::Client,
    error::explain,
    protocol::{
        AlarmMember, AlarmResponse, Empty, Member, MemberListResponse, RangeRequest, RangeResponse,
        StatusResponse,
    },
    server_info::STATUS,
    transport::{
        RANGE,
        connection::{Connection, Procedure, Token, authorized},
    },
};

const ALARM: Procedure = "/etcdserverpb.Maintenance/Alarm";
const MEMBER_LIST: Procedure = "/etcdserverpb.Cluster/MemberList";

/// The facts about one member.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Its address in the URL.
    pub(super) node: String,
    /// Whether the connection to it leaves this machine.
    pub(super) is_remote: bool,
    /// Its status, or the error.
    pub(super) status: Result<StatusResponse, String>,
}

/// The facts about a cluster.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// The members that the URL names.
    pub(super) readings: Vec<Reading>,
    /// The members of the cluster, or the error.
    pub(super) members: Result<Vec<Member>, String>,
    /// The active alarms, or the error.
    pub(super) alarms: Result<Vec<AlarmMember>, String>,
    /// Whether a login was accepted. Otherwise the cluster is open to anyone.
    pub(super) has_login: bool,
    pub(super) has_tls: bool,
}

impl Probe {
    /// Asks every member for its status, and one of them for the rest; fails when none answers or a login is needed.
    pub(super) async fn gather(client: &Client) -> Result<Probe> {
        client.state.check_open()?;
        let options = &client.options;
        let queries = (0..options.endpoints.len()).map(|index| status_of(client, index));
        let answers = join_all(queries).await;
        // Preferably a member that knows a leader.
        let best = answers.iter().flatten().max_by_key(|(_, status)| status.leader != 0);
        let Some((connection, _)) = best else {
            let failure = answers.into_iter().find_map(Result::err);
            return Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Invalid, "no member is named")));
        };
        let token = client.cluster.login(connection, client.env.now() + options.timeout).await?;
        let query = Query { client, connection, token };
        let members = query.send::<_, MemberListResponse>(MEMBER_LIST, Empty {}).await;
        let alarms = query.send::<_, AlarmResponse>(ALARM, Empty {}).await;
        let has_login = !options.access.user.is_empty();
        if !has_login {
            query.check_open_to_anyone().await?;
        }
        let readings = options.endpoints.iter().zip(&answers).map(|(endpoint, answer)| Reading {
            node: endpoint.to_string(),
            is_remote: !endpoint.is_local(),
            status: answer.as_ref().map(|(_, status)| status.clone()).map_err(ToString::to_string),
        });
        let text = |error: Error| error.to_string();
        Ok(Probe {
            readings: readings.collect(),
            members: members.map(|answer| answer.members).map_err(text),
            alarms: alarms.map(|answer| answer.alarms).map_err(text),
            has_login,
            has_tls: options.access.tls,
        })
    }

    /// The members that answered.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (&str, &StatusResponse)> {
        self.readings.iter().filter_map(|it| Some((it.node.as_str(), it.status.as_ref().ok()?)))
    }

    /// The clusters of the members that answered: one, if all is well.
    pub(super) fn clusters(&self) -> BTreeSet<u64> {
        self.statuses().map(|(_, status)| status.header.cluster_id).collect()
    }

    /// The number of voting members.
    pub(super) fn voters(&self) -> Option<usize> {
        let members = self.members.as_ref().ok()?;
        Some(members.iter().filter(|member| !member.is_learner).count())
    }

    /// Members of the cluster that the URL does not name, by their own names. A member that did not answer may be any.
    pub(super) fn unnamed(&self) -> Vec<&str> {
        let Ok(members) = &self.members else { return Vec::new() };
        let named: BTreeSet<u64> = self.statuses().map(|(_, status)| status.header.member_id).collect();
        let silent = self.readings.iter().filter(|it| it.status.is_err()).count();
        let others = members.iter().filter(|member| !named.contains(&member.id) && !member.is_learner);
        let mut others: Vec<&str> = others.map(|member| member.name.as_str()).collect();
        others.sort_unstable();
        if others.len() > silent { others } else { Vec::new() }
    }

    /// The address of a member, if it answered, or its id.
    pub(super) fn name_of(&self, id: u64) -> String {
        let found = self.statuses().find(|(_, status)| status.header.member_id == id);
        found.map_or_else(|| format!("member {id:x}"), |(node, _)| node.to_string())
    }
}

/// A connection to a member, and its status, also from one that knows no leader.
async fn status_of(client: &Client, index: usize) -> Result<(Arc<Connection>, StatusResponse)> {
    let limit = client.options.timeout;
    let connection = Arc::new(client.cluster.connect(index, limit).await?);
    // Without the header that asks for a leader.
    let status = connection.unary(STATUS, Request::new(Empty {}));
    let status = in_time(&client.env, limit, "answer", status).await?;
    Ok((connection, status.map_err(|status| explain(&status))?))
}

/// The queries to the member that is asked about the cluster.
struct Query<'a> {
    client: &'a Client,
    connection: &'a Connection,
    token: Token,
}

impl Query<'_> {
    async fn send<Q, R>(&self, procedure: Procedure, message: Q) -> Result<R>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let answer = Box::pin(self.connection.unary(procedure, authorized(message, &self.token)));
        let answer = in_time(&self.client.env, self.client.options.timeout, "answer", answer).await?;
        answer.map_err(|status| explain(&status))
    }

    /// Reads a key without a login, and fails if one is needed: a client that may read without one may write, too. Other
    /// failures appear in the facts about the members.
    async fn check_open_to_anyone(&self) -> Result<()> {
        let any = RangeRequest { key: b"\0".to_vec(), limit: 1, ..RangeRequest::default() };
        match self.send::<_, RangeResponse>(RANGE, any).await {
            Err(error) if error.kind() == ErrorKind::Rejected => Err(error),
            _ => Ok(()),
        }
    }
}
