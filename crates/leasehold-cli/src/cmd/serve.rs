//! `leasehold serve`: metrics, health, data and a page about the locks of a store, by HTTP.

use std::{
    io,
    net::SocketAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use leasehold::{Client, ErrorKind, env::Env};
use rustix::net::sockopt::set_socket_send_buffer_size;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

use super::common::{RangeArgs, StoreArgs};
use crate::{
    exit::CliError,
    lock::WaitLimit,
    output::Output,
    platform::platform,
    store_location::disconnect,
    supervise::signals::Signals,
    view::{
        scanner::scans,
        web::{
            access::Hosts,
            site::{EVENTS, Settings, Site},
        },
    },
};

/// A lock is found by a scan that begins within this time of its grant, and that takes at most a tenth more: within a second.
const EVERY: &str = "750ms";
/// The variable of the token.
const TOKEN: &str = "LEASEHOLD_SERVE_TOKEN";
/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// The most connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// The time for a request and its answer, but for a stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The time for requests under way at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The memory of a connection whose reader is slow: here, and again in the kernel.
const BUFFER_BYTES: usize = 64 * 1024;
/// A reader that takes nothing for so long is disconnected.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause after a connection could not be accepted, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serve metrics and a live page about the locks of a store, by HTTP.
///
/// / is the page, /metrics are for Prometheus, /healthz answers 200 while the store answers and `doctor` finds nothing critical,
/// /api/locks are the locks as JSON, /api/events their changes as server-sent events. There is no login: whoever reaches the
/// address sees names and notes of locks. It answers only for the address itself, for localhost, and for the names
/// of --host. The store is scanned so often that a lock is on the page within a second of its grant (--every), and for at most
/// a tenth of the time, however many look on.
///
/// With --allow-force-release, POST /api/force-release with {"lock": NAME} and `Authorization: Bearer TOKEN` releases a
/// lock. The token is the first line of --token-file, or LEASEHOLD_SERVE_TOKEN.
#[derive(Args, Debug)]
#[command(mut_arg("every", |every| every.default_value(EVERY)))]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreArgs,
    /// Address to listen at.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9117")]
    listen: SocketAddr,
    /// Answer also for this name, such as that of a reverse proxy. May be repeated.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Count locks whose names begin with PREFIX by themselves in the metrics. May be repeated.
    #[arg(long = "group", value_name = "PREFIX")]
    groups: Vec<String>,
    /// Allow releases by force, with the token.
    #[arg(long)]
    allow_force_release: bool,
    /// File with the token.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, requires = "allow_force_release")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    range: RangeArgs,
}

/// Serves until a signal.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<ExitCode> {
    let token = match arguments.allow_force_release {
        true => Some(token(arguments.token_file.as_deref())?),
        false => None,
    };
    let location = arguments.store.location(output)?;
    let mut signals = Signals::new()?;
    let listening = TcpListener::bind(arguments.listen).await;
    let listener = listening.with_context(|| format!("cannot listen at {}", arguments.listen))?;
    let connecting = location.connect_within(WaitLimit::Forever, output, |options| options);
    let (client, _) = signals.unless_ended(connecting).await??;
    // A store that never can is refused at once; one that is away is shown as such.
    if let Err(error) = signals.unless_ended(client.list("", 1)).await?
        && error.kind() == ErrorKind::Unsupported
    {
        let refused = Err(error.into());
        disconnect(&client, &refused).await;
        return refused;
    }
    let (hosts, groups) = (Hosts(arguments.hosts), arguments.groups);
    let settings = Settings { store: location.shown(), hosts, token, groups };
    let site = Site::new(&client, location.url(), settings);
    let address = listener.local_addr()?;
    output.event("listening", json!({ "address": address.to_string(), "store": location.shown() }));
    output.say(format!("http://{address}/ shows the locks of {}", location.shown()));
    let mut scans = scans(&client, arguments.range.range());
    let scanning = async {
        while let Some(scan) = scans.recv().await {
            site.scanned(scan);
        }
    };
    let mut connections = JoinSet::new();
    tokio::select! {
        biased;
        _ = signals.ending() => {}
        () = scanning => {}
        () = accept(&listener, &site, &client, &mut connections) => {}
    }
    drop(listener);
    site.close();
    let _ =
        client.env().within(CLOSE_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    drop(connections);
    let result = Ok(ExitCode::SUCCESS);
    disconnect(&client, &result).await;
    result
}

fn token(file: Option<&Path>) -> Result<String> {
    let text = match file {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => std::env::var(TOKEN).unwrap_or_default(),
    };
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < TOKEN_BYTES_MIN {
        let message = format!("--allow-force-release needs a token of at least {TOKEN_BYTES_MIN} bytes");
        return Err(CliError::usage(message, format!("write one to --token-file PATH, or set {TOKEN}")));
    }
    Ok(token.to_string())
}

/// Accepts connections for ever.
async fn accept(listener: &TcpListener, site: &Arc<Site>, client: &Client, connections: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, site.clone(), client.env().clone()))),
                Err(_) => client.env().sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Bounds the data that waits in the kernel for a slow reader, and its time.
fn bound(stream: &TcpStream) -> io::Result<()> {
    set_socket_send_buffer_size(stream, BUFFER_BYTES)?;
    platform().limit_unread(stream.as_fd(), READ_TIMEOUT)
}

/// One connection, one request: a connection that sends none, or does not read the answer, is closed.
async fn serve(stream: TcpStream, site: Arc<Site>, env: Env) {
    let (Ok(local), Ok(())) = (stream.local_addr(), bound(&stream)) else { return };
    let is_stream = Notify::new();
    let service = service_fn(|request: Request<Incoming>| {
        if request.uri().path() == EVENTS {
            is_stream.notify_one();
        }
        site.clone().answer(request, local)
    });
    let mut http = http1::Builder::new();
    let connection =
        http.keep_alive(false).max_buf_size(BUFFER_BYTES).serve_connection(TokioIo::new(stream), service);
    let late = async {
        if env.within(REQUEST_TIMEOUT, is_stream.notified()).await.is_some() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = connection => {}
        () = late => {}
    }
}

#[cfg(test)]
#[path = "tests/serve.rs"]
mod tests;
