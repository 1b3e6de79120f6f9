//! [`Tls`]: encryption for the client library, by rustls.

use tokio_postgres::{Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Makes encrypted connections to servers whose certificate contains a name.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) rustls: MakeRustlsConnect,
    /// The name in the certificates, if it is not the host's.
    pub(crate) server_name: Option<String>,
}

pub(crate) type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.rustls, name)
    }
}
