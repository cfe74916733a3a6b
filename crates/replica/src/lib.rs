//! The replica: what one node does with the ledger, without clock, disk or network.
//!
//! It owns the mempool, building, checking and committing blocks, recovery, and reads; and the
//! [`port::Store`] behind which everything is kept. It knows no consensus protocol: an engine on
//! top calls `propose`, `check`, `commit`, and a single validator is an engine of one vote.
#![forbid(unsafe_code)]

mod checkpoint;
pub mod evidence;
pub mod index;
mod involvement;
mod leaf;
mod lease;
mod list;
pub mod memory;
pub mod mempool;
pub mod port;
pub mod query;
mod recent;
mod recover;
pub mod replica;
mod view;

pub use recover::Recovering;
pub use view::{StoreTiles, StoreView};
