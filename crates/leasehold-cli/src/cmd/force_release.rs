//! `leasehold force-release`: releases a lock that another client holds.

use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use leasehold::{
    Client, LockName,
    store::{Contender, Fencing},
};
use serde_json::{Value, json};

use super::common::StoreArgs;
use crate::{
    describe::{held_by, summary, to_json},
    duration::show,
    exit::{self, CliError},
    output::{Output, write_stderr},
};

/// Release a lock by force, without its holder.
///
/// Raises the fencing counter of the lock, so that resources that check tokens refuse late writes of the evicted holder. A
/// command under `leasehold run` is stopped when its next renewal is refused.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Name of the lock.
    name: String,
}

/// Asks for confirmation, releases the lock and prints the evicted holders.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let name = LockName::new(&arguments.name)?;
    let may_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !output.json;
    if !arguments.yes && !may_ask {
        let message = format!("releasing `{name}` by force needs a confirmation");
        return Err(CliError::usage(message, "there is no terminal to ask at: add --yes"));
    }
    let location = arguments.store.location(output)?;
    let (evicted, fencing) = location
        .ask(async |client| Ok((force(client, &name, !arguments.yes).await?, client.capability().fencing)))
        .await?;
    let Some(evicted) = evicted else {
        output.say("nothing was released");
        return Ok(exit::SOFTWARE.into());
    };
    output.data(
        || json!({ "lock": name.as_str(), "evicted": evicted.iter().map(to_json).collect::<Vec<Value>>() }),
        String::new,
    )?;
    let has_tokens = fencing != Fencing::None;
    report(&name, &evicted, has_tokens, output);
    Ok(ExitCode::SUCCESS)
}

/// `None` if the user did not confirm.
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
        format!("{text}`{name}` is {}\n", held_by(holder, Duration::ZERO))
    });
    if holders.is_empty() {
        text = format!("`{name}` is not held\n");
    }
    write_stderr(&format!(
        "{text}An evicted holder may not notice at once. Type the name of the lock to continue: "
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    let answer = answer.trim_end_matches('\n');
    // The escaped name counts too: a name with control characters cannot be typed.
    let escaped = name.to_string();
    Ok(answer == name.as_str() || answer == escaped)
}

fn report(name: &LockName, evicted: &[Contender], has_tokens: bool, output: Output) {
    if evicted.is_empty() {
        let raised = if has_tokens { "; its fencing counter was raised" } else { "" };
        output.say(format!("`{name}` was not held{raised}"));
    }
    for contender in evicted {
        let age = contender.age.map(|age| format!(", after {}", show(age))).unwrap_or_default();
        let token = contender.fence.map(|token| format!(" (fencing token {token})")).unwrap_or_default();
        output.say(format!("evicted {} from `{name}`{age}{token}", summary(contender)));
    }
}
