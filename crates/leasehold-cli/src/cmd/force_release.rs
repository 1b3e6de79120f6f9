//! `leasehold force-release`: throws out whoever holds a lock.

use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
};

use anyhow::{Context, Result};
use leasehold::{Client, Contender, LockName};
use serde_json::{Value, json};

use crate::{
    args::ForceReleaseArguments,
    duration::show,
    duty::leave,
    exit::{self, Refusal},
    holder::{held_by, to_json, who},
    message::{Output, write_stderr},
    store::Location,
};

/// Asks, throws out, and says whom.
pub(crate) async fn run(arguments: ForceReleaseArguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let may_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !output.json;
    if !arguments.yes && !may_ask {
        let message = format!("`{name}` is not released by force without being asked for twice");
        return Err(Refusal::usage(message, "there is no terminal to ask at: add --yes"));
    }
    let location = Location::find(arguments.common.store.as_deref())?;
    let client = location.connect(|terms| terms).await?;
    let evicted = force(&client, &name, !arguments.yes).await;
    leave(&client).await;
    let Some(evicted) = evicted? else {
        output.say("nothing was released");
        return Ok(exit::SOFTWARE.into());
    };
    output.data(
        || json!({ "lock": name.as_str(), "evicted": evicted.iter().map(to_json).collect::<Vec<Value>>() }),
        String::new,
    );
    tell(&name, &evicted, output);
    Ok(exit::success())
}

/// `None` when the question was answered otherwise.
async fn force(client: &Client, name: &LockName, asks: bool) -> Result<Option<Vec<Contender>>> {
    if asks {
        let holders = client.inspect(name).await?.holders;
        if !confirmed(name, &holders)? {
            return Ok(None);
        }
    }
    Ok(Some(client.force_release(name).await?))
}

fn confirmed(name: &LockName, holders: &[Contender]) -> Result<bool> {
    let mut text = holders.iter().fold(String::new(), |text, holder| {
        format!("{text}`{name}` is {}\n", held_by(holder, std::time::Duration::ZERO))
    });
    if holders.is_empty() {
        text = format!("`{name}` is held by nobody\n");
    }
    write_stderr(&format!(
        "{text}Whoever is thrown out may not notice at once. Type the name of the lock to go on: "
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    let answer = answer.trim_end_matches('\n');
    // Of a name that cannot be typed, what was shown can.
    Ok(answer == name.as_str() || answer == name.to_string())
}

fn tell(name: &LockName, evicted: &[Contender], output: Output) {
    if evicted.is_empty() {
        output.say(format!("nobody held `{name}`; its fencing counter was raised all the same"));
    }
    for contender in evicted {
        let age = contender.age.map(|age| format!(", who held it for {}", show(age))).unwrap_or_default();
        let token = contender.fence.map(|token| format!(" (fencing token {token})")).unwrap_or_default();
        output.say(format!("threw {} out of `{name}`{age}{token}", who(contender)));
    }
}
