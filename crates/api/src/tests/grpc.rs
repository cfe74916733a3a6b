//! The gRPC door, over real connections.

mod abuse;
mod calls;
mod checks;
mod client;
mod deadlines;
mod feed;
mod large;
mod logins;
mod raw;
mod refusals;
mod unread;
