//! The schema in the database: made by the first client that may, and checked by the others.

use leasehold_core::{Error, ErrorKind, Result};
use tokio_postgres::Client;

use crate::{
    error::{column, explain},
    sql::{self, VERSION},
};

/// The version of the schema that this program knows.
const KNOWN: u32 = 1;

/// "Leasehold", as the key of the advisory lock of the client that makes the schema.
const MAKING: &str = "BEGIN; SELECT pg_advisory_xact_lock(8387794225577127780);";

const MAY_NOT_MAKE: &str = "GRANT CREATE ON DATABASE … TO this user, or let an administrator run what \
    `leasehold stores --sql postgres` prints";

/// Makes the schema if it is not there, and answers the server process.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for one of a newer version or of another program, `Rejected` without the right to make it.
pub(crate) async fn ensure(client: &Client) -> Result<i32> {
    let (is_there, process) = read(client).await?;
    if !is_there {
        let made = client.batch_execute(&[MAKING, sql::SCHEMA, "COMMIT;"].concat()).await;
        made.map_err(|error| match explain(&error) {
            refused if refused.kind() == ErrorKind::Rejected => refused.hint(MAY_NOT_MAKE),
            error => error,
        })?;
        read(client).await?;
    }
    Ok(process)
}

/// Whether there is the schema, and the server process.
async fn read(client: &Client) -> Result<(bool, i32)> {
    let rows = client.query_typed(&VERSION.text, &[]).await.map_err(|error| explain(&error))?;
    let (comment, process): (Option<String>, i32) = (column(&rows[0], 0)?, column(&rows[0], 1)?);
    let Some(comment) = comment else { return Ok((false, process)) };
    match comment.strip_prefix("Leasehold ").and_then(|version| version.parse().ok()) {
        Some(KNOWN) => Ok((true, process)),
        Some(version) => {
            let message = format!("the schema has version {version}, and this program knows version {KNOWN}");
            Err(Error::new(ErrorKind::Corrupt, message).hint("use a program of the same version"))
        }
        None => Err(Error::new(ErrorKind::Corrupt, "the schema `leasehold` is another program's")
            .hint("it was left as it is; use another database")),
    }
}
