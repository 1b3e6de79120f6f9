//! `leasehold man`: the manual page with all subcommands.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use clap_mangen::Man;
use serde_json::json;

use crate::output::Output;

pub(crate) fn run(mut cli: Command, output: Output) -> Result<ExitCode> {
    let mut page = Vec::new();
    cli.build();
    Man::new(cli.clone()).render(&mut page)?;
    for subcommand in cli.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = Man::new(subcommand.clone());
        let heading = format!(".SH \"LEASEHOLD {}\"\n", subcommand.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    let page = String::from_utf8(page)?;
    output.data(|| json!({ "page": page }), || page.clone())?;
    Ok(ExitCode::SUCCESS)
}
