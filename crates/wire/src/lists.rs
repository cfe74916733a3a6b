//! How long the lists of a message are, before anything is made of it.
//!
//! An element of a list may take two bytes on the wire and a hundred in memory, and a decoder makes all of them. Whoever
//! takes messages from strangers counts them first, in the bytes.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::CLIENT_DESCRIPTORS;

/// How deep lists are looked for: messages for clients are not nested further, which a test holds.
const DEPTH_MAX: usize = 4;

/// A list in the message of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The fields on the way to it, from the method's message on; the last is the list itself.
    fields: Vec<u64>,
    /// The same by names, such as `/batch_lock/locks`.
    pub path: String,
}

/// The lists of what clients send, by the path of the method, such as `/einvoice.v1.LedgerService/Prepare`. Lists of
/// numbers are left out: they take about as much memory as bytes.
///
/// # Panics
/// When the build wrote no descriptors, which a test would see.
pub fn lists() -> BTreeMap<String, Vec<List>> {
    let files = FileDescriptorSet::decode(CLIENT_DESCRIPTORS).expect("the build wrote descriptors");
    let mut messages = BTreeMap::new();
    for file in &files.file {
        for message in &file.message_type {
            messages.insert(format!(".{}.{}", file.package(), message.name()), message);
        }
    }
    let mut found = BTreeMap::new();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                let mut lists = Vec::new();
                look(&messages, method.input_type(), &List { fields: Vec::new(), path: String::new() }, &mut lists);
                found.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()), lists);
            }
        }
    }
    found
}

fn look(messages: &BTreeMap<String, &DescriptorProto>, name: &str, way: &List, lists: &mut Vec<List>) {
    let Some(message) = messages.get(name).filter(|_| way.fields.len() < DEPTH_MAX) else { return };
    for field in &message.field {
        let kind = field.r#type();
        if !matches!(kind, Type::Message | Type::String | Type::Bytes) {
            continue;
        }
        let mut here = List { fields: way.fields.clone(), path: format!("{}/{}", way.path, field.name()) };
        here.fields.push(u64::try_from(field.number()).unwrap_or_default());
        if kind == Type::Message {
            look(messages, field.type_name(), &here, lists);
        }
        if field.label() == Label::Repeated {
            lists.push(here);
        }
    }
}

impl List {
    /// How many elements of it a message has, however the list is cut into parts. Where the bytes are no message it ends
    /// as a decoder does, so never below what one would make.
    pub fn count(&self, message: &[u8]) -> usize {
        count(message, &self.fields)
    }
}

fn count(message: &[u8], way: &[u64]) -> usize {
    let Some((field, behind)) = way.split_first() else { return 1 };
    fields(message).filter(|(found, _)| found == field).map(|(_, value)| count(value, behind)).sum()
}

/// The fields of a message that have a length, and what they hold.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (field, value, behind) = next(rest)?;
            rest = behind;
            if let Some(value) = value {
                return Some((field, value));
            }
        }
        None
    })
}

/// A field's number, what it holds if it has a length, and what stands behind it.
type Field<'b> = (u64, Option<&'b [u8]>, &'b [u8]);

/// The first field of a message (Protocol Buffers, "Encoding", Message Structure).
fn next(bytes: &[u8]) -> Option<Field<'_>> {
    let (tag, rest) = varint(bytes)?;
    let field = tag >> 3;
    match tag & 7 {
        0 => varint(rest).map(|(_, rest)| (field, None, rest)),
        1 => rest.split_at_checked(8).map(|(_, rest)| (field, None, rest)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((field, Some(value), rest))
        }
        // Groups, which a decoder skips: what is in them is counted too, and never too little.
        3 | 4 => Some((field, None, rest)),
        5 => rest.split_at_checked(4).map(|(_, rest)| (field, None, rest)),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generated::{
        BatchLockEvents, BatchLockRequest, BatchVerifyRequest, LockEvent, VerifyRequest, batch_lock_request,
    };

    const BATCH_VERIFY: &str = "/einvoice.v1.ReimbursementService/BatchVerify";
    const BATCH_LOCK: &str = "/einvoice.v1.ReimbursementService/BatchLock";

    fn list(method: &str) -> List {
        let lists = lists().remove(method).unwrap();
        assert_eq!(lists.len(), 1, "{method}");
        lists.into_iter().next().unwrap()
    }

    #[test]
    fn every_list_that_a_client_may_send_is_found() {
        let found: Vec<_> = lists()
            .into_iter()
            .flat_map(|(method, lists)| {
                lists.into_iter().map(move |list| {
                    assert!(list.fields.len() < DEPTH_MAX, "a message may hide lists deeper down");
                    format!("{method}{}", list.path)
                })
            })
            .collect();
        assert_eq!(
            found,
            [
                "/einvoice.v1.LedgerService/Prepare/events",
                "/einvoice.v1.LedgerService/Submit/attachments",
                "/einvoice.v1.LedgerService/Subscribe/kinds",
                "/einvoice.v1.ReimbursementService/BatchClose/batch_close/closes",
                "/einvoice.v1.ReimbursementService/BatchLock/batch_lock/locks",
                "/einvoice.v1.ReimbursementService/BatchVerify/requests",
                "/einvoice.v1.ReimbursementService/PrepareClaim/batch_lock/locks",
                "/einvoice.v1.ReimbursementService/PrepareClaim/batch_close/closes",
            ]
        );
    }

    #[test]
    fn elements_are_counted_however_small_and_wherever_they_stand() {
        let requests = vec![VerifyRequest::default(); 3];
        assert_eq!(list(BATCH_VERIFY).count(&BatchVerifyRequest { requests }.encode_to_vec()), 3);
        assert_eq!(list(BATCH_VERIFY).count(&[0x0a, 0].repeat(100_000)), 100_000);
        let locks = |count| {
            let locks = vec![LockEvent::default(); count];
            BatchLockRequest {
                form: Some(batch_lock_request::Form::BatchLock(BatchLockEvents { locks })),
                idempotency_key: "key".to_owned(),
            }
            .encode_to_vec()
        };
        // Two parts of one field are put together by who decodes them.
        let parts = [locks(2), locks(5)].concat();
        let decoded = BatchLockRequest::decode(&*parts).unwrap();
        assert!(matches!(decoded.form, Some(batch_lock_request::Form::BatchLock(batch)) if batch.locks.len() == 7));
        assert_eq!(list(BATCH_LOCK).count(&parts), 7);
        // Behind a group, which proto3 does not have and decoders skip.
        let group = [0x7b, 0x08, 0x01, 0x7c];
        let behind = [&group[..], &[0x0a, 0]].concat();
        assert_eq!(BatchVerifyRequest::decode(&*behind).unwrap().requests.len(), 1);
        assert_eq!(list(BATCH_VERIFY).count(&behind), 1);
    }

    proptest! {
        #[test]
        fn never_fewer_are_counted_than_are_decoded(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just(vec![0x0a, 0]),
                    Just(vec![0x12, 2, 0x0a, 0]),
                    Just(vec![0x7b, 0x0a, 0, 0x7c]),
                    Just(vec![0x18, 0x96, 0x01]),
                    Just(vec![0x21, 1, 2, 3, 4, 5, 6, 7, 8]),
                    Just(vec![0x2d, 1, 2, 3, 4]),
                    prop::collection::vec(any::<u8>(), 0..12),
                ],
                0..12,
            ),
        ) {
            let bytes = pieces.concat();
            if let Ok(decoded) = BatchVerifyRequest::decode(&*bytes) {
                prop_assert!(list(BATCH_VERIFY).count(&bytes) >= decoded.requests.len());
            }
            if let Ok(BatchLockRequest { form: Some(batch_lock_request::Form::BatchLock(batch)), .. }) =
                BatchLockRequest::decode(&*bytes)
            {
                prop_assert!(list(BATCH_LOCK).count(&bytes) >= batch.locks.len());
            }
        }
    }
}
