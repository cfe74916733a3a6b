//! The chain: statements, blocks, certificates, the Merkle log, receipts, archives, and their
//! verification up to the log. It never says what the events mean.

pub mod block;
pub mod hash;
