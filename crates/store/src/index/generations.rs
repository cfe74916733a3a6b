//! Tables whose rows come in no order of their keys: see [`Table::comes_by_chance`].
//!
//! In one ordered table of millions each new row of that kind meets a page of its own, so that a checkpoint reads
//! and writes as many pages as it has such rows: at a million events that was half of all. Here rows stand by
//! generations. Each takes in some hundred thousand rows that came one after the other, is written to only while it
//! is the newest, and has few pages for it. A Bloom filter for each (B. H. Bloom, 1970) says in which
//! generations a key may be, so that a key that is nowhere, which is what is mostly asked for, costs no page at all.
//!
//! ```text
//! 40 | table | generation (4)             -> rows that were put (8) | rows that are left (8) | is it full (1)
//! 41 | table | generation (4) | part (2)  -> a part of its filter, once it is no longer the newest one's
//! ```
//!
//! All of this is written by checkpoints, as rows among the others. The filter of the newest generation is
//! made again from its rows at a start.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::ops::Bound;
use std::sync::Arc;

use fastbloom::BloomFilter;
use replica::port::{Direction, StoreFault, Table};
use siphasher::sip::SipHasher13;

use super::layout;
use super::memtable::Memtable;
use crate::database::Database;
use crate::fault;

/// Bits of a filter, 256 KiB: 16 for each of 128 Ki rows. Of absent keys one in 400 costs a page then; one in 40 when
/// there are twice as many rows.
const FILTER_BITS: usize = 2 * 1024 * 1024;

/// Bits of a filter that tell of one key.
const BITS_A_KEY: u32 = 4;

/// Words of a filter in a row: 16 KiB.
const PART_WORDS: usize = 2 * 1024;

/// Rows that are read at a time when a filter is made again.
const ROWS_A_READ: usize = 4 * 1024;

/// The generations of every table, the newest of each last.
#[derive(Clone, Debug)]
pub(super) struct Generations {
    tables: BTreeMap<Table, Vec<Generation>>,
    /// Rows after which a generation is full. A checkpoint goes into one generation as a whole.
    rows_full: u64,
}

#[derive(Clone, Debug)]
struct Generation {
    number: u32,
    /// Rows that were ever put.
    put: u64,
    /// Rows that are left of them.
    left: u64,
    /// It takes no more, and its filter is kept.
    is_full: bool,
    filter: Arc<BloomFilter>,
}

/// A write, in the generation where it belongs.
pub(super) struct Placed<'m> {
    pub(super) generation: u32,
    pub(super) key: &'m [u8],
    pub(super) value: Option<&'m [u8]>,
}

/// Where the writes of a checkpoint go, and what it leaves.
pub(super) struct Plan<'m> {
    placed: BTreeMap<Table, Vec<Placed<'m>>>,
    /// Rows about generations, with their whole keys, in order.
    pub(super) about: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The generations once all of it is written.
    pub(super) after: Generations,
}

impl Plan<'_> {
    /// The writes of a table in the order of their whole keys.
    pub(super) fn of_table(&self, table: Table) -> &[Placed<'_>] {
        self.placed.get(&table).map_or(&[], Vec::as_slice)
    }
}

/// What filters know of a key. The same on every machine and in every version, because filters are kept.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(key);
    hasher.finish()
}

fn filter_of(words: Vec<u64>) -> BloomFilter {
    BloomFilter::from_vec(words).hashes(BITS_A_KEY)
}

impl Generation {
    fn new(number: u32) -> Self {
        let filter = Arc::new(filter_of(vec![0; FILTER_BITS / 64]));
        Self { number, put: 0, left: 0, is_full: false, filter }
    }

    fn row(&self) -> Vec<u8> {
        let mut row = [self.put, self.left].map(u64::to_be_bytes).concat();
        row.push(u8::from(self.is_full));
        row
    }

    fn from_row(number: u32, row: &[u8]) -> Option<Self> {
        let (put, rest) = row.split_first_chunk::<8>()?;
        let (left, rest) = rest.split_first_chunk::<8>()?;
        let is_full = match rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let (put, left) = (u64::from_be_bytes(*put), u64::from_be_bytes(*left));
        Some(Self { put, left, is_full, ..Self::new(number) })
    }

    /// The rows that hold its filter.
    fn parts(&self, table: Table) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let parts = (0..).zip(self.filter.as_slice().chunks(PART_WORDS));
        parts.map(move |(part, words)| {
            let bytes = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            (layout::filter_key(table, self.number, part), bytes)
        })
    }
}

impl Generations {
    /// Reads what checkpoints left.
    pub(super) fn load(database: &Database, rows_full: u64) -> Result<Self, StoreFault> {
        let mut tables = BTreeMap::new();
        for table in Table::ALL.into_iter().filter(|table| table.comes_by_chance()) {
            let rows =
                every_row(database, &layout::generation_key(table, 0), &layout::generation_key(table, u32::MAX))?;
            let mut generations = Vec::with_capacity(rows.len());
            for (key, row) in rows {
                let number = key.last_chunk().map(|number| u32::from_be_bytes(*number));
                let generation = number.and_then(|number| Generation::from_row(number, &row));
                let damaged = || damaged(format!("index, a generation of {table:?}"), format!("{} bytes", row.len()));
                let mut generation = generation.ok_or_else(damaged)?;
                let filter = if generation.is_full { kept_filter } else { filter_of_rows };
                generation.filter = Arc::new(filter(database, table, generation.number)?);
                generations.push(generation);
            }
            tables.insert(table, generations);
        }
        Ok(Self { tables, rows_full })
    }

    /// Those of an empty index.
    pub(super) const fn none(rows_full: u64) -> Self {
        Self { tables: BTreeMap::new(), rows_full }
    }

    /// Those that are left when the index is emptied.
    pub(super) const fn emptied(&self) -> Self {
        Self::none(self.rows_full)
    }

    /// The generations of a table that may have a key, the newest first.
    pub(super) fn candidates(&self, table: Table, key: &[u8]) -> Vec<u32> {
        let hash = hash(key);
        let generations = self.tables.get(&table).into_iter().flatten().rev();
        generations
            .filter(|generation| generation.filter.contains_hash(hash))
            .map(|generation| generation.number)
            .collect()
    }

    /// Finds the place of every write of a memtable. `stands` says whether a row is in the database, by its whole key.
    pub(super) fn plan<'m>(
        &self,
        memtable: &'m Memtable,
        stands: impl Fn(&[u8]) -> Result<bool, StoreFault>,
    ) -> Result<Plan<'m>, StoreFault> {
        let mut plan = Plan { placed: BTreeMap::new(), about: BTreeMap::new(), after: self.clone() };
        for table in Table::ALL.into_iter().filter(|table| table.comes_by_chance()) {
            let (deletions, puts): (Vec<_>, Vec<_>) = memtable.of_table(table).partition(|(_, value)| value.is_none());
            if deletions.is_empty() && puts.is_empty() {
                continue;
            }
            let generations = plan.after.tables.entry(table).or_default();
            let mut placed = remove(generations, table, &deletions, self, &stands)?;
            placed.extend(put(generations, table, &puts, self.rows_full, &stands)?);
            placed.sort_unstable_by_key(|placed| (placed.generation, placed.key));
            settle(generations, table, self, &mut plan.about);
            plan.placed.insert(table, placed);
        }
        Ok(plan)
    }
}

/// Places deletions in every generation that has the row.
fn remove<'m>(
    generations: &mut [Generation],
    table: Table,
    deletions: &[(&'m [u8], Option<&'m [u8]>)],
    before: &Generations,
    stands: &impl Fn(&[u8]) -> Result<bool, StoreFault>,
) -> Result<Vec<Placed<'m>>, StoreFault> {
    let mut placed = Vec::new();
    for &(key, value) in deletions {
        for number in before.candidates(table, key) {
            if !stands(&layout::placed_key(table, number, key))? {
                continue;
            }
            if let Some(generation) = generations.iter_mut().find(|generation| generation.number == number) {
                generation.left = generation.left.saturating_sub(1);
                placed.push(Placed { generation: number, key, value });
            }
        }
    }
    Ok(placed)
}

/// Places rows in the newest generation, a new one if that is full.
fn put<'m>(
    generations: &mut Vec<Generation>,
    table: Table,
    puts: &[(&'m [u8], Option<&'m [u8]>)],
    rows_full: u64,
    stands: &impl Fn(&[u8]) -> Result<bool, StoreFault>,
) -> Result<Vec<Placed<'m>>, StoreFault> {
    if puts.is_empty() {
        return Ok(Vec::new());
    }
    let next = match generations.last() {
        None => Some(0),
        Some(newest) => newest.is_full.then(|| newest.number + 1),
    };
    generations.extend(next.map(Generation::new));
    let newest = generations.last_mut().expect("one was there or is new");
    let mut filter = BloomFilter::clone(&newest.filter);
    let mut placed = Vec::with_capacity(puts.len());
    for &(key, value) in puts {
        // A row that takes the place of another is no more than that one.
        if !filter.insert_hash(hash(key)) || !stands(&layout::placed_key(table, newest.number, key))? {
            newest.left += 1;
        }
        placed.push(Placed { generation: newest.number, key, value });
    }
    newest.put += u64::try_from(puts.len()).expect("a count of rows in memory fits 64 bits");
    newest.is_full = newest.put >= rows_full;
    newest.filter = Arc::new(filter);
    Ok(placed)
}

/// Forgets generations of which nothing is left, and writes down what changed of the others.
fn settle(
    generations: &mut Vec<Generation>,
    table: Table,
    before: &Generations,
    about: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>,
) {
    generations.retain(|generation| {
        let is_kept = generation.left > 0 || !generation.is_full;
        if !is_kept {
            about.insert(layout::generation_key(table, generation.number), None);
            about.extend(generation.parts(table).map(|(key, _)| (key, None)));
        }
        is_kept
    });
    let before = before.tables.get(&table).map_or(&[][..], Vec::as_slice);
    for generation in generations {
        let known = before.iter().find(|known| known.number == generation.number);
        if known.is_some_and(|known| (known.put, known.left) == (generation.put, generation.left)) {
            continue;
        }
        about.insert(layout::generation_key(table, generation.number), Some(generation.row()));
        if generation.is_full && !known.is_some_and(|known| known.is_full) {
            about.extend(generation.parts(table).map(|(key, part)| (key, Some(part))));
        }
    }
}

fn damaged(place: String, found: String) -> StoreFault {
    fault::damaged(place, "what a checkpoint left", found)
}

/// The filter of a generation, as it was kept.
fn kept_filter(database: &Database, table: Table, number: u32) -> Result<BloomFilter, StoreFault> {
    let rows =
        every_row(database, &layout::filter_key(table, number, 0), &layout::filter_key(table, number, u16::MAX))?;
    let bytes: Vec<u8> = rows.into_iter().flat_map(|(_, part)| part).collect();
    if bytes.len() * 8 != FILTER_BITS {
        let place = format!("index, the filter of generation {number} of {table:?}");
        return Err(damaged(place, format!("{} bytes", bytes.len())));
    }
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_be_bytes(*word));
    Ok(filter_of(words.collect()))
}

/// The same, made again from its rows.
fn filter_of_rows(database: &Database, table: Table, number: u32) -> Result<BloomFilter, StoreFault> {
    let mut filter = filter_of(vec![0; FILTER_BITS / 64]);
    let prefix = layout::placed_key(table, number, &[]);
    for_each_row(database, &prefix, &layout::placed_key(table, number.saturating_add(1), &[]), |key, _| {
        filter.insert_hash(hash(&key[prefix.len()..]));
    })?;
    Ok(filter)
}

/// A row: key and value.
type Row = (Vec<u8>, Vec<u8>);

/// The rows from a key up to another, both included.
fn every_row(database: &Database, from: &[u8], to: &[u8]) -> Result<Vec<Row>, StoreFault> {
    let mut rows = Vec::new();
    for_each_row(database, from, to, |key, value| rows.push((key.to_vec(), value.to_vec())))?;
    Ok(rows)
}

/// Shows the rows from a key up to another, both included.
fn for_each_row(
    database: &Database,
    from: &[u8],
    to: &[u8],
    mut show: impl FnMut(&[u8], &[u8]),
) -> Result<(), StoreFault> {
    let mut after = None;
    loop {
        let begin = after.as_deref().map_or(Bound::Included(from), Bound::Excluded);
        let range = (begin, Bound::Included(to));
        let rows = database.rows(|| "index, generations".to_owned(), range, Direction::Forward, ROWS_A_READ)?;
        for (key, value) in &rows {
            show(key, value);
        }
        match rows.into_iter().nth(ROWS_A_READ - 1) {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use replica::port::IndexWrites;

    use super::*;
    use crate::database::Profile;

    const TABLE: Table = Table::Nonce;

    /// A database, and what stands beside it in memory.
    struct Subject {
        database: Database,
        generations: Generations,
        _directory: tempfile::TempDir,
    }

    impl Subject {
        fn new(rows_full: u64) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let profile = Profile {
                name: "generations",
                directory: directory.path().to_owned(),
                cache_bytes: 1024 * 1024,
                zstd_level: 1,
                expansion: 1,
                in_background: false,
            };
            let database = Database::open(profile).unwrap();
            let generations = Generations::load(&database, rows_full).unwrap();
            Self { database, generations, _directory: directory }
        }

        fn row(&self, key: &[u8]) -> Option<Vec<u8>> {
            self.database.get(String::new, key).unwrap()
        }

        /// What a reader finds.
        fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
            let candidates = self.generations.candidates(TABLE, key).into_iter();
            candidates.map(|generation| self.row(&layout::placed_key(TABLE, generation, key))).find_map(|row| row)
        }

        fn checkpoint(&mut self, writes: IndexWrites) {
            let mut memtable = Memtable::default();
            memtable.apply(writes);
            let plan = self.generations.plan(&memtable, |key| Ok(self.row(key).is_some())).unwrap();
            let placed = plan.of_table(TABLE).iter();
            let placed: Vec<_> = placed
                .map(|placed| (layout::placed_key(TABLE, placed.generation, placed.key), placed.value))
                .chain(plan.about.iter().map(|(key, value)| (key.clone(), value.as_deref())))
                .collect();
            self.database.write(placed.iter().map(|(key, value)| (key.as_slice(), *value))).unwrap();
            self.generations = plan.after;
        }

        /// Rows of the database under a first byte.
        fn rows_under(&self, prefix: u8) -> usize {
            every_row(&self.database, &[prefix], &[prefix + 1]).unwrap().len()
        }

        fn numbers(&self) -> Vec<(u32, u64)> {
            self.generations.tables[&TABLE].iter().map(|generation| (generation.number, generation.left)).collect()
        }
    }

    fn write(key: u8, value: Option<u8>) -> ((Table, Vec<u8>), Option<Vec<u8>>) {
        ((TABLE, vec![key]), value.map(|value| vec![value]))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// The same as one map, also when it is opened again after each checkpoint, and nothing is left of what was
        /// deleted.
        #[test]
        fn they_answer_like_a_map(
            checkpoints in prop::collection::vec(
                prop::collection::btree_map(0..24_u8, prop::option::weighted(0.6, any::<u8>()), 1..12), 1..12),
            rows_full in 1..20_u64,
        ) {
            let mut subject = Subject::new(rows_full);
            let mut map = BTreeMap::new();
            for checkpoint in checkpoints {
                map.extend(checkpoint.clone());
                subject.checkpoint(checkpoint.into_iter().map(|(key, value)| write(key, value)).collect());
                let loaded = Generations::load(&subject.database, rows_full).unwrap();
                for key in 0..24 {
                    let expected = map.get(&key).copied().flatten().map(|value| vec![value]);
                    prop_assert_eq!(subject.get(&[key]), expected, "key {}", key);
                    let candidates = loaded.candidates(TABLE, &[key]);
                    let stands = |generation: &u32| subject.row(&layout::placed_key(TABLE, *generation, &[key])).is_some();
                    let before = subject.generations.candidates(TABLE, &[key]);
                    prop_assert_eq!(
                        candidates.into_iter().filter(stands).collect::<Vec<_>>(),
                        before.into_iter().filter(stands).collect::<Vec<_>>()
                    );
                }
                subject.generations = loaded;
                let left: u64 = subject.numbers().iter().map(|(_, left)| left).sum();
                prop_assert_eq!(usize::try_from(left).unwrap(), subject.rows_under(layout::placed_key(TABLE, 0, &[])[0]));
            }
            let everything = (0..24).map(|key| write(key, None)).collect();
            subject.checkpoint(everything);
            prop_assert!((0..24).all(|key| subject.get(&[key]).is_none()));
            prop_assert!(subject.numbers().len() <= 1, "{:?}", subject.numbers());
            prop_assert_eq!(subject.rows_under(layout::filter_key(TABLE, 0, 0)[0]), 0);
        }
    }

    #[test]
    fn a_filter_leaves_few_generations_to_look_in_and_is_kept_as_it_is() {
        let mut subject = Subject::new(1_000);
        let key = |generation: u32, number: u32| {
            chain::hash::Hash::of(&[generation.to_be_bytes(), number.to_be_bytes()].concat())
        };
        for generation in 0..5 {
            let rows = (0..1_000).map(|number| ((TABLE, key(generation, number).as_bytes().to_vec()), Some(vec![1])));
            subject.checkpoint(rows.collect());
        }
        assert_eq!(subject.numbers(), [(0, 1_000), (1, 1_000), (2, 1_000), (3, 1_000), (4, 1_000)]);
        let loaded = Generations::load(&subject.database, 1_000).unwrap();
        let mut others = BTreeSet::new();
        for number in 0..1_000 {
            for (generation, name) in [(0, 0), (4, 4), (9, u32::MAX)] {
                let key = key(generation, number);
                let candidates = subject.generations.candidates(TABLE, key.as_bytes());
                assert_eq!(candidates, loaded.candidates(TABLE, key.as_bytes()));
                assert!(generation == 9 || candidates.contains(&name), "{candidates:?}");
                others.extend((candidates.len() > usize::from(generation != 9)).then_some((generation, number)));
            }
        }
        assert!(others.len() < 10, "{others:?}");
        // Whoever changes how filters are made must also count up the form of the index.
        let filter = &subject.generations.tables[&TABLE][0].filter;
        let bytes: Vec<u8> = filter.as_slice().iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(
            chain::hash::Hash::of(&bytes).to_string(),
            "e8feb0b51d5d219a48c9c5bebba91ec191330dd67b0a1037d02f6677417fe369"
        );
    }
}
