//! Findings that servers have in common of which a majority decides.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

use super::Access;
use crate::{Finding, url::ParsedUrl};

/// Files with a password or a private key that every user of this machine can read.
pub fn open_secrets(url: &ParsedUrl) -> Vec<Finding> {
    let all = [Access::of(url), Access::of_keys(url, "sentinel_")];
    let files = all.into_iter().flat_map(|access| [access.password_file, access.key.or(access.cert)]);
    let is_open = |path: &PathBuf| permits(path, 0o004);
    let finding = |path: PathBuf| {
        let path = path.display();
        Finding::warning(
            url.scheme.name,
            format!("everybody on this machine can read {path}"),
            "a user with the password or the key can take and release every lock",
            format!("chmod 600 {path}"),
        )
    };
    files.flatten().filter(is_open).map(finding).collect()
}

/// Whether a file has any of these permissions, `0o004` for everybody's reading; `false` on platforms without them.
pub fn permits(path: &Path, mode: u32) -> bool {
    #[cfg(unix)]
    let has =
        |metadata: Metadata| std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & mode != 0;
    #[cfg(not(unix))]
    let has = |_: Metadata| mode == 0;
    path.metadata().is_ok_and(has)
}

/// A member that does not answer.
pub fn silent_member(node: &str, why: &str) -> Finding {
    Finding::critical(
        node,
        format!("it does not answer: {why}"),
        "while it is down, one less of the others may fail",
        "bring it back, or find out why it cannot be reached",
    )
}

/// The number of voting members; `None` for fewer than two.
pub fn voting_members(cluster: &str, count: usize) -> Option<Finding> {
    let may_fail = count.checked_sub(1)? / 2;
    match count {
        1 => None,
        _ if count.is_multiple_of(2) => Some(Finding::warning(
            cluster,
            format!("its members are even ({count}): {may_fail} may fail"),
            "no more may fail than with one member less",
            "add one member, or remove one",
        )),
        _ => Some(Finding::ok(
            cluster,
            format!("of its {count} members {may_fail} may fail"),
            "locks survive their loss",
        )),
    }
}

/// Traffic that others can read.
pub fn clear_text(cluster: &str, has_login: bool, fix: &str) -> Finding {
    let what = if has_login { "the password and all requests" } else { "all requests" };
    Finding::warning(
        cluster,
        format!("{what} go over the network in the clear"),
        "anyone on the network path can read and change them",
        fix,
    )
}
