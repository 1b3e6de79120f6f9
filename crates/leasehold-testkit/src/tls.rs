//! A certificate authority of one test, and the certificates of one server and one client.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::{Result, error::Context};

/// The file with the server's certificate.
pub(crate) const CERTIFICATE: &str = "server.pem";
/// The file with the server's private key.
pub(crate) const KEY: &str = "server.key";
/// The file with the authority's certificate.
pub(crate) const AUTHORITY: &str = "ca.pem";
/// The file with the client's certificate.
pub(crate) const CLIENT_CERTIFICATE: &str = "client.pem";
/// The file with the client's private key.
pub(crate) const CLIENT_KEY: &str = "client.key";
const FILES: [&str; 5] = [AUTHORITY, CERTIFICATE, KEY, CLIENT_CERTIFICATE, CLIENT_KEY];

/// The TLS of a server.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The names in its certificate.
    pub(crate) names: Vec<String>,
    /// The year in which its certificate ends.
    pub(crate) last_year: i32,
    /// Whether clients need a certificate.
    pub(crate) mutual: bool,
    /// A directory with the files of another server, which are used instead of new ones.
    pub(crate) shared: Option<PathBuf>,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            names: ["localhost", "127.0.0.1"].map(String::from).into(),
            last_year: 4096,
            mutual: false,
            shared: None,
        }
    }
}

impl Tls {
    /// Writes an authority that no other program trusts, a server's certificate that it has signed, and a client's, into a
    /// directory. Those that are there are replaced.
    pub(crate) fn create(&self, directory: &Path) -> Result<()> {
        let files = match &self.shared {
            Some(shared) => FILES.map(|name| std::fs::read_to_string(shared.join(name)).unwrap_or_default()),
            None => self.sign().context(|| "no certificate could be made".into())?,
        };
        for (name, text) in FILES.iter().zip(files) {
            std::fs::write(directory.join(name), text).context(|| format!("{name} cannot be written"))?;
        }
        Ok(())
    }

    fn sign(&self) -> Result<[String; 5], rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "Leasehold test authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let issue = |names: &[String]| {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, "Leasehold test");
            params.not_after = date_time_ymd(self.last_year, 1, 1);
            Ok::<_, rcgen::Error>((params.signed_by(&key, &authority)?.pem(), key.serialize_pem()))
        };
        let (server, client) = (issue(&self.names)?, issue(&[])?);
        Ok([authority.pem(), server.0, server.1, client.0, client.1])
    }
}

/// The files in a directory, as keys of a store's URL: the authority, and the certificate of a client.
pub(crate) fn query(directory: &Path, mutual: bool) -> String {
    let file = |name: &str| directory.join(name).display().to_string();
    let client = format!("&cert={}&key={}", file(CLIENT_CERTIFICATE), file(CLIENT_KEY));
    format!("ca={}{}", file(AUTHORITY), if mutual { &client } else { "" })
}
