//! What the door counts, as Prometheus text.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

/// Upper bounds of the histogram of answer times, seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];

/// The class of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Class {
    /// 1xx to 3xx.
    Ok,
    /// 4xx.
    Caller,
    /// 503 and 429: later.
    Later,
    /// Other 5xx.
    Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: Class,
}

/// What the door counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<ByClass, Counter>,
    seconds: Histogram,
    calls: Family<ByClass, Counter>,
    call_seconds: Histogram,
    pub(crate) connections: Gauge,
    pub(crate) pushed_out: Counter,
    pub(crate) refused: Counter,
    bodies_bytes: Gauge<u64, AtomicU64>,
    height: Gauge<u64, AtomicU64>,
    log_size: Gauge<u64, AtomicU64>,
    mempool_statements: Gauge<u64, AtomicU64>,
    mempool_bytes: Gauge<u64, AtomicU64>,
    ready: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) subscription_items: Counter,
    pub(crate) subscriptions_lagging: Counter,
    pub(crate) subscription_lag: Histogram,
    pub(crate) webhook_deliveries: Counter,
    pub(crate) webhook_failures: Counter,
    pub(crate) webhook_dead_letters: Counter,
}

/// What is read off the node when somebody asks.
pub(crate) struct Reading {
    pub(crate) height: u64,
    pub(crate) log_size: u64,
    pub(crate) bodies_bytes: u64,
    pub(crate) mempool_statements: u64,
    pub(crate) mempool_bytes: u64,
    pub(crate) ready: bool,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("einvoice_api");
        let requests = Family::<ByClass, Counter>::default();
        let seconds = Histogram::new(SECONDS);
        let (calls, call_seconds) = (Family::<ByClass, Counter>::default(), Histogram::new(SECONDS));
        let (connections, ready) = (Gauge::default(), Gauge::default());
        let (pushed_out, refused) = (Counter::default(), Counter::default());
        let (bodies_bytes, height, log_size) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (mempool_statements, mempool_bytes) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests answered", requests.clone());
        registry.register("request_seconds", "Time until an answer began", seconds.clone());
        registry.register("grpc_calls", "Calls over gRPC answered", calls.clone());
        registry.register("grpc_call_seconds", "Time until the answer of a call over gRPC began", call_seconds.clone());
        registry.register("connections", "Connections open", connections.clone());
        let help = "Connections closed for others while they waited for their peers";
        registry.register("connections_pushed_out", help, pushed_out.clone());
        registry.register(
            "connections_refused",
            "Connections closed at once: their address has enough",
            refused.clone(),
        );
        registry.register("bodies_bytes", "Bytes of bodies under way that count", bodies_bytes.clone());
        registry.register("height", "Height committed last", height.clone());
        registry.register("log_leaves", "Size of the log", log_size.clone());
        registry.register("mempool_statements", "Statements that wait", mempool_statements.clone());
        registry.register("mempool_bytes", "Bytes of statements that wait", mempool_bytes.clone());
        registry.register("ready", "Whether the node is ready for work", ready.clone());
        let (subscriptions, subscription_lag) = (Gauge::default(), Histogram::new(SECONDS));
        let (subscription_items, subscriptions_lagging) = (Counter::default(), Counter::default());
        registry.register("subscriptions", "Subscriptions to events open", subscriptions.clone());
        registry.register("subscription_items", "Events given to subscriptions", subscription_items.clone());
        let help = "Subscriptions ended because they lay too far behind";
        registry.register("subscriptions_lagging", help, subscriptions_lagging.clone());
        let help = "Time from when a committed event was known to follow until a subscription took it";
        registry.register("subscription_lag_seconds", help, subscription_lag.clone());
        let (webhook_deliveries, webhook_failures) = (Counter::default(), Counter::default());
        let webhook_dead_letters = Counter::default();
        registry.register("webhook_deliveries", "Deliveries that receivers took", webhook_deliveries.clone());
        registry.register("webhook_failures", "Tries to deliver that failed", webhook_failures.clone());
        registry.register("webhook_dead_letters", "Deliveries given up", webhook_dead_letters.clone());
        Self {
            registry,
            requests,
            seconds,
            calls,
            call_seconds,
            connections,
            pushed_out,
            refused,
            bodies_bytes,
            height,
            log_size,
            mempool_statements,
            mempool_bytes,
            ready,
            subscriptions,
            subscription_items,
            subscriptions_lagging,
            subscription_lag,
            webhook_deliveries,
            webhook_failures,
            webhook_dead_letters,
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: u16, elapsed: std::time::Duration) {
        let class = match status {
            429 | 503 => Class::Later,
            ..=399 => Class::Ok,
            400..=499 => Class::Caller,
            _ => Class::Fault,
        };
        self.requests.get_or_create(&ByClass { class }).inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }

    /// Counts an answer over gRPC.
    pub(crate) fn answered_call(&self, code: Code, elapsed: std::time::Duration) {
        let class = match code {
            Code::Ok => Class::Ok,
            Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Class::Later,
            Code::Internal | Code::Unknown | Code::DataLoss => Class::Fault,
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Class::Caller,
        };
        self.calls.get_or_create(&ByClass { class }).inc();
        self.call_seconds.observe(elapsed.as_secs_f64());
    }

    /// The text of all metrics.
    pub(crate) fn text(&self, reading: &Reading) -> String {
        self.height.set(reading.height);
        self.log_size.set(reading.log_size);
        self.bodies_bytes.set(reading.bodies_bytes);
        self.mempool_statements.set(reading.mempool_statements);
        self.mempool_bytes.set(reading.mempool_bytes);
        self.ready.set(i64::from(reading.ready));
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_metrics_do_not_move() {
        let metrics = Metrics::new();
        metrics.answered(200, std::time::Duration::from_millis(3));
        metrics.answered_call(Code::Ok, std::time::Duration::from_millis(3));
        let reading =
            Reading { height: 7, log_size: 9, bodies_bytes: 4, mempool_statements: 1, mempool_bytes: 2, ready: true };
        let text = metrics.text(&reading);
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            names,
            [
                "einvoice_api_requests counter",
                "einvoice_api_request_seconds histogram",
                "einvoice_api_grpc_calls counter",
                "einvoice_api_grpc_call_seconds histogram",
                "einvoice_api_connections gauge",
                "einvoice_api_connections_pushed_out counter",
                "einvoice_api_connections_refused counter",
                "einvoice_api_bodies_bytes gauge",
                "einvoice_api_height gauge",
                "einvoice_api_log_leaves gauge",
                "einvoice_api_mempool_statements gauge",
                "einvoice_api_mempool_bytes gauge",
                "einvoice_api_ready gauge",
                "einvoice_api_subscriptions gauge",
                "einvoice_api_subscription_items counter",
                "einvoice_api_subscriptions_lagging counter",
                "einvoice_api_subscription_lag_seconds histogram",
                "einvoice_api_webhook_deliveries counter",
                "einvoice_api_webhook_failures counter",
                "einvoice_api_webhook_dead_letters counter",
            ]
        );
        assert!(text.contains("einvoice_api_requests_total{class=\"Ok\"} 1"), "{text}");
    }
}
