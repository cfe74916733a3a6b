//! Binary values in JSON: base64url in its one spelling.

/// Bytes.
pub(super) mod bytes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::encoding::{decode_base64url, encode_base64url};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_base64url(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_base64url(&text).map_err(D::Error::custom)
    }
}

/// A header, as its encoded bytes.
pub(super) mod header {
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    use crate::block::Header;

    pub(crate) fn serialize<S: Serializer>(header: &Header, serializer: S) -> Result<S::Ok, S::Error> {
        super::bytes::serialize(&header.encode(), serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        let bytes = super::bytes::deserialize(deserializer)?;
        Header::decode(&bytes).map_err(D::Error::custom)
    }
}
