//! What an operator should know of a cluster: probe are gathered here, and judged in [`rules`].

mod probe;
mod rules;

use std::{net::IpAddr, sync::Arc};

use futures_util::future::join_all;
use leasehold_core::{Error, ErrorKind, Finding, Moment, Result};
use tonic::Status;

use self::probe::{Probe, Reading};
use crate::{
    EtcdStore,
    client::ClientState,
    error::explain,
    options::Endpoint,
    proto::{
        AlarmRequest, AlarmResponse, MemberListRequest, MemberListResponse, RangeRequest, RangeResponse,
        StatusRequest, StatusResponse,
    },
    server_info::STATUS,
    transport::connection::{Connection, Connector, Procedure},
};

const ALARM: Procedure = "/etcdserverpb.Maintenance/Alarm";
const MEMBER_LIST: Procedure = "/etcdserverpb.Cluster/MemberList";
const RANGE: Procedure = "/etcdserverpb.KV/Range";

impl EtcdStore {
    /// Looks at every member that is named and at the cluster that they make, and says what matters for locks, the worst
    /// first. Nothing is written. What the user may not look at is a finding, and so is one of several members that does
    /// not answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] and the like when no member answers, [`ErrorKind::Rejected`] for a login or a certificate
    /// that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let client = self.client();
        let looked = look(client).await;
        let probe = looked.map_err(|error| error.verb("doctor").store(&*client.options.url))?;
        let mut findings = rules::findings(&probe);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}

async fn look(client: &Arc<ClientState>) -> Result<Probe> {
    client.refuse_closed()?;
    let (options, until) = (&client.options, client.env.now() + client.options.timeout);
    let connector = Connector::new(options)?;
    let asked = options.endpoints.iter().map(|endpoint| look_at(client, &connector, endpoint, until));
    let (mut readings, mut way, mut failure) = (Vec::new(), None, None);
    for (endpoint, seen) in options.endpoints.iter().zip(join_all(asked).await) {
        let seen = match seen {
            Ok((connection, status)) => {
                // Of those that answer, one that knows a leader is asked about the rest.
                way = way.filter(|_| status.leader == 0).or(Some(connection));
                Ok(status)
            }
            Err(error) => {
                let text = error.to_string();
                failure = failure.or(Some(error));
                Err(text)
            }
        };
        readings.push(Reading { node: endpoint.to_string(), is_remote: is_remote(&endpoint.host), seen });
    }
    let Some(connection) = way else {
        return Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Invalid, "no member is named")));
    };
    let token = client.members.login(&connection, until).await?;
    let list = MemberListRequest {};
    let members =
        in_time(client, until, connection.unary::<_, MemberListResponse>(MEMBER_LIST, list, &token)).await;
    let alarms =
        in_time(client, until, connection.unary::<_, AlarmResponse>(ALARM, AlarmRequest {}, &token)).await;
    let has_login = !options.user.is_empty();
    if !has_login {
        // Whoever may read without a login may write.
        let any = RangeRequest { key: b"\0".to_vec(), limit: 1, ..RangeRequest::default() };
        let read = in_time(client, until, connection.unary::<_, RangeResponse>(RANGE, any, &token)).await;
        refuse_unknown(read)?;
    }
    Ok(Probe {
        readings,
        members: members.map(|answer| answer.members).map_err(said),
        alarms: alarms.map(|answer| answer.alarms).map_err(said),
        has_login,
        has_tls: options.tls,
    })
}

/// The way to a member, and what it says of itself.
async fn look_at(
    client: &ClientState,
    connector: &Connector,
    endpoint: &Endpoint,
    until: Moment,
) -> Result<(Arc<Connection>, StatusResponse)> {
    let env = &client.env;
    let asking = async {
        let connection = Arc::new(connector.connect(endpoint, env).await?);
        let status = connection.status().await.map_err(|status| explain(&status))?;
        Ok((connection, status))
    };
    let silent =
        || Err(Error::new(ErrorKind::TimedOut, format!("no answer within {:?}", client.options.timeout)));
    env.until(until, asking).await.unwrap_or_else(silent)
}

async fn in_time<T>(
    client: &ClientState,
    until: Moment,
    asking: impl Future<Output = std::result::Result<T, Status>>,
) -> std::result::Result<T, Status> {
    let silent = || Err(Status::deadline_exceeded("no answer in time"));
    client.env.until(until, Box::pin(asking)).await.unwrap_or_else(silent)
}

/// # Errors
/// The cluster wants a login. What else a read says is said of the members, too.
fn refuse_unknown(read: std::result::Result<RangeResponse, Status>) -> Result<()> {
    match read.map_err(|status| explain(&status)) {
        Err(error) if error.kind() == ErrorKind::Rejected => Err(error),
        _ => Ok(()),
    }
}

fn said(status: Status) -> String {
    status.message().to_string()
}

/// Whether others than this machine can see what is said on the way there.
fn is_remote(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => !host.eq_ignore_ascii_case("localhost"),
    }
}

impl Connection {
    /// What a member says of itself, also one that knows no leader.
    async fn status(&self) -> std::result::Result<StatusResponse, Status> {
        self.lenient(STATUS, StatusRequest {}).await
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
