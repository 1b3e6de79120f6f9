//! The identity of a server.

use std::time::Duration;

use leasehold_core::{Result, ServerInfo};

use crate::{
    error::column,
    format::span,
    sql::{REMEMBERS, SERVER},
    transport::Transport,
};

/// The server and its standbys as one: there is one that takes writes.
pub(crate) async fn server_info(transport: &Transport) -> Result<ServerInfo> {
    let rows = transport.query(&SERVER, &[]).await?;
    let remembers_for = match transport.options.is_member {
        true => span(column(&transport.query(&REMEMBERS, &[]).await?[0], 0)?),
        false => Duration::MAX,
    };
    let (identifier, now): (i64, i64) = (column(&rows[0], 0)?, column(&rows[0], 1)?);
    Ok(ServerInfo {
        server: format!("{identifier:016x}").into(),
        lineage: None,
        remembers_for,
        wall_us: now.cast_unsigned(),
    })
}
