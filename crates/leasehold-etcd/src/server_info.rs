//! Who a cluster is.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};

use crate::{
    client::ClientState,
    proto::{StatusRequest, StatusResponse},
    transport::connection::Procedure,
};

pub(crate) const STATUS: Procedure = "/etcdserverpb.Maintenance/Status";

/// The cluster is one server, whichever member is asked; it has no clock that can be read.
///
/// # Errors
/// [`ErrorKind::Unsafe`] when the member is too old to compare ranges, and would answer such a question wrongly.
pub(crate) async fn server_info(client: &Arc<ClientState>) -> Result<ServerInfo> {
    client.refuse_closed()?;
    let status: StatusResponse = client.members.call(STATUS, StatusRequest {}).await?;
    refuse_old(&status.version)?;
    let cluster = status.header.unwrap_or_default().cluster_id;
    Ok(ServerInfo {
        server: format!("{cluster:016x}").into(),
        lineage: None,
        remembers_for: Duration::MAX,
        wall_us: client.env.wall_us(),
    })
}

fn refuse_old(version: &str) -> Result<()> {
    if knows_ranges(version) {
        return Ok(());
    }
    let message = format!("etcd {} cannot compare ranges of keys", version.escape_debug());
    Err(Error::new(ErrorKind::Unsafe, message).hint("etcd 3.4 or later is needed"))
}

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
