//! Examination of a store before locks rely on it: [`diagnose`](fn@diagnose), and [`promote`] for members of a quorum.

use leasehold_core::{Env, Result, store_kit::open_secrets};

pub use leasehold_core::{Finding, Severity};

use crate::{backends, url::StoreUrl};

/// Examines configuration and state of a store for what matters to locks, and answers the findings, the worst first.
/// Nothing is written, except the marker of a quorum's member.
///
/// Every Redis master is examined; a command that the user has no right to is a finding. Memcached is asked for its
/// settings and evictions. Every named member of ZooKeeper and etcd is asked, and one of them for the whole cluster:
/// how many may fail, who has access, which limit is near. Of a quorum each member is examined, and then all together:
/// which of them vote, and whose clock is off. Of SQLite the file is examined, and not opened. Memory has nothing to check.
/// Files with passwords and keys that the URL names are to be read by their user alone.
///
/// # Errors
/// [`ErrorKind::Unreachable`](crate::ErrorKind) and the like when the servers do not answer;
/// [`ErrorKind::Rejected`](crate::ErrorKind) for credentials that are not accepted.
///
/// # Cancel safety
/// Cancel safe.
pub async fn diagnose(url: &StoreUrl) -> Result<Vec<Finding>> {
    let env = Env::system()?;
    let mut findings = (url.backend()?.diagnose)(&url.0, &env).await?;
    findings.extend(std::iter::once(&url.0).chain(&url.0.members).flat_map(open_secrets));
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// Gives the members of a quorum that have just started, or were emptied, their vote at once. The caller vouches that
/// nothing is held on them, as on new servers. Members that keep their data never lose their vote. Answers how many
/// were promoted.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind) for a store that is no quorum; those of the members, after the ones
/// before it were promoted.
///
/// # Cancel safety
/// Dropping it leaves some of them promoted.
pub async fn promote(url: &StoreUrl) -> Result<usize> {
    backends::promote(&url.0, &Env::system()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_has_nothing_to_check() {
        let findings = diagnose(&"memory:".parse().unwrap()).await.unwrap();
        assert!(findings.len() == 1 && findings[0].severity == Severity::Ok, "{findings:?}");
        assert!(findings[0].what.contains("nothing to check for memory:"), "{findings:?}");
    }

    #[cfg(feature = "all-stores")]
    #[tokio::test]
    async fn a_file_must_be_usable_and_a_server_must_answer() {
        let findings = diagnose(&"sqlite:no/such/directory/x.db".parse().unwrap()).await.unwrap();
        assert!(findings.len() == 1 && findings[0].severity == Severity::Critical, "{findings:?}");
        assert!(findings[0].fix.contains("make the directory"), "{findings:?}");
        // Nobody listens at port 1.
        let error = diagnose(&"etcd://127.0.0.1:1?timeout=300ms".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Unreachable);
    }
}
