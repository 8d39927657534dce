//! Host files: the gofer, which opens and serves them, and the channel on which the sentry asks for them. The protocol stands
//! in gofer/protocol.ts.

pub mod channel;
mod client;
mod content;
mod frame;
mod host;
mod listing;
mod requests;
mod server;
mod tree;

pub use frame::{ATTRIBUTES_BYTES, attributes};
