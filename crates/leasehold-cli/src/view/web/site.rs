//! [`Site`]: the state that all requests share, and the answers to them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::stream::unfold;
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame},
    header,
};
use leasehold::{Client, ErrorKind, diagnose::Severity, env::Moment, url::StoreUrl};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::{
    access::{Hosts, has_token},
    metrics,
    stream::{CLOSED, Stream, Update},
};
use crate::{
    describe::{snapshot_to_json, to_json},
    view::{
        board::{Board, Scan},
        changes::Kind,
    },
};

/// The path of the streams of events.
pub(crate) const EVENTS: &str = "/api/events";
const RELEASE: &str = "/api/force-release";
/// Between the name of an event and its data, and behind them.
const DATA: &str = "\ndata: ";
const END: &str = "\n\n";
/// The most streams of events at once.
const STREAMS_MAX: usize = 256;
/// How long a diagnosis of the store counts.
const DIAGNOSE_EVERY: Duration = Duration::from_secs(60);
/// The longest body of a request: the name of a lock as JSON.
const BODY_BYTES_MAX: usize = 8192;

/// Everything comes from here: no script, style or picture of another site, and no page of another site around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(crate) struct Settings {
    pub(crate) store: String,
    pub(crate) hosts: Hosts,
    /// The token of force-release; `None` where that is not allowed.
    pub(crate) token: Option<String>,
    pub(crate) groups: Vec<String>,
}

pub(crate) struct Site {
    client: Client,
    url: StoreUrl,
    settings: Settings,
    state: Mutex<State>,
    /// The last update.
    news: watch::Sender<Update>,
    streams: Arc<Semaphore>,
    /// The critical findings of the last diagnosis.
    diagnosis: tokio::sync::Mutex<Option<(Moment, Vec<String>)>>,
}

/// The state of the store as the scans showed it.
#[derive(Default)]
pub(super) struct State {
    pub(super) board: Board,
    /// The error of the last scan.
    pub(super) error: Option<String>,
    pub(super) scans: u64,
    pub(super) failures: u64,
    pub(super) changes: BTreeMap<Kind, u64>,
    /// The number of updates.
    updates: u64,
    /// All locks as an event, for all who ask before the next update.
    all: Option<Bytes>,
}

impl Site {
    pub(crate) fn new(client: &Client, url: &StoreUrl, settings: Settings) -> Arc<Self> {
        Arc::new(Site {
            client: client.clone(),
            url: url.clone(),
            settings,
            state: Mutex::new(State { changes: Kind::ALL.map(|kind| (kind, 0)).into(), ..State::default() }),
            news: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            diagnosis: tokio::sync::Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a scan, and sends its news to all streams.
    pub(crate) fn scanned(&self, scan: leasehold::Result<Scan>) {
        let mut state = self.state();
        let event = match scan {
            Ok(scan) => state.took_over(scan, self.client.env().wall_us()),
            Err(error) => state.failed(&error.to_string()),
        };
        state.updates += 1;
        state.all = None;
        self.news.send_replace(Update { number: state.updates, event });
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        self.news.send_modify(|update| update.number = CLOSED);
    }

    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        local: SocketAddr,
    ) -> Result<Answer, Infallible>
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if !self.settings.hosts.admit(request.headers(), local) {
            return Ok(text(
                StatusCode::MISDIRECTED_REQUEST,
                "this host is not served: see leasehold serve --host\n",
            ));
        }
        let path = request.uri().path().to_string();
        Ok(match (request.method(), path.as_str()) {
            (&Method::POST, RELEASE) => self.force_release(request).await,
            (_, RELEASE) => other_method("POST"),
            // The server leaves out the body of an answer to HEAD.
            (&(Method::GET | Method::HEAD), path) => self.read(path).await,
            _ => other_method("GET, HEAD"),
        })
    }

    async fn read(self: &Arc<Self>, path: &str) -> Answer {
        match path {
            "/" => asset("text/html; charset=utf-8", include_str!("page.html")),
            "/page.css" => asset("text/css; charset=utf-8", include_str!("page.css")),
            "/page.js" => asset("text/javascript; charset=utf-8", include_str!("page.js")),
            "/metrics" => {
                let streams = STREAMS_MAX - self.streams.available_permits();
                let page = metrics::page(&self.state(), &self.settings.groups, streams);
                respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
            }
            "/healthz" => self.health().await,
            "/api/locks" => respond(StatusCode::OK, "application/json", data(&self.all().1)),
            EVENTS => self.events(),
            _ => text(StatusCode::NOT_FOUND, "there is no such page\n"),
        }
    }

    /// All locks as an event, and the number of the last update in it.
    fn all(&self) -> (u64, Bytes) {
        let mut state = self.state();
        let all = match &state.all {
            Some(all) => all.clone(),
            None => event("all", &self.describe(&state)),
        };
        state.all = Some(all.clone());
        (state.updates, all)
    }

    fn describe(&self, state: &State) -> Value {
        let mut all = state.board.to_json(&state.board.locks.iter().collect::<Vec<_>>());
        all["store"] = json!(self.settings.store);
        all["summary"] = json!(state.board.summary());
        all["may_release"] = json!(self.settings.token.is_some());
        all["error"] = json!(state.error);
        all["scan"] = json!(state.scans);
        all
    }

    /// Whether the store answers, and is set up as locks need it.
    async fn health(&self) -> Answer {
        let error = self.state().error.clone();
        let critical = self.critical().await;
        let is_well = error.is_none() && critical.is_empty();
        let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_answer(status, &json!({ "ok": is_well, "error": error, "critical": critical }))
    }

    async fn critical(&self) -> Vec<String> {
        let (env, mut known) = (self.client.env(), self.diagnosis.lock().await);
        if let Some((at, found)) = known.as_ref().filter(|(at, _)| env.now().since(*at) < DIAGNOSE_EVERY) {
            let _ = at;
            return found.clone();
        }
        let found = match leasehold::diagnose::diagnose(&self.url).await {
            Ok(findings) => {
                let critical = findings.into_iter().filter(|finding| finding.severity == Severity::Critical);
                critical.map(|finding| format!("{}: {}", finding.node, finding.what)).collect()
            }
            // A store that does not answer is asked again.
            Err(error) => return vec![error.to_string()],
        };
        known.insert((env.now(), found)).1.clone()
    }

    /// All locks, and then what each scan found new.
    fn stream(self: &Arc<Self>) -> Stream<impl Fn() -> (u64, Bytes) + use<>> {
        let site = self.clone();
        Stream::new(move || site.all(), self.news.subscribe(), self.client.env())
    }

    fn events(self: &Arc<Self>) -> Answer {
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "there are too many streams of events\n");
        };
        let frames = unfold((self.stream(), permit), |(mut stream, permit)| async move {
            let event = stream.next().await?;
            Some((Ok(Frame::data(event)), (stream, permit)))
        });
        let mut answer = respond(StatusCode::OK, "text/event-stream", "");
        *answer.body_mut() = StreamBody::new(frames).boxed_unsync();
        answer
    }

    async fn force_release<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let Some(token) = &self.settings.token else {
            return text(
                StatusCode::FORBIDDEN,
                "nothing is released here: see leasehold serve --allow-force-release\n",
            );
        };
        if !has_token(request.headers(), token) {
            return text(StatusCode::UNAUTHORIZED, "the token is missing or wrong\n");
        }
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let name = serde_json::from_slice::<Value>(&body).ok();
        let Some(name) = name.as_ref().and_then(|body| body["lock"].as_str()) else {
            return text(StatusCode::BAD_REQUEST, "the body is not {\"lock\": NAME}\n");
        };
        match self.client.force_release(name).await {
            Ok(evicted) => {
                tracing::warn!(lock = name, evicted = evicted.len(), "released by force through the page");
                json_answer(
                    StatusCode::OK,
                    &json!({ "lock": name, "evicted": evicted.iter().map(to_json).collect::<Vec<_>>() }),
                )
            }
            Err(error) if error.kind() == ErrorKind::Invalid => {
                text(StatusCode::BAD_REQUEST, &format!("{error}\n"))
            }
            Err(error) => text(StatusCode::BAD_GATEWAY, &format!("{error}\n")),
        }
    }
}

impl State {
    /// The news of a scan as an event.
    fn took_over(&mut self, scan: Scan, at_us: u64) -> Bytes {
        let news = self.board.update(scan);
        self.scans += 1;
        self.error = None;
        for (_, change) in &news.changes {
            *self.changes.entry(change.kind).or_default() += 1;
        }
        let changes = news.changes.iter().map(|(name, change)| {
            let mut fields = change.to_json(name.as_str(), at_us);
            fields["event"] = json!(change.kind.word());
            fields
        });
        let fresh = news.fresh.iter().map(|at| snapshot_to_json(&self.board.locks[*at]));
        let difference = json!({
            "scan": self.scans,
            "locks": fresh.collect::<Vec<Value>>(),
            "gone": news.gone,
            "changes": changes.collect::<Vec<Value>>(),
            "summary": self.board.summary(),
        });
        event("changes", &difference)
    }

    fn failed(&mut self, message: &str) -> Bytes {
        self.failures += 1;
        self.error = Some(message.to_string());
        event("away", &json!({ "message": message }))
    }
}

fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}{DATA}{data}{END}").into()
}

/// The data of an event, in the same memory.
fn data(event: &Bytes) -> Bytes {
    let begin = event.windows(DATA.len()).position(|part| part == DATA.as_bytes()).unwrap_or_default();
    event.slice(begin + DATA.len()..event.len() - END.len())
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    answer
}

fn other_method(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "another method\n");
    answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    answer
}

fn asset(kind: &'static str, text: &'static str) -> Answer {
    respond(StatusCode::OK, kind, text)
}

fn text(status: StatusCode, message: &str) -> Answer {
    respond(status, "text/plain; charset=utf-8", message.to_string())
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    respond(status, "application/json", value.to_string())
}

#[cfg(test)]
#[path = "tests/site.rs"]
mod tests;
