//! `leasehold man`: the manual page with all subcommands.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use clap_mangen::Man;
use serde_json::json;

use crate::output::Output;

/// The sections that no option describes.
const FILES: &str = r#".SH FILES
.TP
~/.config/leasehold/leasehold.toml, /etc/leasehold/leasehold.toml
Named stores and defaults of options. Each store and each default is that of the first file that has it:
.IP
.nf
store = "prod"                  # where neither --store nor LEASEHOLD_STORE names one

[defaults]
ttl = "30s"
wait = "10m"                    # or "forever"
grace = "5s"

[stores.prod]                   # --store prod
url = "redis://app@db.example"
password_file = "password"      # beside this file; read again for each connection

[stores.test]
url_file = "/run/secrets/url"   # its first line is the URL, with its password
.fi
.SH ENVIRONMENT
.TP
LEASEHOLD_STORE
The store, a URL or a name, without \-\-store.
.TP
LEASEHOLD_CONFIG
The one file to read instead of those above; empty for none.
.TP
LEASEHOLD_LOG, LEASEHOLD_LOG_FORMAT
What is logged on stderr, such as warn or leasehold=debug, and text or json.
.PP
The command has LEASEHOLD_NAME, LEASEHOLD_FENCING_TOKEN, LEASEHOLD_SEQUENCER, LEASEHOLD_STORE (without passwords), LEASEHOLD_TTL_MS and LEASEHOLD_RUN_ID.
"#;

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
    page.extend_from_slice(FILES.as_bytes());
    let page = String::from_utf8(page)?;
    output.data(|| json!({ "page": page }), || page.clone())?;
    Ok(ExitCode::SUCCESS)
}
