//! The `wire` room: what travels between programs as protobuf.
//!
//! Owns the generated messages (`proto/`, compiled by `build.rs`) and their conversions to and from
//! the values of the pure floors. Outwards a conversion cannot fail; inwards it checks every field,
//! names the one that is wrong, and never panics. It knows no network and no service: who may send
//! what to whom is decided elsewhere.
//!
//! Nothing is hashed or signed as protobuf. Ids, roots and signatures cover the encodings of `chain`,
//! and are computed from the converted values.

mod block;
mod certificate;
mod checkpoint;
mod error;
mod field;
pub mod lists;
mod outcome;
pub mod peer;
mod receipt;
mod validators;

pub use error::{CODES, Error};

/// The messages, as generated from `proto/`.
#[expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod generated {
    include!(concat!(env!("OUT_DIR"), "/einvoice.v1.rs"));
}

/// The services for clients, described: an encoded `google.protobuf.FileDescriptorSet` with everything it imports.
pub const CLIENT_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clients.binpb"));

/// A value of the pure floors that has a message.
pub trait Portable: Sized + TryFrom<Self::Message, Error = Error> {
    /// The message; it can carry any such value.
    type Message: prost::Message + Default + for<'a> From<&'a Self>;
    /// The message's name, for errors.
    const NAME: &'static str;
    /// How many bytes the message may have, whoever sends it.
    const BYTES_MAX: usize;
}

/// How many bytes the message of a value may have whose encoding in `chain` has at most this many.
///
/// Protobuf takes at most an eighth more than borsh for an entry of any list here (a tag and a
/// length of up to four bytes against a length of four bytes, and no entry is empty), and what
/// stands once, such as a chain id in text, fits into the rest.
const fn message_bytes_max(encoded_bytes_max: usize) -> usize {
    encoded_bytes_max + encoded_bytes_max / 8 + 1024
}

/// The bytes of a message that stands for no value of the pure floors.
pub fn encode_message(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// The message that bytes hold which stand for no value of the pure floors, under its name for errors.
pub fn decode_message<M: prost::Message + Default>(name: &'static str, bytes: &[u8]) -> Result<M, Error> {
    M::decode(bytes).map_err(|source| Error::NotProtobuf { message: name, source })
}

/// A message as one of any kind, under its full name, such as `einvoice.v1.Refusal`.
pub fn any(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

/// A value as the bytes of its message.
pub fn encode<T: Portable>(value: &T) -> Vec<u8> {
    prost::Message::encode_to_vec(&T::Message::from(value))
}

/// The value that the bytes of a message stand for.
///
/// Fields that this program does not know are passed over, as protobuf wants it. On the way it may
/// take some forty times the memory of the bytes, when they are nothing but empty list entries; a
/// door that takes messages from strangers sets a lower limit than [`Portable::BYTES_MAX`].
pub fn decode<T: Portable>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > T::BYTES_MAX {
        return Err(Error::TooLarge { message: T::NAME, bytes_max: T::BYTES_MAX, found: bytes.len() });
    }
    let message: T::Message =
        prost::Message::decode(bytes).map_err(|source| Error::NotProtobuf { message: T::NAME, source })?;
    message.try_into()
}
