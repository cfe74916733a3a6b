//! The REST door: everything HTTP.
//!
//! It owns listening, TLS, limits, identity of callers, problems, the shapes of requests and
//! answers, and their description in OpenAPI. It holds no rules of invoices: it reads, converts,
//! asks the replica and converts again. It has no clock, files or process of its own; `node` hands
//! those in.
//!
//! Invariants: nothing a client sends can cause a panic or a 500; no log line holds a body, a token
//! or anything of an invoice but its id; what a caller may not see looks like what does not exist.

mod access;
mod app;
mod attachments;
mod auth;
mod bodies;
mod books;
mod brief;
mod call;
pub mod catalogue;
mod claims;
mod connections;
mod cursor;
mod docs;
mod drafting;
mod feed;
mod finality;
mod grpc;
mod health;
mod hosted;
mod invoice_state;
mod layer;
mod listing;
mod members;
mod metrics;
mod openapi;
mod options;
mod outcomes;
mod problem;
mod quota;
mod receipts;
mod red;
mod routes;
pub mod schema;
mod server;
mod service;
mod shares;
mod stream;
mod submit;
mod time;
mod tls;
mod tokens;
mod turns;
mod unread;
mod verification;
pub mod views;
mod webhooks;

pub use app::{App, Clock, DevControl, HostedKey, NodeIdentity, Sharing};
pub use finality::{Finality, Ticket};
pub use health::{Health, Readiness};
pub use ipnet::IpNet;
pub use openapi::openapi;
pub use options::{GrpcOptions, Options, WebhookOptions};
pub use problem::{Problem, ProblemBody};
pub use server::{Listening, ServeError, serve};
pub use time::{format_ms, parse_ms};
pub use tls::Tls;
pub use views::{ConsensusView, PeerStatusView};

#[cfg(test)]
mod tests;
