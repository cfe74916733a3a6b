//! The ledger: the rules. State, admission and execution of events, and replay, the deepest level
//! of verification.
//!
//! It knows what the events mean and how they change the state; it does not know where the state
//! is kept, who proposes blocks, or what time it is.
//!
//! Invariants: the same parent state, time and statements give the same outcomes and writes on
//! every node, for ever; what state refuses is an outcome with its reason; what is wrong in itself
//! makes a block invalid and never gets that far.

pub mod admission;
pub mod bookkeeping;
pub mod contingency;
pub mod event;
pub mod execute;
pub mod filing;
#[cfg(test)]
mod fixture;
pub mod founding;
pub mod genesis;
pub mod introduction;
pub mod leb128;
pub mod manifestation;
pub mod organisation;
mod organisations;
pub mod outcome;
pub mod parallel;
pub mod parameters;
pub mod party;
pub mod quota;
pub mod record;
pub mod red;
pub mod refusal;
pub mod replay;
pub mod schedule;
pub mod state;
#[cfg(test)]
mod tests;
pub mod tree;
