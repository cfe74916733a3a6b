//! The limits of the door. Every one has a name and a unit; `GET /v1/limits` shows them.

use ipnet::IpNet;

/// The limits of the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Rows of a page.
    pub page_rows_max: usize,
    /// How long an answer waits for finality before it becomes a 202.
    pub finality_wait_ms: u64,
    /// Public checks an address may make in a minute.
    pub verifications_a_minute: u32,
    /// Wrong public checks of one invoice in a day (UTC+8).
    pub mismatches_an_invoice_and_day: u8,
    /// Wrong public checks by one organisation in a day (UTC+8), where it logs in for them.
    pub mismatches_an_organisation_and_day: u32,
    /// Connections open at once.
    pub connections_max: usize,
    /// Connections of one address (IPv6: of one /64) open at once. A load balancer in front has one address: give it all.
    pub connections_an_address_max: usize,
    /// Bytes of all bodies together, from when they come in until they are dealt with. The first 16 KiB of each are free.
    pub bodies_bytes_max: usize,
    /// The same of one address (IPv6: of one /64). A load balancer in front has one address: give it all.
    pub bodies_bytes_an_address_max: usize,
    /// Bytes of a body that must come in a second, in the mean of each window.
    pub body_bytes_a_second_min: u64,
    /// How long such a window is.
    pub body_pace_window_ms: u64,
    /// Bytes of an answer that a client must take in a second, in the mean of `write_stall_timeout_ms`, while it is
    /// waited for.
    pub answer_bytes_a_second_min: u64,
    /// How long the head of a request may take, and how long a connection may idle.
    pub header_read_timeout_ms: u64,
    /// How long the body of a request may take.
    pub body_read_timeout_ms: u64,
    /// How long a request may take until its answer begins.
    pub request_timeout_ms: u64,
    /// How long a client may take nothing of an answer that waits for it.
    pub write_stall_timeout_ms: u64,
    /// How long a TLS handshake may take.
    pub handshake_timeout_ms: u64,
    /// How long requests under way may go on after the node is told to stop.
    pub drain_ms: u64,
    /// Reads of the store under way at once.
    pub reads_max: usize,
    /// Dry runs (`:prepare` and `:validate`) under way at once: they need no login and much work. One address may have
    /// half of them.
    pub dry_runs_at_once_max: usize,
    /// Subscriptions to the events of the ledger at once. Each holds a connection that makes room for nobody.
    pub subscriptions_max: usize,
    /// Those of one organisation.
    pub subscriptions_an_organisation_max: usize,
    /// Events that a subscription which had come to the tip may lie behind it. So many are kept in memory, while anybody
    /// follows: some 2 KiB each.
    pub subscription_lag_events_max: u64,
    /// Login tokens remembered as verified, so that those who read much are verified once.
    pub verified_tokens_max: usize,
    /// Ids of login tokens remembered, because each is good for one write.
    pub token_ids_max: usize,
    /// How old the last block may be before the node calls itself not ready.
    pub stall_ms: u64,
    /// The gRPC door's own.
    pub grpc: GrpcOptions,
    /// Those of webhooks, and where they may go.
    pub webhooks: WebhookOptions,
}

/// The limits of webhooks, and where they may go.
///
/// Each endpoint has one delivery under way at most, on a connection of its own: so many are open for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Endpoints registered at this node.
    pub endpoints_max: usize,
    /// Those of one organisation.
    pub endpoints_an_organisation_max: usize,
    /// Deliveries of one endpoint kept after they were given up. With so many it is served no further.
    pub dead_letters_an_endpoint_max: usize,
    /// How long connecting to one address may take.
    pub connect_timeout_ms: u64,
    /// How long a delivery may take, from the look-up of the name to the answer.
    pub delivery_timeout_ms: u64,
    /// Bytes of an answer's body that are read; nothing of it is kept.
    pub answer_bytes_max: usize,
    /// Whether endpoints may be on the node's own machine, and those without TLS. `dev` nodes always allow it.
    pub loopback: bool,
    /// Networks that endpoints may be in although they are not for everybody, such as the agency's own.
    pub networks: Vec<IpNet>,
    /// Certificates to trust besides those that browsers trust, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            endpoints_max: 256,
            endpoints_an_organisation_max: 8,
            dead_letters_an_endpoint_max: 1_000,
            connect_timeout_ms: 5_000,
            delivery_timeout_ms: 15_000,
            answer_bytes_max: 16 * 1024,
            loopback: false,
            networks: Vec::new(),
            ca_pem: None,
        }
    }
}

/// The limits of the gRPC door; those of bodies, pages, waits and turns it shares with the REST door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcOptions {
    /// Connections open at once.
    pub connections_max: usize,
    /// Connections of one address (IPv6: of one /64) open at once. A load balancer in front has one address: give it all.
    pub connections_an_address_max: usize,
    /// Calls under way at once on one connection.
    pub calls_a_connection_max: u32,
    /// Calls under way at once of one organisation, or of one address that has not shown who it is.
    pub calls_an_organisation_max: usize,
    /// Calls that one organisation, or one such address, may begin in a second.
    pub calls_a_second_max: u32,
    /// Bytes of answers that wait to be taken by their callers.
    pub answers_bytes_max: usize,
    /// Those of one organisation.
    pub answers_bytes_an_organisation_max: usize,
    /// Invoices of a batch.
    pub batch_max: usize,
    /// How often a silent peer is asked whether it is there, and how long it may take to answer.
    pub keep_alive_ms: u64,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            connections_max: 512,
            connections_an_address_max: 128,
            calls_a_connection_max: 256,
            calls_an_organisation_max: 1_024,
            calls_a_second_max: 20_000,
            answers_bytes_max: 256 * 1024 * 1024,
            answers_bytes_an_organisation_max: 32 * 1024 * 1024,
            batch_max: 1_000,
            keep_alive_ms: 20_000,
        }
    }
}

impl Options {
    /// How many requests may wait for finality at once: one a connection of REST, and as many calls over gRPC as two
    /// organisations may have under way.
    #[must_use]
    pub const fn waits_max(&self) -> usize {
        self.connections_max.saturating_add(self.grpc.calls_an_organisation_max.saturating_mul(2))
    }

    /// How many threads may block at once for the door: each read has one, each archive that is being written, and
    /// what is read for all who follow the ledger. A
    /// thread that lets the next one take its turn is not always idle yet when that one needs a thread, hence a few more.
    #[must_use]
    pub const fn blocking_threads_max(&self) -> usize {
        self.reads_max + crate::routes::archive::archives_max() + 9
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 * 1024 * 1024,
            page_rows_max: 500,
            finality_wait_ms: 10_000,
            verifications_a_minute: 60,
            mismatches_an_invoice_and_day: 5,
            mismatches_an_organisation_and_day: 1_000,
            connections_max: 1_024,
            connections_an_address_max: 256,
            bodies_bytes_max: 64 * 1024 * 1024,
            bodies_bytes_an_address_max: 16 * 1024 * 1024,
            body_bytes_a_second_min: 1_024,
            body_pace_window_ms: 5_000,
            answer_bytes_a_second_min: 1_024,
            header_read_timeout_ms: 15_000,
            body_read_timeout_ms: 20_000,
            request_timeout_ms: 60_000,
            write_stall_timeout_ms: 30_000,
            handshake_timeout_ms: 10_000,
            drain_ms: 15_000,
            reads_max: 32,
            dry_runs_at_once_max: 4,
            subscriptions_max: 512,
            subscriptions_an_organisation_max: 16,
            subscription_lag_events_max: 10_000,
            verified_tokens_max: 10_000,
            token_ids_max: 200_000,
            stall_ms: 180_000,
            grpc: GrpcOptions::default(),
            webhooks: WebhookOptions::default(),
        }
    }
}
