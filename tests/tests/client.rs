//! The client against a node that misbehaves in ways that ours does not.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::messages::SubscribeRequest;
use client::{Client, Error, Key, Login, Node, Options};
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::{Stream, iter, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status};
use wire::generated::ledger_service_server::{LedgerService, LedgerServiceServer};
use wire::generated::{
    GetInvoiceRequest, GetInvoiceResponse, GetReceiptRequest, GetReceiptResponse, GetStatementRequest,
    GetStatementResponse, LedgerEvent, ListInvoicesRequest, ListInvoicesResponse, PrepareRequest, PrepareResponse,
    SubmitRequest, SubmitResponse, SubscribeResponse,
};

/// What a misbehaving node remembers.
#[derive(Clone, Default)]
struct Misbehaving {
    /// When streams were opened.
    opened: Arc<Mutex<Vec<Instant>>>,
    /// How many of them are to bring an event before they break.
    good: Arc<AtomicU64>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl LedgerService for Misbehaving {
    type SubscribeStream = Messages;

    async fn prepare(&self, _: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        Err(Status::internal("broken"))
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Err(Status::internal("broken"))
    }

    async fn get_statement(&self, _: Request<GetStatementRequest>) -> Result<Response<GetStatementResponse>, Status> {
        Err(Status::internal("broken"))
    }

    async fn get_invoice(&self, _: Request<GetInvoiceRequest>) -> Result<Response<GetInvoiceResponse>, Status> {
        Err(Status::internal("broken"))
    }

    async fn list_invoices(&self, _: Request<ListInvoicesRequest>) -> Result<Response<ListInvoicesResponse>, Status> {
        Err(Status::internal("broken"))
    }

    async fn get_receipt(&self, _: Request<GetReceiptRequest>) -> Result<Response<GetReceiptResponse>, Status> {
        Err(Status::internal("broken"))
    }

    /// Says how far it has looked, perhaps brings an event, and breaks.
    async fn subscribe(&self, _: Request<SubscribeRequest>) -> Result<Response<Messages>, Status> {
        self.opened.lock().expect("nothing panics while it counts").push(Instant::now());
        let is_good = self.good.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let message = |event| Ok(SubscribeResponse { cursor: "c".to_owned(), event });
        let event = is_good.then(|| message(Some(LedgerEvent::default())));
        let messages = [message(None)].into_iter().chain(event).chain([Err(Status::internal("broken"))]);
        Ok(Response::new(Box::pin(iter(messages.collect::<Vec<_>>()))))
    }
}

impl Misbehaving {
    /// Serves; gives how to reach it.
    async fn serve(&self) -> Options {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has one");
        let server = tonic::transport::Server::builder().add_service(LedgerServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let secret = chain::key::SecretKey::from_seed([7; 32]);
        let (organisation, id) = ("shop".parse().expect("an id"), "login-1".parse().expect("an id"));
        let login = Login::Tokens(Key { organisation, id, secret });
        Options {
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_millis(400),
            resume_max: Duration::from_secs(3),
            ..Options::new(vec![Node::new(format!("http://{address}"), "n")], login)
        }
    }

    fn pauses(&self) -> Vec<Duration> {
        let opened = self.opened.lock().expect("nothing panics while it counts");
        opened.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

#[tokio::test]
async fn streams_that_break_as_soon_as_they_are_open_are_asked_for_less_and_less_until_time_is_up() {
    let node = Misbehaving::default();
    let client = Client::connect(node.serve().await).await.expect("it listens");
    let begun = Instant::now();
    let mut subscription = client.subscribe(SubscribeRequest::default()).await.expect("it begins well");
    let error = subscription.next().await.expect_err("it brings no event");
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!((2..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let pauses = node.pauses();
    // Without waits that grow there would be more than a hundred; half of each wait is chance.
    assert!((5..40).contains(&pauses.len()), "{pauses:?}");
    assert!(pauses.iter().rev().take(3).all(|pause| *pause >= Duration::from_millis(200)), "{pauses:?}");
}

#[tokio::test]
async fn a_stream_that_brings_events_goes_on_at_once_however_often_it_breaks() {
    let node = Misbehaving::default();
    node.good.store(30, Ordering::SeqCst);
    let client = Client::connect(node.serve().await).await.expect("it listens");
    let mut subscription = client.subscribe(SubscribeRequest::default()).await.expect("it begins well");
    for number in 0..30 {
        subscription.next().await.unwrap_or_else(|error| panic!("event {number}: {error:?}"));
    }
    let mut pauses = node.pauses();
    pauses.sort_unstable();
    // One in the middle: a busy machine makes some of them long.
    assert!(pauses[pauses.len() / 2] < Duration::from_millis(200), "{pauses:?}");
}
