//! From the plain fields of a message to checked values.
//!
//! Each function takes the field's name for the error's path.

use chain::hash::Hash;
use chain::identity::{ChainId, OrganisationId};
use chain::key::{PublicKey, Signature};
use chain::suite::Suite;

use crate::error::Error;
use crate::generated;

/// A message inside the message, converted; absent is refused.
pub(crate) fn required<M, T: TryFrom<M, Error = Error>>(
    message: Option<M>,
    field: &'static str,
    expected: &'static str,
) -> Result<T, Error> {
    let message = message.ok_or_else(|| Error::Missing { path: field.to_owned(), expected })?;
    message.try_into().map_err(|error: Error| error.within(field))
}

/// A message inside the message, converted when it is there.
pub(crate) fn optional<M, T: TryFrom<M, Error = Error>>(
    message: Option<M>,
    field: &'static str,
) -> Result<Option<T>, Error> {
    message.map(T::try_from).transpose().map_err(|error| error.within(field))
}

/// A list of messages, each converted.
pub(crate) fn list<M, T: TryFrom<M, Error = Error>>(
    messages: Vec<M>,
    field: &'static str,
    count_max: usize,
) -> Result<Vec<T>, Error> {
    list_with(messages, field, count_max, T::try_from)
}

/// A list of plain values, each converted by `convert`, whose errors carry no path yet.
pub(crate) fn list_with<M, T>(
    entries: Vec<M>,
    field: &'static str,
    count_max: usize,
    convert: impl Fn(M) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    // Before anything is converted: the count is all that is believed so far.
    if entries.len() > count_max {
        return Err(Error::TooMany { path: field.to_owned(), count_max, found: entries.len() });
    }
    let converted = entries.into_iter().enumerate();
    converted
        .map(|(index, entry)| convert(entry).map_err(|error| error.within(format_args!("{field}[{index}]"))))
        .collect()
}

/// Exactly `N` bytes.
pub(crate) fn array<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], Error> {
    bytes
        .try_into()
        .map_err(|_| Error::malformed(field, format_args!("{N} bytes"), format_args!("{} bytes", bytes.len())))
}

/// Refuses a text or bytes larger than they may be.
pub(crate) fn size(found: usize, field: &str, bytes_max: usize) -> Result<(), Error> {
    if found > bytes_max {
        let expected = format_args!("at most {bytes_max} bytes");
        return Err(Error::malformed(field, expected, format_args!("{found} bytes")));
    }
    Ok(())
}

/// A SHA-256 digest.
pub(crate) fn hash(bytes: &[u8], field: &str) -> Result<Hash, Error> {
    array(bytes, field).map(Hash::from_bytes)
}

/// A public key that the suite admits.
pub(crate) fn public_key(bytes: &[u8], field: &str) -> Result<PublicKey, Error> {
    let bytes = array(bytes, field)?;
    PublicKey::from_bytes(&bytes).map_err(|error| Error::malformed(field, "an admissible public key", error))
}

/// A signature; whether it holds is for the value to say.
pub(crate) fn signature(bytes: &[u8], field: &str) -> Result<Signature, Error> {
    array(bytes, field).map(Signature::from_bytes)
}

/// The id of an organisation.
pub(crate) fn organisation(text: &str, field: &str) -> Result<OrganisationId, Error> {
    text.parse().map_err(|error| Error::malformed(field, "an organisation id", error))
}

/// The id of a chain.
pub(crate) fn chain_id(text: &str, field: &str) -> Result<ChainId, Error> {
    text.parse().map_err(|error| Error::malformed(field, "a chain id", error))
}

/// A number that protobuf can only carry in a wider type.
pub(crate) fn narrow<T: TryFrom<u32>>(number: u32, field: &str, expected: &'static str) -> Result<T, Error> {
    T::try_from(number).map_err(|_| Error::malformed(field, expected, number))
}

/// A suite that this program knows.
pub(crate) fn suite(number: i32, field: &str) -> Result<Suite, Error> {
    match generated::Suite::try_from(number) {
        Ok(generated::Suite::Ed25519Sha256) => Ok(Suite::Ed25519Sha256),
        Ok(generated::Suite::Unspecified) | Err(_) => Err(Error::malformed(field, "a known suite", number)),
    }
}

/// A suite, as a message carries it.
pub(crate) fn suite_number(suite: Suite) -> i32 {
    match suite {
        Suite::Ed25519Sha256 => generated::Suite::Ed25519Sha256.into(),
    }
}
