//! The `workload` room: a consortium and the life of its invoices, invented from one seed.
//!
//! It owns what is drawn: who sells what to whom, at which rates and amounts, who signs, and what becomes of an invoice
//! afterwards. It does not know time, disk, threads or the node: the day and the expiry of statements are handed in.
//!
//! **The secret keys here follow from the seed, so everybody knows them. They are for tests, demos and benches; a chain
//! whose genesis lists one of them is nobody's.**
//!
//! Invariant: the same seed gives the same bytes, on every machine and whatever was drawn before. Every document, every
//! statement is drawn with dice of its own, so threads may make them in any order.

pub mod consortium;
mod dice;
mod document;
pub mod habits;
mod names;
mod statement;
#[cfg(test)]
mod tests;
mod trade;

pub use consortium::{Consortium, Enterprise, Shape};
pub use document::{NoRates, Workload};
pub use habits::{Answer, Life, Ticket};
pub use statement::{Made, Signers, issue_event};
