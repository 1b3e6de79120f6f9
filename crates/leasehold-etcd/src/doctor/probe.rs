//! [`Probe`]: the facts about a cluster.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use futures_util::future::join_all;
use leasehold_core::{Error, ErrorKind, Moment, Result, store_kit::timed_out};
use prost::Message;
use tonic::{Request, Status};

use crate::{
    client::Client,
    error::explain,
    proto::{
        AlarmMember, AlarmRequest, AlarmResponse, Member, MemberListRequest, MemberListResponse,
        RangeRequest, RangeResponse, StatusRequest, StatusResponse,
    },
    server_info::STATUS,
    transport::connection::{Connection, Procedure, Token, authorized},
    watcher::RANGE,
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
    /// Asks every member for its status, and one of them for the rest.
    ///
    /// # Errors
    /// No member answers, or the cluster needs a login.
    pub(super) async fn gather(client: &Client) -> Result<Probe> {
        client.state.check_open()?;
        let (options, until) = (&client.options, client.env.now() + client.options.timeout);
        let queries = (0..options.endpoints.len()).map(|index| status_of(client, index, until));
        let (mut readings, mut best, mut failure) = (Vec::new(), None, None);
        for (endpoint, answer) in options.endpoints.iter().zip(join_all(queries).await) {
            let status = match answer {
                Ok((connection, status)) => {
                    // Preferably a member that knows a leader.
                    best = best.filter(|_| status.leader == 0).or(Some(connection));
                    Ok(status)
                }
                Err(error) => {
                    let text = error.to_string();
                    failure = failure.or(Some(error));
                    Err(text)
                }
            };
            readings.push(Reading {
                node: endpoint.to_string(),
                is_remote: is_remote(&endpoint.host),
                status,
            });
        }
        let Some(connection) = best else {
            return Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Invalid, "no member is named")));
        };
        let token = client.cluster.login(&connection, until).await?;
        let query = Query { client, connection, token, until };
        let members = query.send::<_, MemberListResponse>(MEMBER_LIST, MemberListRequest {}).await;
        let alarms = query.send::<_, AlarmResponse>(ALARM, AlarmRequest {}).await;
        let has_login = !options.user.is_empty();
        if !has_login {
            query.check_open_to_anyone().await?;
        }
        let text = |status: Status| status.message().to_string();
        Ok(Probe {
            readings,
            members: members.map(|answer| answer.members).map_err(text),
            alarms: alarms.map(|answer| answer.alarms).map_err(text),
            has_login,
            has_tls: options.tls,
        })
    }

    /// The members that answered.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (&str, &StatusResponse)> {
        self.readings.iter().filter_map(|it| Some((it.node.as_str(), it.status.as_ref().ok()?)))
    }

    /// The clusters of the members that answered: one, if all is well.
    pub(super) fn clusters(&self) -> BTreeSet<u64> {
        self.statuses().filter_map(|(_, status)| Some(status.header?.cluster_id)).collect()
    }

    /// The number of voting members.
    pub(super) fn voters(&self) -> Option<usize> {
        let members = self.members.as_ref().ok()?;
        Some(members.iter().filter(|member| !member.is_learner).count())
    }

    /// Members of the cluster that the URL does not name, by their own names. A member that did not answer may be any.
    pub(super) fn unnamed(&self) -> Vec<&str> {
        let Ok(members) = &self.members else { return Vec::new() };
        let named: BTreeSet<u64> =
            self.statuses().filter_map(|(_, status)| Some(status.header?.member_id)).collect();
        let silent = self.readings.iter().filter(|it| it.status.is_err()).count();
        let others = members.iter().filter(|member| !named.contains(&member.id) && !member.is_learner);
        let mut others: Vec<&str> = others.map(|member| member.name.as_str()).collect();
        others.sort_unstable();
        if others.len() > silent { others } else { Vec::new() }
    }

    /// The address of a member, if it answered, or its id.
    pub(super) fn name_of(&self, id: u64) -> String {
        let is_it = |status: &StatusResponse| status.header.is_some_and(|header| header.member_id == id);
        match self.statuses().find(|(_, status)| is_it(status)) {
            Some((node, _)) => node.to_string(),
            None => format!("member {id:x}"),
        }
    }
}

/// A connection to a member, and its status, also from one that knows no leader.
async fn status_of(
    client: &Client,
    index: usize,
    until: Moment,
) -> Result<(Arc<Connection>, StatusResponse)> {
    let query = async {
        let connection = Arc::new(client.cluster.connector().connect(index).await?);
        // Without the header that asks for a leader.
        let status = connection.unary(STATUS, Request::new(StatusRequest {})).await;
        Ok((connection, status.map_err(|status| explain(&status))?))
    };
    let silent = || Err(timed_out("answer", client.options.timeout));
    client.env.until(until, query).await.unwrap_or_else(silent)
}

/// The queries to the member that is asked about the cluster.
struct Query<'a> {
    client: &'a Client,
    connection: Arc<Connection>,
    token: Token,
    until: Moment,
}

impl Query<'_> {
    async fn send<Q, R>(&self, procedure: Procedure, message: Q) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let answer = Box::pin(self.connection.unary(procedure, authorized(message, &self.token)));
        let silent = || Err(Status::deadline_exceeded("no answer in time"));
        self.client.env.until(self.until, answer).await.unwrap_or_else(silent)
    }

    /// Reads a key without a login: a client that may read without one may write, too.
    ///
    /// # Errors
    /// The cluster needs a login. Other failures of the read appear in the facts about the members.
    async fn check_open_to_anyone(&self) -> Result<()> {
        let any = RangeRequest { key: b"\0".to_vec(), limit: 1, ..RangeRequest::default() };
        let read = self.send::<_, RangeResponse>(RANGE, any).await;
        match read.map_err(|status| explain(&status)) {
            Err(error) if error.kind() == ErrorKind::Rejected => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether others than this machine can see the traffic to this host.
fn is_remote(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => !host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_not_remote() {
        for (host, remote) in [
            ("127.0.0.1", false),
            ("127.1.2.3", false),
            ("::1", false),
            ("LocalHost", false),
            ("10.0.0.1", true),
            ("etcd-1", true),
        ] {
            assert_eq!(is_remote(host), remote, "{host}");
        }
    }
}
