//! [`Probe`]: the facts about a server.

use leasehold_core::{ClaimId, Interest, LockName, Result};

use crate::{client::Client, error::column, sql::DOCTOR};

/// The facts about a server.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) node: String,
    /// As `server_version_num`: 150000 for 15.0.
    pub(super) version: i32,
    pub(super) syncs: bool,
    pub(super) synchronous_commit: String,
    pub(super) has_synchronous_standbys: bool,
    pub(super) is_standby: bool,
    pub(super) standbys: i64,
    pub(super) vacuums: bool,
    pub(super) live_rows: i64,
    pub(super) dead_rows: i64,
    pub(super) may_write: bool,
    /// How far its clock is from ours.
    pub(super) clock_off_us: u64,
    /// Whether notifications arrive; `None` where the URL says that they do not.
    pub(super) hears: Option<bool>,
    /// Whether requests leave this machine in the clear.
    pub(super) is_clear: bool,
}

/// Asks the server.
pub(super) async fn gather(client: &Client) -> Result<Probe> {
    let options = &client.transport.options;
    let rows = client.transport.query(&DOCTOR, &[]).await?;
    let row = &rows[0];
    let is_standby: bool = column(row, 4)?;
    let hears = match options.is_pooled || is_standby {
        true => None,
        false => {
            let nobody = Interest::Turn(ClaimId::mint(&client.env));
            drop(client.listener.watch(&LockName::new("doctor")?, nobody).await?);
            Some(!client.listener.is_deaf())
        }
    };
    let now: i64 = column(row, 10)?;
    Ok(Probe {
        node: options.hosts.first().map_or_else(|| "socket".to_string(), ToString::to_string),
        version: column(row, 0)?,
        syncs: column(row, 1)?,
        synchronous_commit: column(row, 2)?,
        has_synchronous_standbys: column(row, 3)?,
        is_standby,
        standbys: column(row, 5)?,
        vacuums: column(row, 6)?,
        live_rows: column(row, 7)?,
        dead_rows: column(row, 8)?,
        may_write: column(row, 9)?,
        clock_off_us: now.cast_unsigned().abs_diff(client.env.wall_us()),
        hears,
        is_clear: !options.access.tls && options.hosts.iter().any(|host| !host.is_local()),
    })
}
