//! The identity of a cluster.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};

use crate::{
    client::Client,
    protocol::{Empty, StatusResponse},
    transport::connection::Procedure,
};

/// The first version that compares ranges of keys.
pub(crate) const OLDEST: (u32, u32, u32) = (3, 4, 0);

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
    if numbers(version) >= OLDEST {
        return Ok(());
    }
    let message = format!("etcd {} cannot compare ranges of keys", version.escape_debug());
    Err(Error::new(ErrorKind::Unsafe, message).hint("etcd 3.4 or later is needed"))
}

/// The numbers of a version; 0 for each that is missing.
pub(crate) fn numbers(version: &str) -> (u32, u32, u32) {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (version, expected) in [
            ("3.4.23", (3, 4, 23)),
            ("3.6.0-rc.1", (3, 6, 0)),
            ("4.0", (4, 0, 0)),
            ("3.x.1", (3, 0, 1)),
            ("", (0, 0, 0)),
        ] {
            assert_eq!(numbers(version), expected, "{version}");
            assert_eq!(check_version(version).is_ok(), expected >= OLDEST, "{version}");
        }
    }
}
