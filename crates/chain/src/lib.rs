//! The chain: statements, blocks, certificates, the Merkle log, receipts, archives, and their
//! verification up to the log. It never says what the events mean.

pub mod archive;
pub mod block;
pub mod catalogue;
pub mod certificate;
pub mod checkpoint;
pub mod encoding;
pub mod equivocation;
pub mod genesis;
pub mod hash;
pub mod identity;
pub mod introduction;
pub mod json;
pub mod jws;
pub mod key;
pub mod login;
pub mod merkle;
pub mod offline;
pub mod possession;
pub mod receipt;
pub mod statement;
pub mod suite;
pub mod tile;
pub mod validators;
pub mod verify;

#[cfg(test)]
mod fixture;

pub use catalogue::CODES;
