//! The replica: what one node does with the ledger, without clock, disk or network.
#![forbid(unsafe_code)]

pub mod port;
