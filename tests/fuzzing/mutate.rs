//! Changes to an input, drawn from a seed.

use chain::hash::Hash;

/// Pieces that formats here give a meaning to.
const WORDS: [&[u8]; 20] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b".",
    b"null",
    b"-1",
    b"9007199254740992",
    b"0.00",
    b"\\u0000",
    b"\\ud800",
    b"1e9",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xef\xbb\xbf",
    b"accepted",
    b"-0.01",
];

/// How long an input may grow, in bytes.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Draws changes: the same seed, the same changes.
#[derive(Debug)]
pub struct Mutator {
    seed: String,
    drawn: u64,
}

impl Mutator {
    /// The changes of a seed.
    pub fn new(seed: &str) -> Self {
        Self { seed: seed.to_owned(), drawn: 0 }
    }

    /// A number below `end`; 0 when there is none.
    fn below(&mut self, end: usize) -> usize {
        self.drawn += 1;
        let hash = Hash::of(format!("{}/{}", self.seed, self.drawn).as_bytes());
        let number = u64::from_be_bytes(*hash.as_bytes().first_chunk().unwrap());
        usize::try_from(number % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// One of the inputs, changed in one to four places, or as it is now and then.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.below(5) {
            self.change(&mut input, seeds);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len());
        let end = (at + 1 + self.below(40)).min(input.len());
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap(),
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let piece = input[at..end].to_vec();
                let to = self.below(input.len());
                drop(input.splice(to..to, piece));
            }
            4 => {
                let word = WORDS[self.below(WORDS.len())];
                let over = if self.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
                drop(input.splice(at..over, word.iter().copied()));
            }
            5 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => input.truncate(at),
        }
    }
}
