//! What goes wrong, and when: planned from the seed before anything happens.

use std::fmt;
use std::time::Duration;

use crate::trial::seed::Seed;

/// How long things go wrong.
pub(super) const TROUBLE: Duration = Duration::from_secs(24);

/// How the wires are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weather {
    /// How long a frame takes at least, and how much longer at most, ms.
    pub(super) delay_ms: u64,
    pub(super) more_ms: u64,
    /// How many of a hundred frames are lost, come twice, may overtake others.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) overtaking: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self { delay_ms: 1, more_ms: 10, lost: 0, doubled: 0, overtaking: 0 }
    }
}

impl Weather {
    fn bad(dice: &mut Seed) -> Self {
        Self {
            delay_ms: 1 + dice.below(40),
            more_ms: [20, 100, 400, 1_500][dice.place(4)],
            lost: [0, 1, 3, 10][dice.place(4)],
            doubled: [0, 2, 10][dice.place(3)],
            overtaking: [0, 10, 100][dice.place(3)],
        }
    }
}

/// What one validator does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treason {
    /// Its key votes in two places at once, each of them honest by itself.
    Twins,
    /// It tells some another vote than the others.
    Votes,
    /// It shows some another block than the others, which no rule allows.
    Blocks,
    /// It keeps its blocks from some.
    Withholds,
}

impl Treason {
    /// Which kind it is, for the count.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Twins => "traitor: twins",
            Self::Votes => "traitor: votes",
            Self::Blocks => "traitor: blocks",
            Self::Withholds => "traitor: withholds",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// These ways carry nothing for a while.
    Cut { ways: Vec<(usize, usize)>, heals: Duration },
    /// The stream between two ends and is opened again.
    Flap { one: usize, other: usize },
    /// The wires become bad, all of them.
    Storm(Weather),
    /// The power of a node goes, now or at a later write, and it comes back on what its disk holds, or on an empty one.
    Crash { place: usize, writes: Option<i64>, back: Duration, empty: bool },
    /// All lose power, and come back after a while: at once, or each at some write of its own.
    Blackout { back: Duration, at_writes: bool },
    /// A node's clock is off by so much from now on.
    Clock { place: usize, off_ms: i64 },
    /// An hour goes by while nothing moves: nodes stand still and go on where they were, or are started again.
    Hour { blackout: bool },
    /// Whoever commits a block first from now on is cut off, and all others lose their power in that moment.
    Ambush { apart: Duration },
    /// A node's disk takes no more blocks for a while.
    Full { place: usize, lasts: Duration },
}

impl Fault {
    /// Which kind it is, for the count.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Cut { ways, .. } if ways.iter().all(|(from, to)| ways.contains(&(*to, *from))) => "partition",
            Self::Cut { .. } => "one-way partition",
            Self::Flap { .. } => "stream ended",
            Self::Storm(_) => "bad weather",
            Self::Crash { empty: true, .. } => "empty disk",
            Self::Crash { writes: Some(_), .. } => "crash at a write",
            Self::Crash { writes: None, .. } => "crash",
            Self::Blackout { at_writes: true, .. } => "blackout at writes",
            Self::Blackout { at_writes: false, .. } => "blackout",
            Self::Clock { .. } => "clock jump",
            Self::Hour { .. } => "halt of an hour",
            Self::Ambush { .. } => "ambush of a commit",
            Self::Full { .. } => "full disk",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Which faults nodes have beyond what a seed brings: only to show that they would be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// Logs do not outlive a crash.
    ForgetfulLogs,
    /// Disks say that a block is durable that is not, until it is committed.
    LyingDisks,
    /// Disks do not outlive a crash.
    ForgetfulDisks,
    /// Two validators of four vote in two places at once.
    TwoTwins,
}

impl Sabotage {
    /// What shows it, beside what the seed brings.
    fn faults(self) -> Vec<(Duration, Fault)> {
        let apart = Duration::from_secs(8);
        match self {
            Self::None => Vec::new(),
            Self::ForgetfulLogs | Self::LyingDisks => {
                (1..5).map(|number| (TROUBLE / 5 * number, Fault::Ambush { apart })).collect()
            }
            Self::ForgetfulDisks => vec![(TROUBLE / 2, Fault::Blackout { back: apart, at_writes: false })],
            // One honest validator with one of each two twins, the other with the others: each side is a quorum.
            Self::TwoTwins => {
                let (here, there) = ([0, 1, 2], [3, 4, 5]);
                let across = |from: usize| there.into_iter().flat_map(move |to| [(from, to), (to, from)]);
                let ways = here.into_iter().flat_map(across).collect();
                vec![(TROUBLE / 3, Fault::Cut { ways, heals: apart })]
            }
        }
    }
}

/// What a seed brings.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The power of each validator.
    pub(super) powers: Vec<u64>,
    /// Whether there is an observer beside them.
    pub(super) observer: bool,
    /// The validator that is not honest, if one is.
    pub(super) traitor: Option<(usize, Treason)>,
    /// The faults, in order of time.
    pub(super) faults: Vec<(Duration, Fault)>,
}

impl Plan {
    pub(super) fn of(dice: &mut Seed, sabotage: Sabotage) -> Self {
        let powers = if dice.happens(20) { vec![3, 2, 2, 2] } else { vec![1; 4] };
        let observer = dice.happens(30);
        let treasons = [Treason::Twins, Treason::Votes, Treason::Blocks, Treason::Withholds];
        // One of a quarter of the power or less: of unequal ones not the strongest.
        let traitor = dice.happens(45).then(|| (1 + dice.place(3), treasons[dice.place(4)]));
        // A validator that loses its disk may sign twice, so it is the one that is not honest; an observer may always.
        let loses = if observer && dice.happens(50) {
            Some(4)
        } else {
            traitor.is_none().then(|| 1 + dice.place(3)).filter(|_| dice.happens(40))
        };
        let twins = traitor.is_some_and(|(_, treason)| treason == Treason::Twins);
        let nodes = powers.len() + usize::from(observer) + usize::from(twins);
        let mut plan = Self { powers, observer, traitor, faults: Vec::new() };
        if sabotage != Sabotage::None {
            (plan.traitor, plan.powers, plan.observer) = (None, vec![1; 4], false);
        }
        let nodes = if sabotage == Sabotage::None { nodes } else { 4 };
        // Now and then hardly a moment without a fault.
        let many = if dice.happens(12) { 20 + dice.below(20) } else { 0 };
        for _ in 0..3 + dice.below(8) + many {
            let at = Duration::from_millis(500 + dice.below(u64::try_from(TROUBLE.as_millis()).unwrap() - 500));
            plan.faults.push((at, fault(dice, nodes)));
        }
        if let Some(place) = loses.filter(|_| sabotage == Sabotage::None) {
            for _ in 0..1 + dice.below(2) {
                let at = Duration::from_millis(4_000 + dice.below(15_000));
                let (writes, back) = (at_write(dice), Duration::from_millis(100 + dice.below(6_000)));
                plan.faults.push((at, Fault::Crash { place, writes, back, empty: true }));
            }
        }
        plan.faults.extend(sabotage.faults());
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }
}

/// One fault of any kind but an empty disk, which not everybody may have.
fn fault(dice: &mut Seed, nodes: usize) -> Fault {
    let back = Duration::from_millis(100 + dice.below(6_000));
    match dice.below(100) {
        0..8 => Fault::Ambush { apart: back },
        8..21 => Fault::Cut { ways: ways(dice, nodes), heals: Duration::from_millis(200 + dice.below(9_000)) },
        21..27 => {
            let one = dice.place(nodes);
            Fault::Flap { one, other: (one + 1 + dice.place(nodes - 1)) % nodes }
        }
        27..42 => Fault::Storm(Weather::bad(dice)),
        42..72 => Fault::Crash { place: dice.place(nodes), writes: at_write(dice), back, empty: false },
        72..81 => Fault::Blackout { back, at_writes: dice.happens(50) },
        81..90 => Fault::Clock { place: dice.place(nodes), off_ms: off_ms(dice) },
        90..94 => Fault::Hour { blackout: dice.happens(50) },
        94..98 => Fault::Full { place: dice.place(nodes), lasts: back },
        _ => Fault::Storm(Weather::default()),
    }
}

/// After how many writes the power goes, when it is not at once.
fn at_write(dice: &mut Seed) -> Option<i64> {
    dice.happens(70).then(|| i64::try_from(dice.below(24)).expect("it is small"))
}

/// How far off a clock is, ms: mostly little, at most an hour.
fn off_ms(dice: &mut Seed) -> i64 {
    let most = [500, 4_000, 60_000, 3_600_000][dice.place(4)];
    i64::try_from(dice.below(2 * most + 1)).expect("it is small") - i64::try_from(most).expect("it is small")
}

/// A partition: into two groups, of one node, or of what one says alone.
fn ways(dice: &mut Seed, nodes: usize) -> Vec<(usize, usize)> {
    let mut ways = Vec::new();
    let here: Vec<usize> = (0..nodes).filter(|_| dice.happens(50)).collect();
    let one_way = dice.happens(40);
    for from in 0..nodes {
        for to in 0..nodes {
            let (from_here, to_here) = (here.contains(&from), here.contains(&to));
            if from != to && from_here != to_here && (from_here || !one_way) {
                ways.push((from, to));
            }
        }
    }
    ways
}
