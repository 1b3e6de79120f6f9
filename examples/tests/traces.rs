//! The example sends its spans to a collector.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A collector that passes spans on.
struct Collector(UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).for_each(|span| drop(self.0.send(span)));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The attribute of a span, as text.
fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn spans_of_a_call_a_hold_and_a_renewal_are_exported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut spans) = unbounded_channel();
    let service = Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    let collecting = service.serve_with_incoming(TcpIncoming::from(listener));
    let mut example = Command::new(env!("CARGO_BIN_EXE_traces"));
    example.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let mut example = example.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut work = example.stdin.take();
    let mut seen = BTreeMap::new();
    let observing = async {
        while !["lock.acquire", "lock.hold", "lock.renew", "invoices"]
            .iter()
            .all(|name| seen.contains_key(*name))
        {
            let span = spans.recv().await.unwrap();
            // The work ends after the first renewal.
            work.take_if(|_| span.name == "lock.renew");
            seen.insert(span.name.clone(), span);
        }
    };
    tokio::select! {
        ended = collecting => panic!("{ended:?}"),
        () = observing => {}
    }
    assert!(example.wait().unwrap().success());
    let of = |name: &str, key: &str| attribute(&seen[name], key);
    assert_eq!(of("lock.acquire", "lock.name"), "invoices");
    assert_eq!(of("lock.acquire", "lock.mode"), "exclusive");
    assert_eq!(of("lock.acquire", "lock.outcome"), "acquired");
    assert_eq!([of("lock.hold", "lock.name"), of("lock.hold", "lock.end")], ["invoices", "released"]);
    assert!(of("lock.hold", "lock.token").parse::<u64>().unwrap() > 0);
    assert_eq!(of("lock.renew", "holds"), "1");
    assert!(seen.values().all(|span| span.name == "invoices" || attribute(span, "lock.backend") == "memory"));
    for name in ["lock.acquire", "lock.hold"] {
        assert_eq!(seen[name].parent_span_id, seen["invoices"].span_id, "{name} is a part of the work");
    }
    let lasted = |name: &str| seen[name].start_time_unix_nano..=seen[name].end_time_unix_nano;
    assert!(
        lasted("lock.hold").contains(&seen["lock.renew"].start_time_unix_nano),
        "renewed while it was held"
    );
    assert!(seen["lock.acquire"].end_time_unix_nano <= seen["lock.hold"].end_time_unix_nano);
}
