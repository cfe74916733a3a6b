//! The client against a node that misbehaves in ways that ours does not.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::messages::SubscribeRequest;
use client::{ChainId, Client, Error, Hash, Key, Login, Mode, Node, Options, Signed, Signer};
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::{Stream, iter, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use wire::generated::ledger_service_server::{LedgerService, LedgerServiceServer};
use wire::generated::{
    EventOutcome, GetInvoiceRequest, GetInvoiceResponse, GetReceiptRequest, GetReceiptResponse, GetStatementRequest,
    GetStatementResponse, LedgerEvent, ListInvoicesRequest, ListInvoicesResponse, PrepareRequest, PrepareResponse,
    RefusalReason, StandingEvent, StatementResult, StatementState, SubmitRequest, SubmitResponse, SubscribeResponse,
};

/// What a misbehaving node remembers.
#[derive(Clone, Default)]
struct Misbehaving {
    /// When streams were opened.
    opened: Arc<Mutex<Vec<Instant>>>,
    /// How many of them are to bring an event before they break.
    good: Arc<AtomicU64>,
    /// What it answers to statements that are handed in, one after the other.
    submits: Arc<Mutex<VecDeque<Status>>>,
    /// What it says became of a statement.
    became: Arc<Mutex<Option<StatementResult>>>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl LedgerService for Misbehaving {
    type SubscribeStream = Messages;

    async fn prepare(&self, _: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        Err(Status::internal("broken"))
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let next = self.submits.lock().expect("nothing panics while it answers").pop_front();
        Err(next.unwrap_or_else(|| Status::internal("broken")))
    }

    async fn get_statement(&self, _: Request<GetStatementRequest>) -> Result<Response<GetStatementResponse>, Status> {
        let result = self.became.lock().expect("nothing panics while it answers").clone();
        if result.is_some() {
            Ok(Response::new(GetStatementResponse { result }))
        } else {
            Err(Status::internal("broken"))
        }
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

    /// One that answers so to statements.
    fn answering(submits: impl IntoIterator<Item = Status>) -> Self {
        let node = Self::default();
        node.submits.lock().expect("nothing panics while it answers").extend(submits);
        node
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

/// A status as a node makes it.
fn of_a_node(status: Code, code: &str) -> Status {
    let details = ErrorDetails::with_error_info(code, "einvoice.v1", []);
    Status::with_error_details(status, "", details)
}

/// A statement that no node here reads.
fn signed() -> Signed {
    let (organisation, id) = ("shop".parse().expect("an id"), "statement-1".parse().expect("an id"));
    let key = Key { organisation, id, secret: chain::key::SecretKey::from_seed([8; 32]) };
    let chain = ChainId::new("demo".parse().expect("a name"), Hash::from_bytes([3; 32]));
    let event = r#"{"close":{"invoice":"i","claim":"c","token":1}}"#;
    Signer::new(key, chain).sign(None, Mode::All, &[event], 1_000).expect("it can be signed")
}

#[tokio::test]
async fn who_is_turned_away_after_a_break_is_not_told_that_nothing_was_accepted() {
    for code in ["login.audience", "auth.key-inactive"] {
        // The first took it in, perhaps, and broke; the second does not let us in.
        let nodes = [Status::unavailable("the connection broke"), of_a_node(Code::Unauthenticated, code)];
        let nodes = nodes.map(|answer| Misbehaving::answering([answer]));
        let mut options = nodes[0].serve().await;
        options.nodes.extend(nodes[1].serve().await.nodes);
        let client = Client::connect(options).await.expect("they listen");
        let signed = signed();
        match client.decide(&signed).await {
            Err(Error::Undecided { statement, last: Some(last) }) => {
                assert_eq!((statement.id(), last.code.as_str()), (signed.id(), code));
            }
            other => panic!("it is in doubt after {code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_never_sent_is_not_in_doubt() {
    let node = Misbehaving::answering([
        of_a_node(Code::ResourceExhausted, "mempool.full"),
        of_a_node(Code::InvalidArgument, "event.malformed"),
    ]);
    let mut options = node.serve().await;
    // Nobody listens where it looks meanwhile.
    options.nodes.push(Node::new("http://127.0.0.1:1", "gone"));
    let client = Client::connect(options).await.expect("one listens");
    let refused = client.decide(&signed()).await.expect_err("it is malformed");
    assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
    assert_eq!(refused.code(), Some("event.malformed"));
}

#[tokio::test]
async fn a_refusal_that_is_learnt_when_the_statement_has_expired_is_a_refusal() {
    let node = Misbehaving::answering([of_a_node(Code::InvalidArgument, "statement.expired")]);
    let signed = signed();
    let outcome = |code: &str, holder: &str| EventOutcome {
        code: code.to_owned(),
        refusal: Some(RefusalReason {
            standing: Some(StandingEvent { holder: holder.to_owned(), ..StandingEvent::default() }),
            ..RefusalReason::default()
        }),
        ..EventOutcome::default()
    };
    *node.became.lock().expect("nothing panics while it answers") = Some(StatementResult {
        statement_id: signed.id().to_string(),
        state: StatementState::Decided.into(),
        outcomes: vec![outcome("statement.all-refused", ""), outcome("reimbursement.already-locked", "rival")],
        ..StatementResult::default()
    });
    let client = Client::connect(node.serve().await).await.expect("it listens");
    let Err(Error::Refused(refused)) = client.decide(&signed).await else { panic!("nothing of it was accepted") };
    assert!(refused.is_on_the_ledger());
    assert_eq!((refused.code.as_str(), refused.holder()), ("reimbursement.already-locked", Some("rival")));
    assert_eq!((refused.statement_id(), refused.outcomes().len()), (Some(signed.id()), 2));
    // Asked for by its id, it is told whole.
    let told = client.statement(signed.id()).await.expect("it is told").expect("it is decided");
    assert_eq!(told.refusal().map(|refused| refused.code), Some(refused.code));
}
