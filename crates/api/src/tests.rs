//! Tests of the door over real connections, on a store in memory, with one validator.

mod checks;
mod claims;
mod client;
mod consortium;
mod crowd;
mod dry_runs;
mod events;
mod evidence;
mod follower;
mod grpc;
mod layers;
mod leases;
mod lifecycle;
mod logins;
mod malformed;
mod node;
mod organisations;
mod quotas;
mod retries;
mod rights;
mod room;
mod server;
mod signed;
mod thousand;
mod visibility;
mod webhooks;
