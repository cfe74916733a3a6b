//! The events of a statement that is yet to be signed: no more of them are kept than a statement may have.

use std::fmt;

use chain::statement::Limits;
use ledger::admission::Rejection;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::drafting::check_count;

/// Events as they were sent.
#[derive(Debug)]
pub(crate) struct Events {
    /// The first of them, as many as a statement may have.
    pub(crate) kept: Vec<Box<RawValue>>,
    /// How many there are.
    count: usize,
}

impl Events {
    /// Whether there are as many as a statement may have, and one at least.
    pub(crate) fn check_count(&self) -> Result<(), Rejection> {
        check_count(self.count)
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<Events, A::Error> {
        let (max, mut kept) = (Limits::default().events_max, Vec::new());
        while kept.len() < max {
            match events.next_element()? {
                Some(event) => kept.push(event),
                None => return Ok(Events { count: kept.len(), kept }),
            }
        }
        // A body of millions of tiny events is counted, not kept.
        let mut count = kept.len();
        while events.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Events { kept, count })
    }
}
