//! `leasehold man`: the manual page, all subcommands in one.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap_mangen::Man;
use serde_json::json;

use crate::{args::Arguments, exit, message::Output};

/// Prints the page.
pub(crate) fn run(output: Output) -> Result<ExitCode> {
    let mut page = Vec::new();
    let mut command = Arguments::command();
    command.build();
    Man::new(command.clone()).render(&mut page)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = Man::new(subcommand.clone());
        page.extend_from_slice(
            format!(".SH \"LEASEHOLD {}\"\n", subcommand.get_name().to_uppercase()).as_bytes(),
        );
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    let page = String::from_utf8(page)?;
    output.data(|| json!({ "page": page }), || page.clone());
    Ok(exit::success())
}
