//! The binary `einvoice` from outside, as a user meets it.
//!
//! These stand here and not among the workspace's tests, because cargo hands the path of a freshly built binary only to
//! tests of its own package.

mod audit;
mod ceremony;
mod cli;
mod failover;
mod life;
mod load;
mod numbers;
mod operators;
mod organisations;
mod outbox;
mod platforms;
mod readme;
mod secure;
mod support;
mod together;
mod webhooks;
