//! The Lua scripts, as the server knows them.

use redis::{Cmd, cmd};

const INCLUDE: &str = "-- include prelude.lua\n";
const PRELUDE: &str = include_str!("../scripts/native/prelude.lua");

/// A script and its SHA-1.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    pub(crate) fn new(text: &str) -> Script {
        let text = text.replacen(INCLUDE, PRELUDE, 1);
        let hash = redis::Script::new(&text).get_hash().to_string();
        Script { text, hash }
    }

    /// `SCRIPT LOAD`: scripts that came by EVAL may be evicted, loaded ones are not.
    pub(crate) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(&self.text);
        load
    }

    /// `EVALSHA` with its keys; arguments are to follow.
    pub(crate) fn call<'a>(&self, keys: impl ExactSizeIterator<Item = &'a str>) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len());
        for key in keys {
            call.arg(key);
        }
        call
    }
}

/// All scripts.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) claim: Script,
    pub(crate) release: Script,
    pub(crate) renew: Script,
    pub(crate) renew_entry: Script,
    pub(crate) inspect: Script,
    pub(crate) force_release: Script,
    pub(crate) observe: Script,
    pub(crate) plain_release: Script,
}

impl Scripts {
    pub(crate) fn new() -> Scripts {
        Scripts {
            claim: Script::new(include_str!("../scripts/native/claim.lua")),
            release: Script::new(include_str!("../scripts/native/release.lua")),
            renew: Script::new(include_str!("../scripts/shared/renew.lua")),
            renew_entry: Script::new(include_str!("../scripts/native/renew_entry.lua")),
            inspect: Script::new(include_str!("../scripts/native/inspect.lua")),
            force_release: Script::new(include_str!("../scripts/native/force_release.lua")),
            observe: Script::new(include_str!("../scripts/native/observe.lua")),
            plain_release: Script::new(include_str!("../scripts/plain/release.lua")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelude_is_in_those_that_include_it_once_and_nowhere_else() {
        let scripts = Scripts::new();
        for script in
            [&scripts.claim, &scripts.release, &scripts.renew_entry, &scripts.inspect, &scripts.force_release]
        {
            assert_eq!(script.text.matches("local KEEP_MS").count(), 1);
            assert!(!script.text.contains(INCLUDE));
        }
        assert!(!scripts.renew.text.contains("KEEP_MS"));
    }
}
