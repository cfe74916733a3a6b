//! The real engine between several nodes: agreement, and going on, whatever the network does.

mod agreement;
mod byzantine;
mod faults;
mod hostile;
mod transport;
