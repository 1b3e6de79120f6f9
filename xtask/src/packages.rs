//! What the tests need of the machine besides Rust, and how it gets there.

use std::{
    env,
    io::{self, IsTerminal},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
};

/// A package of the distribution.
struct Package {
    name: &'static str,
    why: &'static str,
    /// The programs that prove that it is there.
    programs: &'static [&'static str],
    /// A command that must work as well, where programs prove nothing.
    check: &'static [&'static str],
}

/// What the tests need on Debian and Ubuntu.
const PACKAGES: &[Package] = &[
    Package {
        name: "build-essential",
        why: "a C compiler builds the SQLite that comes with the SQLite store",
        programs: &["cc", "ar"],
        check: &[],
    },
    Package {
        name: "util-linux",
        why: "unshare(1) gives a test a namespace of its own, flock(1) a lock to compare with, setpriv(1) ends servers",
        programs: &["unshare", "flock", "setpriv"],
        check: &[],
    },
    Package {
        name: "redis-server",
        why: "the Redis store is tested with real servers, Sentinels and Clusters",
        programs: &["redis-server"],
        check: &[],
    },
    Package {
        name: "redis-tools",
        why: "redis-benchmark(1) to compare with",
        programs: &["redis-benchmark"],
        check: &[],
    },
    Package {
        name: "memcached",
        why: "the Memcached store is tested with real servers",
        programs: &["memcached"],
        check: &[],
    },
    Package {
        name: "zookeeper",
        why: "the ZooKeeper store is tested with real servers, alone and in ensembles; no service is started",
        programs: &["java"],
        check: &["test", "-f", "/usr/share/java/zookeeper.jar"],
    },
    Package {
        name: "default-jdk-headless",
        why: "javac(1) compiles a program that locks with Curator, a stranger that the ZooKeeper store is tested with",
        programs: &["javac"],
        check: &[],
    },
    Package { name: "maven", why: "mvn(1) fetches Curator", programs: &["mvn"], check: &[] },
    Package {
        name: "mount",
        why: "a test fills a disk, a small one of its own",
        programs: &["mount"],
        check: &[],
    },
    Package {
        name: "bsdutils",
        why: "script(1) gives the command line a terminal",
        programs: &["script"],
        check: &[],
    },
    Package {
        name: "procps",
        why: "ps(1) and pgrep(1) look for processes that were left behind",
        programs: &["ps", "pgrep"],
        check: &[],
    },
    Package {
        name: "python3-venv",
        why: "redis-py and pymemcache are strangers that the stores are tested with, in virtual environments",
        programs: &["python3"],
        // Debian's python3 is without it, and then `python3 -m venv` makes environments without pip.
        check: &["python3", "-m", "ensurepip", "--version"],
    },
    Package {
        name: "nodejs",
        why: "npm's redlock is another, and runs in Node.js",
        programs: &["node"],
        check: &[],
    },
    Package {
        name: "etcd-server",
        why: "the etcd store is tested with real members",
        programs: &["etcd"],
        check: &[],
    },
    Package {
        name: "etcd-client",
        why: "etcdctl(1) is a stranger that the etcd store is tested with, and changes what a test needs changed",
        programs: &["etcdctl"],
        check: &[],
    },
    Package {
        name: "golang-go",
        why: "Go's concurrency.Mutex is another, and go(1) builds it",
        programs: &["go"],
        check: &[],
    },
    Package { name: "npm", why: "npm(1) installs it", programs: &["npm"], check: &[] },
];

/// Installs what is missing.
///
/// # Errors
/// What has to be installed by hand, when it cannot be done from here.
pub(crate) fn provide() -> Result<(), String> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !package.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let by_hand = format!("as root: apt-get install {}", names.join(" "));
    if find("apt-get").is_none() {
        let needs: Vec<String> = missing.iter().map(|package| package.need()).collect();
        return Err(format!("the tests need programs that are not here:\n  {}", needs.join("\n  ")));
    }
    let as_root =
        become_root().ok_or_else(|| format!("packages that the tests need are missing; {by_hand}"))?;
    for package in &missing {
        println!("installing {}: {}", package.name, package.why);
    }
    let update = apt_get(&as_root, &["update"]);
    let install = update.and_then(|()| apt_get(&as_root, &[&INSTALL[..], &names[..]].concat()));
    install.map_err(|failure| format!("{failure}; {by_hand}"))?;
    match missing.iter().find(|package| !package.is_there()) {
        Some(package) => Err(format!("{} was installed and is still missing", package.need())),
        None => Ok(()),
    }
}

impl Package {
    fn is_there(&self) -> bool {
        self.programs.iter().all(|program| find(program).is_some()) && works(self.check)
    }

    fn need(&self) -> String {
        format!("{} ({}; Debian's package {})", self.programs.join(", "), self.why, self.name)
    }
}

fn find(program: &str) -> Option<()> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).any(|directory| directory.join(program).is_file()).then_some(())
}

/// Whether a command succeeds; so does no command at all.
fn works(words: &[&str]) -> bool {
    let Some((program, args)) = words.split_first() else { return true };
    let silent = || Stdio::null();
    let mut command = Command::new(program);
    command.args(args).stdin(silent()).stdout(silent()).stderr(silent());
    command.status().is_ok_and(|status| status.success())
}

const INSTALL: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

/// What to put before a command that only root may run; `None` when that cannot be. sudo may ask for a password only
/// where somebody can type it.
fn become_root() -> Option<Vec<&'static str>> {
    let is_root = Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0);
    if is_root {
        return Some(Vec::new());
    }
    find("sudo")?;
    Some(if io::stdin().is_terminal() { vec!["sudo"] } else { vec!["sudo", "--non-interactive"] })
}

/// Its progress is not shown, its errors are.
fn apt_get(as_root: &[&str], args: &[&str]) -> Result<(), String> {
    let apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    let words = [as_root, &apt_get[..], args].concat();
    let status = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed ({status})", words.join(" "))),
        Err(error) => Err(format!("`{}` could not be started ({error})", words.join(" "))),
    }
}
