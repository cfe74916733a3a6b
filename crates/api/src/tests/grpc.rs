//! The gRPC door, over real connections.

mod abuse;
mod calls;
mod client;
mod deadlines;
mod feed;
mod logins;
mod raw;
mod refusals;
mod unread;
