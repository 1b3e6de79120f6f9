//! What this program is when it is started as a peer: a Leasehold of its own process, without renewal.

use std::{
    collections::HashMap,
    io::{BufRead, Write},
    process::ExitCode,
    time::Duration,
};

use leasehold_core::{Claim, ClaimId, Env, LockName, Release, Standing, Store};
use leasehold_testkit::peer::STORE;

use crate::case;

/// Serves until the input ends.
pub(crate) fn play(mode: &str, env: Env) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let url = std::env::var(STORE).expect("who starts a peer says where the store is");
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port");
    runtime.expect("this machine can start a thread").block_on(serve(mode, port, env));
    ExitCode::SUCCESS
}

async fn serve(mode: &str, port: u16, env: Env) {
    let (store, mut claims) = (case::store(port, &env), HashMap::<String, Claim>::new());
    say("ready leasehold");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["lock", name, ttl_ms] => {
                let ttl = Duration::from_millis(ttl_ms.parse().expect("the cases send numbers"));
                let claim = Claim::new(LockName::new(name).expect("a name"), ClaimId::mint(&env), ttl);
                let claim = Claim { mode: case::mode(mode), ..claim };
                let granted = matches!(store.claim(&claim).await, Ok(Standing::Granted(_)));
                claims.insert(name.into(), claim);
                if granted { "granted" } else { "busy" }
            }
            ["unlock", name] => match store.release(&claims[name]).await {
                Ok(Release::Released) => "released",
                _ => "gone",
            },
            _ => return,
        };
        say(answer);
    }
}

/// Answers the other side. When that has gone, so does this process, at the end of its input.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}
