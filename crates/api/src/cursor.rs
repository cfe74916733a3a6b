//! Cursors: where a list goes on. Opaque to clients, and good only for the list that made them.

use chain::encoding::{decode_base64url, encode_base64url};
use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::InvoiceId;

use crate::problem::Problem;

/// The first byte, so that the form can change.
const VERSION: u8 = 1;

/// Bytes of the list's tag.
const TAG_BYTES: usize = 8;

/// Longest cursor in bytes before base64url.
const CURSOR_BYTES_MAX: usize = 256;

/// A list with its filters, as cursors know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    tag: [u8; TAG_BYTES],
}

impl List {
    /// The list of a name under filters.
    pub(crate) fn new(name: &str, filters: &[&str]) -> Self {
        let mut parts: Vec<&[u8]> = vec![name.as_bytes()];
        for filter in filters {
            parts.push(&[0]);
            parts.push(filter.as_bytes());
        }
        let hash = Hash::of_parts(&parts);
        let tag = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        Self { tag }
    }

    /// Writes a cursor.
    pub(crate) fn write(self, place: &[u8]) -> String {
        encode_base64url(&[&[VERSION], self.tag.as_slice(), place].concat())
    }

    /// Reads a cursor of this list.
    fn read(self, text: &str) -> Result<Vec<u8>, Problem> {
        if text.len() > CURSOR_BYTES_MAX * 2 {
            return Err(wrong());
        }
        let bytes = decode_base64url(text).map_err(|_| wrong())?;
        match bytes.split_at_checked(1 + TAG_BYTES) {
            Some((head, place)) if head == [&[VERSION], self.tag.as_slice()].concat() => Ok(place.to_vec()),
            Some(_) | None => Err(wrong()),
        }
    }

    /// Reads a cursor whose place is a leaf.
    pub(crate) fn read_leaf(self, text: &str) -> Result<u64, Problem> {
        let place = self.read(text)?;
        // A tag can be computed by anybody: a place of another form must not start the list anew.
        place.try_into().map(u64::from_be_bytes).map_err(|_| wrong())
    }

    /// Reads a cursor whose place is an organisation's id.
    pub(crate) fn read_organisation(self, text: &str) -> Result<OrganisationId, Problem> {
        let place = self.read(text)?;
        std::str::from_utf8(&place).ok().and_then(|id| id.parse().ok()).ok_or_else(wrong)
    }

    /// Reads a cursor whose place is a code of invoices.
    pub(crate) fn read_code(self, text: &str) -> Result<String, Problem> {
        let place = String::from_utf8(self.read(text)?).map_err(|_| wrong())?;
        if place.bytes().all(|byte| byte.is_ascii_digit()) { Ok(place) } else { Err(wrong()) }
    }

    /// Reads a cursor whose place is an invoice's id.
    pub(crate) fn read_invoice(self, text: &str) -> Result<InvoiceId, Problem> {
        let place = self.read(text)?;
        std::str::from_utf8(&place).ok().and_then(|id| id.parse().ok()).ok_or_else(wrong)
    }
}

fn wrong() -> Problem {
    Problem::new("request.cursor").at("cursor", "a cursor of this list", "another text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_alone() {
        let (mine, other) = (List::new("invoices", &["a", "b"]), List::new("invoices", &["ab", ""]));
        let cursor = mine.write(b"place");
        assert_eq!(mine.read(&cursor).unwrap(), b"place");
        for (list, text) in
            [(other, cursor.as_str()), (mine, ""), (mine, "AQ"), (mine, &format!("{cursor}=")), (mine, "é")]
        {
            assert_eq!(list.read(text).unwrap_err().code(), "request.cursor");
        }
        assert!(mine.read(&"A".repeat(10_000)).is_err());
    }

    #[test]
    fn a_place_has_the_form_of_its_list() {
        let list = List::new("invoices", &[]);
        assert_eq!(list.read_leaf(&list.write(&7_u64.to_be_bytes())).unwrap(), 7);
        let id = "144032609110-00000001";
        assert_eq!(list.read_invoice(&list.write(id.as_bytes())).unwrap().to_string(), id);
        for place in [&b""[..], b"1234567", b"123456789", b"\xff\xff"] {
            let cursor = list.write(place);
            assert_eq!(list.read_leaf(&cursor).unwrap_err().code(), "request.cursor");
            assert_eq!(list.read_invoice(&cursor).unwrap_err().code(), "request.cursor");
            let organisation = list.read_organisation(&cursor).map(|id| id.to_string());
            assert_eq!(organisation.is_ok(), place.is_ascii() && !place.is_empty(), "{place:?}");
        }
    }
}
