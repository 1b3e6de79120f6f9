//! [`Script`]: a Lua script of `scripts/`; [`Request`]: the commands of one verb.

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

    /// `SCRIPT LOAD`. Scripts sent by EVAL may be evicted, loaded ones are not.
    pub(crate) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(&self.text);
        load
    }

    /// `EVALSHA` with its keys; arguments are to follow.
    pub(crate) fn call<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Cmd {
        let keys: Vec<&str> = keys.into_iter().collect();
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }
}

/// The commands of one verb on one lock, sent in one piece.
pub(crate) struct Request<'a> {
    /// The script that the first command calls. A server that does not have it gets it, and the request again.
    pub(crate) script: Option<&'a Script>,
    pub(crate) commands: Vec<Cmd>,
}

impl<'a> Request<'a> {
    /// A call of a script alone.
    pub(crate) fn call(script: &'a Script, call: Cmd) -> Request<'a> {
        Request { script: Some(script), commands: vec![call] }
    }

    /// Commands without a script.
    pub(crate) fn commands(commands: Vec<Cmd>) -> Request<'static> {
        Request { script: None, commands }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelude_is_in_those_that_include_it_once_and_nowhere_else() {
        let with = [
            include_str!("../scripts/native/claim.lua"),
            include_str!("../scripts/native/release.lua"),
            include_str!("../scripts/native/renew_entry.lua"),
            include_str!("../scripts/native/inspect.lua"),
            include_str!("../scripts/native/force_release.lua"),
        ];
        for text in with {
            let script = Script::new(text);
            assert_eq!(script.text.matches("local KEEP_MS").count(), 1);
            assert!(!script.text.contains(INCLUDE));
        }
        assert!(!Script::new(include_str!("../scripts/shared/renew.lua")).text.contains("KEEP_MS"));
    }
}
