//! The identity of a cluster.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};

use crate::{
    client::Client,
    proto::{Empty, StatusResponse},
    transport::connection::Procedure,
};

pub(crate) const STATUS: Procedure = "/etcdserverpb.Maintenance/Status";

/// The cluster as one server, whichever member answers. It has no clock that can be read.
///
/// # Errors
/// [`ErrorKind::Unsafe`] when the member is too old to compare ranges, and would answer such a comparison wrongly.
pub(crate) async fn server_info(client: &Client) -> Result<ServerInfo> {
    let status: StatusResponse = client.cluster.call(STATUS, Empty {}).await?;
    check_version(&status.version)?;
    let cluster = status.header.cluster_id;
    Ok(ServerInfo {
        server: format!("{cluster:016x}").into(),
        lineage: None,
        remembers_for: Duration::MAX,
        wall_us: client.env.wall_us(),
    })
}

fn check_version(version: &str) -> Result<()> {
    if knows_ranges(version) {
        return Ok(());
    }
    let message = format!("etcd {} cannot compare ranges of keys", version.escape_debug());
    Err(Error::new(ErrorKind::Unsafe, message).hint("etcd 3.4 or later is needed"))
}

/// Whether members of this version compare ranges of keys.
pub(crate) fn knows_ranges(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    major > Some(3) || (major == Some(3) && minor >= Some(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (version, knows) in
            [("3.4.23", true), ("3.6.0-rc.1", true), ("4.0.0", true), ("3.2.1", false), ("", false)]
        {
            assert_eq!(knows_ranges(version), knows, "{version}");
        }
    }
}
