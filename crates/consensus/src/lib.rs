//! The `consensus` room: Malachite under the chain's types, and the network between nodes.
//!
//! Nothing of consensus is invented here. Malachite keeps the votes, timeouts, write-ahead log and value sync; this room
//! gives it the chain's types, signatures and encodings, a network of its own, and an application
//! that asks `replica`. It holds no rule of invoices, and decides nothing about what a block may hold.
//!
//! Malachite is alpha software, pinned exactly; no type of it leaves this room.
#![forbid(unsafe_code)]

mod app;
mod bucket;
#[cfg(feature = "byzantine")]
pub mod byzantine;
mod clock;
mod codec;
mod context;
mod engine;
mod host;
mod link;
mod log;
mod network;
mod options;
mod parts;
mod seen;
mod share;
mod signing;
pub mod simulation;
mod standing;
mod start;
mod switch;
mod transport;
mod turns;
mod wake;

pub use app::Ended;
pub use engine::NotStarted;
pub use host::{Equivocation, Host};
pub use link::{Incoming, Outgoing, Refused};
pub use log::LogFault;
pub use options::{Options, Timeouts};
pub use standing::Standing;
pub use start::{Consensus, Parts, Started};
pub use switch::{PeerView, Shared};
pub use transport::{Address, Allowed, Transport, TransportError};
