//! A reimbursement platform at the gRPC door of running nodes, for tests that know no `async`.

use client::messages::{Claim, VerifyResponse};
use client::{Client, Decided, Error, Key, Login, Node, Options, Purpose, Signed, Signer};
use tokio::runtime::{Builder, Runtime};

pub use client::messages::{ClaimStatus, VerifyResult};

/// A platform that is connected.
pub struct Platform {
    runtime: Runtime,
    /// The client, for calls of other kinds.
    pub client: Client,
}

impl Platform {
    /// Connects to nodes, with tokens from the login key in this file.
    pub fn connect(nodes: Vec<Node>, login_key: &str) -> Self {
        let key = std::fs::read(login_key).expect("the key file can be read");
        let login = Login::Tokens(Key::from_json(&key, Purpose::Login).expect("it is a login key"));
        Self::connect_with(Options::new(nodes, login))
    }

    /// Connects.
    pub fn connect_with(options: Options) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
        let client = runtime.block_on(Client::connect(options)).expect("a node listens");
        Self { runtime, client }
    }

    /// Waits for what the client does.
    pub fn run<R>(&self, call: impl Future<Output = R>) -> R {
        self.runtime.block_on(call)
    }

    /// Checks an invoice by the text of its QR code.
    pub fn verify(&self, qr: &str) -> Result<VerifyResponse, Error> {
        self.run(self.client.verify_qr(qr))
    }

    /// Sends a signed statement until it is decided.
    pub fn decide(&self, signed: &Signed) -> Result<Decided, Error> {
        self.run(self.client.decide(signed))
    }

    /// Where an invoice's reimbursement stands.
    pub fn claim(&self, invoice: &str) -> Result<Claim, Error> {
        self.run(self.client.claim(invoice))
    }
}

/// Signs with the statement key in this file.
pub fn signer(statement_key: &str, chain: &str) -> Signer {
    let key = std::fs::read(statement_key).expect("the key file can be read");
    let key = Key::from_json(&key, Purpose::Statement).expect("it is a statement key");
    Signer::new(key, chain.parse().expect("it is the id of a chain"))
}

/// The services of a node, as it describes them to tools that ask by `grpc.reflection.v1alpha`.
pub fn services_by_older_reflection(grpc_url: &str) -> Vec<String> {
    use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;

    let message_request = Some(MessageRequest::ListServices(String::new()));
    let asked = ServerReflectionRequest { host: String::new(), message_request };
    let url = grpc_url.to_owned();
    let answer = Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(url).expect("it is an address");
        let mut client = ServerReflectionClient::new(endpoint.connect().await.expect("a node listens"));
        let asking = client.server_reflection_info(tonic::codegen::tokio_stream::once(asked));
        asking.await.expect("it is answered").into_inner().message().await.expect("it is answered")
    });
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(listed)) => listed.service.into_iter().map(|of| of.name).collect(),
        other => panic!("no list of services: {other:?}"),
    }
}
