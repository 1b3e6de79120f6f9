//! [`Probe`]: the facts about a server.

use leasehold_core::{Result, url::Address};
use tokio_postgres::config::Host;

use crate::{error::column, sql::DOCTOR, transport::Transport};

#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) node: String,
    /// As `server_version_num`: 150000 for 15.0.
    pub(super) version: i32,
    pub(super) syncs: bool,
    pub(super) synchronous_commit: String,
    pub(super) has_synchronous_standbys: bool,
    pub(super) is_standby: bool,
    /// Whether transactions change nothing unless they ask to.
    pub(super) is_read_only: bool,
    pub(super) standbys: i64,
    pub(super) vacuums: bool,
    pub(super) live_rows: i64,
    pub(super) dead_rows: i64,
    /// The table of locks; `None` where sessions have them.
    pub(super) table: Option<String>,
    pub(super) may_write: bool,
    pub(super) has_zones: bool,
    pub(super) clock_off_us: u64,
    /// Whether the URL says that a pooler is before it.
    pub(super) is_pooled: bool,
    /// Whether notifications arrive; `None` where nobody listens.
    pub(super) hears: Option<bool>,
    /// Whether requests leave this machine in the clear.
    pub(super) is_clear: bool,
}

/// Asks the server about locks in this table, or in none.
pub(super) async fn gather(transport: &Transport, table: Option<&str>) -> Result<Probe> {
    let options = &transport.options;
    let rows = transport.query(&DOCTOR, &[&table]).await?;
    let row = &rows[0];
    let now: i64 = column(row, 10)?;
    let places = options.config.get_hosts().iter().zip(options.config.get_ports());
    let over_network = |(host, port): (&Host, &u16)| match host {
        Host::Tcp(name) => Some(Address::new(name, *port)),
        Host::Unix(_) => None,
    };
    let addresses: Vec<Address> = places.filter_map(over_network).collect();
    Ok(Probe {
        node: addresses.first().map_or_else(|| "socket".to_string(), ToString::to_string),
        version: column(row, 0)?,
        syncs: column(row, 1)?,
        synchronous_commit: column(row, 2)?,
        has_synchronous_standbys: column(row, 3)?,
        is_standby: column(row, 4)?,
        is_read_only: column(row, 12)?,
        standbys: column(row, 5)?,
        vacuums: column(row, 6)?,
        live_rows: column(row, 7)?,
        dead_rows: column(row, 8)?,
        table: table.map(String::from),
        may_write: column(row, 9)?,
        has_zones: column(row, 11)?,
        clock_off_us: now.cast_unsigned().abs_diff(transport.env.wall_us()),
        is_pooled: options.is_pooled,
        hears: None,
        is_clear: !options.access.tls && addresses.iter().any(|address| !address.is_local()),
    })
}
