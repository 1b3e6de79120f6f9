//! Imports of what only Linux has: they stand in `platform` modules alone, beside the portable twin.

use super::forbidden::hits;
use crate::files::{self, File};

/// Crates of tests, which are for Linux.
const FOR_LINUX: &[&str] = &["-lab/", "-testkit/", "-conformance/"];
const OF_LINUX: &[&str] = &[
    "inotify",
    "eventfd",
    "timerfd",
    "pidfd",
    "statfs",
    "getrandom",
    "Boottime",
    "parent_process_death",
    "subreaper(",
    "set_tcp_user_timeout",
    "\"/proc/",
    "(\"/sys/",
];

pub(super) fn findings() -> Vec<String> {
    let sources = files::files(&[".rs"]);
    let uses = sources.iter().filter(|file| is_portable(file)).flat_map(uses);
    uses.chain(dependencies()).collect()
}

/// Packages that only Linux has among those that macOS would build.
fn dependencies() -> Vec<String> {
    let args = "tree --target x86_64-apple-darwin --edges normal --package leasehold-cli --all-features --prefix none";
    let output = files::cargo(&args.split(' ').collect::<Vec<_>>()).output();
    let tree = output.ok().filter(|output| output.status.success());
    let Some(tree) = tree else { return vec!["cargo tree failed for x86_64-apple-darwin".into()] };
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    let of_linux = |line: &&str| ["linux-", "inotify", "procfs"].iter().any(|name| line.starts_with(name));
    tree.lines()
        .filter(of_linux)
        .map(|line| format!("{line}: Linux alone has this, and macOS would build it"))
        .collect()
}

fn is_portable(file: &File) -> bool {
    file.path.starts_with("crates/")
        && file.path.contains("/src/")
        && !file.is_test()
        && !file.path.contains("/platform")
        && !FOR_LINUX.iter().any(|name| file.path.contains(name))
}

fn uses(file: &File) -> Vec<String> {
    // Tests come last in a file, and run on Linux.
    let text = file.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_string();
    let code = File { path: file.path.clone(), text };
    let is_use =
        |line: &str| !line.trim_start().starts_with("//") && OF_LINUX.iter().any(|name| line.contains(name));
    hits(&code, is_use, "Linux alone has this: it belongs in a `platform` module, beside its twin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_linux_are_found_outside_of_platform_modules() {
        let file = |path: &str| {
            File {
            path: path.into(),
            text: "//! By inotify.\nuse rustix::fs::inotify;\n#[cfg(test)]\nmod tests {\n    use rustix::fs::statfs;\n}\n"
                .into(),
        }
        };
        let code = file("crates/leasehold-sqlite/src/store.rs");
        assert!(is_portable(&code));
        let found = uses(&code);
        assert!(
            found.len() == 1 && found[0].starts_with("crates/leasehold-sqlite/src/store.rs:2:"),
            "{found:?}"
        );
        for path in ["crates/leasehold-sqlite/src/platform/linux.rs", "crates/leasehold-lab/src/main.rs"] {
            assert!(!is_portable(&file(path)), "{path}");
        }
    }
}
