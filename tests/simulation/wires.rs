//! What is between the nodes: every wire one way, each with its own faults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::faults::Weather;
use crate::trial::seed::Seed;

/// One way between two nodes.
#[derive(Clone, Debug, Default)]
struct Wire {
    /// It was cut so often, and is whole when nobody holds it.
    cuts: u32,
    /// When the frame before arrives: frames overtake each other only in bad weather.
    last: Duration,
    /// How often it was opened anew: what was on the way before is lost.
    epoch: u64,
}

/// All wires.
#[derive(Debug)]
pub(super) struct Wires {
    wires: BTreeMap<(usize, usize), Wire>,
    pub(super) weather: Weather,
    dice: Seed,
    /// Frames that were lost, doubled, or overtook another.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) overtaken: u64,
}

impl Wires {
    pub(super) fn new(dice: Seed) -> Self {
        let weather = Weather::default();
        Self { wires: BTreeMap::new(), weather, dice, lost: 0, doubled: 0, overtaken: 0 }
    }

    fn wire(&mut self, from: usize, to: usize) -> &mut Wire {
        self.wires.entry((from, to)).or_default()
    }

    /// Cuts the way from some to others.
    pub(super) fn cut(&mut self, ways: &[(usize, usize)]) {
        ways.iter().for_each(|(from, to)| self.wire(*from, *to).cuts += 1);
    }

    /// Joins what was cut once.
    pub(super) fn join(&mut self, ways: &[(usize, usize)]) {
        for (from, to) in ways {
            let wire = self.wire(*from, *to);
            wire.cuts = wire.cuts.saturating_sub(1);
        }
    }

    /// Everything works.
    pub(super) fn heal(&mut self) {
        self.weather = Weather::default();
        self.wires.values_mut().for_each(|wire| wire.cuts = 0);
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.wires.get(&(from, to)).is_some_and(|wire| wire.cuts > 0)
    }

    /// Opens the stream between two anew.
    pub(super) fn open(&mut self, one: usize, other: usize) {
        self.wire(one, other).epoch += 1;
        self.wire(other, one).epoch += 1;
    }

    pub(super) fn epoch(&self, from: usize, to: usize) -> u64 {
        self.wires.get(&(from, to)).map_or(0, |wire| wire.epoch)
    }

    /// When a frame that is sent now arrives: never, once, or twice.
    pub(super) fn send(&mut self, from: usize, to: usize, now: Duration) -> Vec<Duration> {
        let Weather { delay_ms, more_ms, lost, doubled, overtaking } = self.weather;
        if self.is_cut(from, to) {
            return Vec::new();
        }
        if self.dice.happens(lost) {
            self.lost += 1;
            return Vec::new();
        }
        let copies = if self.dice.happens(doubled) { 2 } else { 1 };
        self.doubled += copies - 1;
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let micros = (delay_ms * 1_000) + self.dice.below(more_ms * 1_000 + 1);
            let mut at = now + Duration::from_micros(micros);
            let overtakes = self.dice.happens(overtaking);
            let wire = self.wire(from, to);
            if at < wire.last {
                if overtakes {
                    self.overtaken += 1;
                } else {
                    at = wire.last;
                }
            }
            let wire = self.wire(from, to);
            wire.last = wire.last.max(at);
            arrivals.push(at);
        }
        arrivals
    }
}
