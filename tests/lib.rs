//! What the tests share: a small consortium of one validator, its keys, and the statements its
//! organisations sign. Keys come from names, time is set by hand, so that every run is the same; and
//! trials of a running node ([`trial`]).

pub mod chains;
pub mod consortium;
pub mod events;
pub mod fuzzing;
pub mod network;
pub mod platform;
pub mod simulation;
pub mod trap;
pub mod trial;
