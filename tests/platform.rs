//! A reimbursement platform at the gRPC door of a running node.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use wire::generated::reimbursement_service_client::ReimbursementServiceClient;
use wire::generated::{
    Claim, GetClaimRequest, LockRequest, StatementResult, VerifyRequest, VerifyResponse, lock_request, verify_request,
};

pub use wire::generated::{ClaimStatus, VerifyResult};

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(60);

/// A platform that is connected.
pub struct Platform {
    runtime: Runtime,
    service: ReimbursementServiceClient<Channel>,
    token: String,
}

impl Platform {
    /// Connects, with a login token for reads.
    pub fn connect(url: &str, token: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("the node writes addresses").timeout(CALL_MAX);
        let channel = runtime.block_on(endpoint.connect()).expect("the node listens");
        Self { runtime, service: ReimbursementServiceClient::new(channel), token: format!("Bearer {token}") }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let token = self.token.parse().expect("a token is ASCII");
        request.metadata_mut().insert("authorization", token);
        request
    }

    fn answered<R>(&self, call: impl Future<Output = Result<Response<R>, Status>>) -> Result<R, Status> {
        self.runtime.block_on(call).map(Response::into_inner)
    }

    /// Checks an invoice by the text of its QR code.
    pub fn verify(&self, qr: &str) -> Result<VerifyResponse, Status> {
        let message = VerifyRequest { by: Some(verify_request::By::Qr(qr.to_owned())) };
        self.answered(self.service.clone().verify(self.request(message)))
    }

    /// Locks an invoice with a signed statement.
    pub fn lock(&self, statement: &str) -> Result<StatementResult, Status> {
        let form = Some(lock_request::Form::Statement(statement.trim().to_owned()));
        let message = LockRequest { form, idempotency_key: String::new() };
        let answer = self.answered(self.service.clone().lock(self.request(message)))?;
        Ok(answer.result.unwrap_or_default())
    }

    /// Where an invoice's reimbursement stands.
    pub fn claim(&self, invoice: &str) -> Result<Claim, Status> {
        let message = GetClaimRequest { invoice: invoice.to_owned() };
        let answer = self.answered(self.service.clone().get_claim(self.request(message)))?;
        Ok(answer.claim.unwrap_or_default())
    }
}
