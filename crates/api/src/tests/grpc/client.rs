//! A client of the gRPC door, and what it reads out of a status.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;
use wire::generated::ledger_service_client::LedgerServiceClient;
use wire::generated::reimbursement_service_client::ReimbursementServiceClient;
use wire::generated::{LockEvent, LockRequest, Refusal, StatementResult, Undecided, lock_request};

use crate::tests::node::Node;

/// The path of a method of the service for platforms.
pub(crate) fn path(method: &str) -> String {
    format!("/einvoice.v1.ReimbursementService/{method}")
}

/// A client with one connection.
pub(crate) struct Client<'n> {
    pub(crate) node: &'n Node,
    pub(crate) runtime: Runtime,
    pub(crate) channel: Channel,
}

/// What a status says.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) facts: Box<str>,
    pub(crate) retry: Option<Duration>,
    pub(crate) fields: Vec<String>,
    pub(crate) request_id: Box<str>,
    pub(crate) refusal: Option<Box<Refusal>>,
    pub(crate) undecided: Option<Box<Undecided>>,
}

impl Refused {
    /// Code and reason.
    pub(crate) fn short(&self) -> (Code, &str) {
        (self.code, self.reason.as_str())
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
        assert_eq!(info.domain, "einvoice.v1");
        let whole: tonic_types::pb::Status = wire::decode_message("Status", status.details()).unwrap();
        assert_eq!((whole.code, whole.message.as_str()), (i32::from(status.code()), status.message()));
        let own = |name: &str| {
            let url = format!("type.googleapis.com/{name}");
            whole.details.iter().find(|detail| detail.type_url == url).map(|detail| detail.value.clone())
        };
        let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            facts: format!("{:?}", info.metadata).into(),
            retry: details.retry_info().and_then(|retry| retry.retry_delay),
            fields: fields.into_iter().map(|violation| violation.field).collect(),
            request_id: details.request_info().map(|info| info.request_id.as_str().into()).unwrap_or_default(),
            refusal: own("einvoice.v1.Refusal").map(|bytes| Box::new(wire::decode_message("Refusal", &bytes).unwrap())),
            undecided: own("einvoice.v1.Undecided")
                .map(|bytes| Box::new(wire::decode_message("Undecided", &bytes).unwrap())),
        }
    }
}

/// A runtime for a client.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A connection to a door.
pub(crate) async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

impl<'n> Client<'n> {
    pub(crate) fn new(node: &'n Node) -> Self {
        let runtime = runtime();
        let channel = runtime.block_on(channel(node.grpc_address));
        Self { node, runtime, channel }
    }

    pub(crate) fn platforms(&self) -> ReimbursementServiceClient<Channel> {
        ReimbursementServiceClient::new(self.channel.clone())
    }

    pub(crate) fn ledger(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone())
    }

    /// Waits for an answer.
    pub(crate) fn run<R>(&self, call: impl Future<Output = Result<Response<R>, Status>>) -> Result<R, Refused> {
        let within = Duration::from_secs(60);
        let answered = self.runtime.block_on(async { tokio::time::timeout(within, call).await });
        answered.expect("an answer within a minute").map(Response::into_inner).map_err(Refused::from)
    }

    /// A request with a login for reads and signed statements.
    pub(crate) fn login<M>(&self, name: &str, message: M) -> Request<M> {
        with_token(message, &self.node.bearer(name))
    }

    /// A request with a token that covers it.
    pub(crate) fn covered<M>(&self, name: &str, method: &str, message: M, bytes: &[u8]) -> Request<M> {
        with_token(message, &self.node.bearer_covering(name, &format!("POST {}", path(method)), bytes))
    }

    /// Locks with the platform's hosted key.
    pub(crate) fn lock(&self, who: &str, invoice: &str, claim: &str, key: &str) -> Result<StatementResult, Refused> {
        let message = lock_request(invoice, claim, key);
        let bytes = wire::encode_message(&message);
        let answer = self.run(self.platforms().lock(self.covered(who, "Lock", message, &bytes)));
        answer.map(|answer| answer.result.unwrap())
    }
}

/// A request under a bearer token.
pub(crate) fn with_token<M>(message: M, token: &str) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    request
}

/// A lock for the buyer.
pub(crate) fn lock_event(invoice: &str, claim: &str) -> LockEvent {
    LockEvent { invoice: invoice.to_owned(), enterprise: "buyer".to_owned(), claim: claim.to_owned(), lease_seconds: 0 }
}

/// The request of a plain lock.
pub(crate) fn lock_request(invoice: &str, claim: &str, key: &str) -> LockRequest {
    let form = Some(lock_request::Form::Lock(lock_event(invoice, claim)));
    LockRequest { form, idempotency_key: key.to_owned() }
}
