//! The environment and the files of libpq, where a URL leaves something out. Each case has a control without them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use leasehold_testkit::{peer, postgres::Server};

use crate::context::TestContext;

/// Whether a process of ours can use the store, with these variables and no others of libpq.
fn connects(url: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_clear().env(peer::ROLE, "ours").env(peer::STORE, url).envs(variables.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(told) }
}

/// A file that its owner alone may read.
fn write(path: &Path, text: &str) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().into()
}

pub(crate) async fn the_password_file_is_used_unless_others_can_read_it(context: &TestContext) {
    let (port, home) = (context.server.port(), tempfile::tempdir().unwrap());
    let url = format!("postgres://locks@127.0.0.1:{port}/postgres");
    let line = format!("127.0.0.1:{port}:postgres:locks:pw\n");
    assert!(connects(&url, &[]).is_err(), "the control has no password");
    let own = write(&home.path().join("own"), &line);
    connects(&url, &[("PGPASSFILE", &own)]).unwrap();
    connects(&format!("{url}?passfile={own}"), &[("PGPASSFILE", "/nowhere")]).unwrap();
    let usual = write(&home.path().join(".pgpass"), &format!("*:*:*:nobody:x\n{line}"));
    let home = ("HOME", home.path().to_str().unwrap());
    connects(&url, &[home]).unwrap();
    let wrong = write(Path::new(&own), "*:*:*:locks:wrong\n");
    assert!(connects(&url, &[home, ("PGPASSFILE", &wrong)]).is_err(), "the variable goes first");
    fs::set_permissions(&usual, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = connects(&url, &[home]).unwrap_err();
    assert!(refused.contains(&format!("chmod 600 {usual}")), "{refused}");
}

pub(crate) async fn authorities_and_the_mode_of_tls_are_taken_from_the_environment(_: &TestContext) {
    let (server, home) = (Server::builder().tls().start().unwrap(), tempfile::tempdir().unwrap());
    let authority = server.tls_query();
    let authority = authority.split('&').find_map(|pair| pair.strip_prefix("ca=")).unwrap();
    let mode = ("PGSSLMODE", "verify-full");
    assert!(connects(&server.url(), &[mode]).is_err(), "the control trusts the system's alone");
    connects(&server.url(), &[mode, ("PGSSLROOTCERT", authority)]).unwrap();
    write(&home.path().join(".postgresql/root.crt"), &fs::read_to_string(authority).unwrap());
    let home = ("HOME", home.path().to_str().unwrap());
    connects(&server.url(), &[mode, home]).unwrap();
    assert!(connects(&server.url(), &[mode, home, ("PGSSLROOTCERT", "system")]).is_err());
}

pub(crate) async fn addresses_settings_and_the_name_of_the_program_are_taken_from_the_environment(
    _: &TestContext,
) {
    let server = Server::builder().with("log_connections=on").start().unwrap();
    let (url, port) = ("postgres://locks:pw@/postgres", server.port().to_string());
    let place = [("PGHOST", "db.invalid"), ("PGPORT", port.as_str())];
    assert!(connects(url, &place).is_err(), "the control is not to be looked up");
    let place = [place[0], place[1], ("PGHOSTADDR", "127.0.0.1"), ("PGAPPNAME", "nightly")];
    connects(url, &place).unwrap();
    assert!(server.log().contains("application_name=nightly"), "{}", server.log());
    let settings = ("PGOPTIONS", "-c default_transaction_read_only=on");
    let refused = connects(url, &[&place[..], &[settings]].concat()).unwrap_err();
    assert!(refused.contains("does not allow writes"), "{refused}");
    let refused = connects(url, &[&place[..], &[("PGSERVICE", "app")]].concat()).unwrap_err();
    assert!(refused.contains("PGSERVICE"), "{refused}");
}

pub(crate) async fn the_kind_of_server_is_taken_from_the_environment(context: &TestContext) {
    connects(&context.server.url(), &[]).unwrap();
    let standby = context.server.standby().unwrap();
    let attributes = |value| ("PGTARGETSESSIONATTRS", value);
    let both = format!("postgres://locks:pw@{},{}/postgres", standby.address(), context.server.address());
    connects(&both, &[attributes("read-write")]).unwrap();
    let refused = connects(&standby.url(), &[attributes("read-write")]).unwrap_err();
    assert!(refused.contains("does not allow writes"), "the control: {refused}");
    connects(&standby.url(), &[attributes("any")]).unwrap();
    let refused = connects(&standby.url(), &[attributes("standby")]).unwrap_err();
    assert!(refused.contains("target_session_attrs=read-write"), "{refused}");
}
