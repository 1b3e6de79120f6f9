//! The lock in your own transaction: [`check_in`], and `guard.check_in(&mut transaction)`.

#[cfg(feature = "sqlx")]
pub use leasehold_postgres::sqlx;
pub use leasehold_postgres::{Parameter, PostgresTransaction, check_in, check_in_statement, tokio_postgres};

use leasehold_core::{Error, ErrorKind, Hold, Result, Store};

use crate::url::StoreUrl;

/// The check of a guard.
pub(crate) async fn check_in_hold(hold: &Hold, transaction: impl PostgresTransaction) -> Result<()> {
    let store = hold.store();
    let (name, token) = match (hold.fencing_token(), store.capability()) {
        (Some(token), capability) if capability.scheme == "postgres" && capability.commits => {
            (name_in_database(store, hold.name()), token)
        }
        _ => {
            return Err(Error::new(ErrorKind::Unsupported, "only a lock in PostgreSQL is checked in its transactions")
                .lock(hold.name())
                .hint("connect to postgres://…, without a dialect of others; or fence the resource: leasehold::fencing"));
        }
    };
    check_in(transaction, &name, token).await.map_err(|error| error.lock(hold.name()))
}

/// The name with the prefix of the store's URL.
fn name_in_database(store: &dyn Store, name: &str) -> String {
    let url = StoreUrl::parse(store.url()).ok();
    let prefix = url.as_ref().and_then(|url| url.options().prefix()).unwrap_or_default();
    format!("{prefix}{name}")
}
