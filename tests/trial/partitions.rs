//! `partitions`: four nodes on four hosts, and lines between them that are cut, one way or both, again and again, or bad.
//!
//! A round is: load at all doors; a cut; what must go on goes on, what must not decide does not and says whom it misses;
//! the cut is healed, and all decide again within a bounded time; every answer is asked for again. At the end the four
//! chains are replayed and held against each other and against every answer.

mod door;
mod net;

use std::thread;
use std::time::{Duration, Instant};

use super::binary::{Binary, eventually};
use super::four::{Crowd, Four, NODES, Place};
use super::load::{Acknowledged, Meter, Worker};
use super::seed::Seed;
use super::{Broken, Report};
use door::Door;
use net::{Line, Net};

pub use net::NotHere;

/// How soon a node must say that it misses others: a line that is cut is noticed by what does not come.
const NO_QUORUM_MAX: Duration = Duration::from_secs(40);

/// How soon a statement must be decided where enough are in reach.
const DECIDES_MAX: Duration = Duration::from_secs(60);

/// How soon after a cut is healed all four must decide again.
const HEALED_MAX: Duration = Duration::from_secs(90);

/// For how long it is watched that nobody decides who must not.
const STILL: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed.
    pub seed: u64,
    /// How many rounds.
    pub rounds: u64,
    /// Pairs of platforms that want the same invoices.
    pub duellists: usize,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form.
    pub fn long(binary: Binary, seed: u64, rounds: u64) -> Self {
        Self { binary, seed, rounds, duellists: 2, talk: true }
    }

    /// The short form: one cut off, two and two, and one direction alone.
    pub fn short(binary: Binary, seed: u64) -> Self {
        Self { binary, seed, rounds: 3, duellists: 1, talk: false }
    }
}

/// What is done to the lines in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    ThreeAndOne,
    TwoAndTwo,
    OneWay,
    Unplugged,
    Flapping,
    BadLines,
}

impl Cut {
    const ALL: [Self; 6] =
        [Self::ThreeAndOne, Self::TwoAndTwo, Self::OneWay, Self::Unplugged, Self::Flapping, Self::BadLines];

    fn name(self, netem: bool) -> &'static str {
        match self {
            Self::ThreeAndOne => "three and one, packets vanish",
            Self::TwoAndTwo => "two and two, packets vanish",
            Self::OneWay => "some directions cut, not the other",
            Self::Unplugged => "one is unplugged",
            Self::Flapping => "one is plugged in and out",
            Self::BadLines if netem => "late, lost, doubled, reordered",
            Self::BadLines => "slow lines that drop what is too much",
        }
    }
}

/// Runs the rounds.
///
/// # Errors
/// What kept the trial from being carried out, [`NotHere`] when this machine cannot; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let net = Net::make()?;
    let directory = tempfile::Builder::new().prefix("einvoice-partitions-").tempdir()?;
    let seed = Seed::new(options.seed);
    let inside = "127.0.0.1:8080";
    let mut doors = Vec::new();
    let mut places = Vec::new();
    for place in 0..NODES {
        let door = Door::open(net.namespace(place), inside.parse()?)?;
        places.push(Place {
            namespace: Some(net.namespace(place).to_owned()),
            peer: format!("{}:7100", Net::address(place)),
            listen: inside.to_owned(),
            url: door.url(),
            grpc: String::new(),
        });
        doors.push(door);
    }
    let mut four = Four::make(&options.binary, directory.path(), places)?;
    let all: Vec<usize> = (0..NODES).collect();
    all.iter().try_for_each(|place| four.start(*place))?;
    four.until_ready(&all)?;
    let crowd = Crowd::new(&seed, 1, options.duellists);
    let mut report = Report::new("partitions", options.seed);
    if !net.has_netem() {
        let text = "delay, loss, doubling and reordering by netem: this kernel has none; lines were made slow instead";
        report.skipped.push(text.to_owned());
    }
    let (healed, probes) = (Duration::ZERO, 0);
    let mut trial = Trial { options, seed, net, four, crowd, report, probes, healed };
    let outcome = (0..options.rounds).try_for_each(|round| trial.round(round)).and_then(|()| trial.end());
    Ok(trial.report.end(outcome, directory))
}

/// A report that says what this machine lacks; any other error stays one.
///
/// # Errors
/// The error, when it is another.
pub fn not_here(seed: u64, error: Broken) -> Result<Report, Broken> {
    let lacks = error.downcast::<NotHere>()?;
    let mut report = Report::new("partitions", seed);
    report.skipped.push(format!("partitions: {lacks}"));
    Ok(report)
}

struct Trial<'a> {
    options: &'a Options,
    seed: Seed,
    net: Net,
    four: Four,
    crowd: Crowd,
    report: Report,
    probes: usize,
    /// The longest time from the end of a cut to a decision at every door.
    healed: Duration,
}

impl Trial<'_> {
    fn round(&mut self, round: u64) -> Result<(), Broken> {
        let began = Instant::now();
        // One of each kind first, then as the seed says.
        let kinds = Cut::ALL.len();
        let cut = Cut::ALL[usize::try_from(round)?.min(kinds)..].first().copied();
        let cut = cut.unwrap_or_else(|| Cut::ALL[self.seed.place(kinds)]);
        let mut order: Vec<usize> = (0..NODES).collect();
        for place in 0..NODES {
            let other = place + self.seed.place(NODES - place);
            order.swap(place, other);
        }
        let doors = self.four.doors();
        let (four, net, seed, probes) = (&self.four, &self.net, &mut self.seed, &mut self.probes);
        let (mut losses, healed, told) = self.crowd.load(&doors, || {
            let mut scene = Scene { four, net, seed, probes, order: &order, told: Vec::new() };
            // The moment of the cut, nothing is waited for.
            thread::sleep(Duration::from_millis(scene.seed.below(1_500)));
            let mut losses = scene.play(cut)?;
            net.heal()?;
            let healing = Instant::now();
            for place in 0..NODES {
                losses.extend(scene.decides(place, HEALED_MAX));
            }
            Ok((losses, healing.elapsed(), scene.told))
        })?;
        self.crowd.others.extend(told);
        self.healed = self.healed.max(healed);
        self.four.until_level()?;
        losses.extend(self.crowd.check(&doors)?);
        if self.options.talk {
            let (name, names, heights) = (cut.name(self.net.has_netem()), self.four.names(&order), self.four.heights());
            let (took, healed, lost) = (began.elapsed().as_millis(), healed.as_millis(), losses.len());
            eprintln!("round {round}: {name} ({names}), {took} ms, healed in {healed} ms, {heights:?}, {lost} losses");
        }
        self.report.round(cut.name(self.net.has_netem()), 1, losses);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        let doors = self.four.doors();
        let mut losses = self.crowd.settle(&doors)?;
        self.four.until_level()?;
        losses.extend(self.four.verdict(&self.crowd, &mut self.report)?);
        self.report.round("four chains replayed at the end", 0, losses);
        self.report.fact("longest until all decide again, ms", self.healed.as_millis());
        Ok(())
    }
}

/// One cut, and what must follow from it.
struct Scene<'a> {
    four: &'a Four,
    net: &'a Net,
    seed: &'a mut Seed,
    probes: &'a mut usize,
    /// The nodes in the order in which they are dealt with.
    order: &'a [usize],
    /// What the statements were answered by which it is seen whether anything is decided.
    told: Vec<Acknowledged>,
}

impl Scene<'_> {
    fn play(&mut self, cut: Cut) -> Result<Vec<String>, Broken> {
        let order = self.order;
        Ok(match cut {
            Cut::ThreeAndOne => {
                self.net.split(&order[..1], &order[1..])?;
                self.three_go_on()
            }
            Cut::Unplugged => {
                self.net.plug(order[0], false)?;
                self.three_go_on()
            }
            Cut::TwoAndTwo => {
                self.net.split(&order[..2], &order[2..])?;
                self.nobody_decides()
            }
            Cut::OneWay => {
                // No two cuts touch all of anybody's lines, so that everybody is in reach of everybody over others.
                self.net.cut(order[0], order[1])?;
                self.net.cut(order[2], order[3])?;
                (0..NODES).flat_map(|place| self.decides(place, DECIDES_MAX)).collect()
            }
            Cut::Flapping => {
                for _ in 0..6 {
                    for up in [false, true] {
                        self.net.plug(order[0], up)?;
                        // The pace of the flapping, nothing is waited for.
                        thread::sleep(Duration::from_millis(200 + self.seed.below(1_300)));
                    }
                }
                order[1..].iter().flat_map(|place| self.decides(*place, DECIDES_MAX)).collect()
            }
            Cut::BadLines => {
                for place in 0..NODES {
                    let seed = &mut *self.seed;
                    let line = Line {
                        delay_ms: 5 + seed.below(80),
                        jitter_ms: 1 + seed.below(30),
                        loss: seed.below(30),
                        double: seed.below(20),
                        reorder: seed.below(50),
                        kilobits: 1_000 + seed.below(4_000),
                    };
                    self.net.spoil(place, &line)?;
                }
                // For a while under load, then whether something is decided still.
                thread::sleep(Duration::from_secs(6));
                (0..NODES).flat_map(|place| self.decides(place, DECIDES_MAX)).collect()
            }
        })
    }

    /// A statement that is posted at a node is decided within a limit.
    fn decides(&mut self, place: usize, limit: Duration) -> Vec<String> {
        *self.probes += 1;
        let (client, meter) = (self.four.members[place].client.another(), Meter::default());
        let mut prober = Worker::new(10_000 + *self.probes, self.seed);
        let decided = eventually(limit, || {
            prober.once(&client, &meter);
            (!prober.acknowledged.is_empty()).then_some(())
        });
        let mut losses = prober.take_losses();
        self.told.append(&mut prober.acknowledged);
        if decided.is_none() {
            let (name, heights) = (&self.four.members[place].organisation, self.four.heights());
            losses.push(format!("{name} decides nothing within {limit:?}: {heights:?} {:?}", self.four.status(place)));
        }
        losses
    }

    /// The first is alone: the others go on, it says whom it misses, and its chain stands still.
    fn three_go_on(&mut self) -> Vec<String> {
        let (alone, others) = (self.order[0], &self.order[1..]);
        let mut losses: Vec<String> = others.iter().flat_map(|place| self.decides(*place, DECIDES_MAX)).collect();
        losses.extend(self.four.says_no_quorum(alone, others, NO_QUORUM_MAX));
        losses.extend(self.stands_still(&[alone]));
        losses
    }

    /// Two and two: each says whom it misses, and all chains stand still.
    fn nobody_decides(&mut self) -> Vec<String> {
        let (one, other) = self.order.split_at(NODES / 2);
        let mut losses = Vec::new();
        for (side, missing) in [(one, other), (other, one)] {
            losses.extend(side.iter().flat_map(|place| self.four.says_no_quorum(*place, missing, NO_QUORUM_MAX)));
        }
        losses.extend(self.stands_still(self.order));
        losses
    }

    fn stands_still(&self, places: &[usize]) -> Vec<String> {
        let heights = || places.iter().map(|place| self.four.height(*place)).collect::<Vec<_>>();
        let before = heights();
        let moved = eventually(STILL, || Some(heights()).filter(|after| *after != before));
        let name = self.four.names(places);
        moved
            .map(|after| format!("{name} went on without a quorum, from {before:?} to {after:?}"))
            .into_iter()
            .collect()
    }
}
