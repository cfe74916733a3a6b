//! The loop: what happens next, and what follows from it.

mod trouble;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chain::genesis::Genesis;
use chain::hash::StatementId;
use consensus::simulation::{Time, Verified};
use wire::peer::KeyBytes;

use super::checker::Checker;
use super::clients::Clients;
use super::faults::{Fault, Plan, Sabotage, TROUBLE, Treason};
use super::history::History;
use super::machine::{Machine, Posted};
use super::traitor::Traitor;
use super::wires::Wires;
use super::{Options, Run};
use crate::consortium::{AGENCIES, genesis_with, secret};
use crate::trial::panic_text;
use crate::trial::seed::Seed;

/// How long after healing everything must be final.
const HEALING_MAX: Duration = Duration::from_secs(180);

/// Steps of one run: an endless loop without time passing is a fault too.
const STEPS_MAX: u64 = 3_000_000;

/// Something that happens.
enum Event {
    Frame { from: usize, to: usize, epoch: u64, bytes: Bytes },
    Wake { place: usize },
    Clients,
    Fault(Fault),
    Join(Vec<(usize, usize)>),
    Connect(usize, usize),
    Ambush { place: usize, apart: Duration },
    Room { place: usize },
    Dies { place: usize, life: u64, back: Duration, empty: bool },
    Back { place: usize, life: u64 },
    Heal,
}

/// The whole world.
pub(super) struct World {
    seed: u64,
    plan: Plan,
    sabotage: Sabotage,
    genesis: Arc<Genesis>,
    time: Time,
    events: BTreeMap<(Duration, u64), Event>,
    events_count: u64,
    machines: Vec<Machine>,
    places: BTreeMap<KeyBytes, usize>,
    /// How a node that dies at a write comes back: after how long, and whether on an empty disk.
    dying: BTreeMap<usize, (Duration, bool)>,
    traitor: Option<Traitor>,
    wires: Wires,
    clients: Clients,
    clients_at: Option<Duration>,
    checker: Checker,
    history: History,
    faults: BTreeMap<&'static str, u64>,
    dice: Seed,
    healed: bool,
    /// Somebody waits for the next block to be committed, to strike.
    ambush: Option<Duration>,
}

/// The genesis for these powers; it is the same for all seeds.
fn genesis(powers: &[u64]) -> Arc<Genesis> {
    static EQUAL: OnceLock<Arc<Genesis>> = OnceLock::new();
    static UNEQUAL: OnceLock<Arc<Genesis>> = OnceLock::new();
    let slot = if powers.iter().all(|power| *power == 1) { &EQUAL } else { &UNEQUAL };
    let make = || {
        // So that state checkpoints come while it lasts.
        Arc::new(genesis_with(powers, |parameters| parameters.checkpoints.interval_ms = 3_000))
    };
    Arc::clone(slot.get_or_init(make))
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let dice = Seed::new(seed);
        let plan = Plan::of(&mut dice.part(1), options.sabotage);
        let genesis = genesis(&plan.powers);
        let time = Time::default();
        let mut story_dice = dice.part(2);
        let trouble_ms = u64::try_from(TROUBLE.as_millis()).expect("it is short");
        let early = (0..5 + story_dice.below(6)).map(|_| Duration::from_millis(story_dice.below(trouble_ms)));
        let mut begins: Vec<Duration> = early.collect();
        begins.extend([TROUBLE + Duration::from_millis(500), TROUBLE + Duration::from_millis(2_000)]);
        Self {
            seed,
            sabotage: options.sabotage,
            time,
            events: BTreeMap::new(),
            events_count: 0,
            machines: Vec::new(),
            places: BTreeMap::new(),
            dying: BTreeMap::new(),
            traitor: None,
            wires: Wires::new(dice.part(3)),
            clients: Clients::new(&genesis, dice.part(4), begins),
            clients_at: None,
            checker: Checker::default(),
            history: History::new(options.keep_history),
            faults: BTreeMap::new(),
            dice,
            healed: false,
            ambush: None,
            genesis,
            plan,
        }
    }

    /// Puts the nodes there, and what will happen to them.
    fn people(&mut self) {
        let dice = std::mem::replace(&mut self.dice, Seed::new(self.seed).part(5));
        let validators = self.plan.powers.len();
        let mut keys: Vec<Option<usize>> = (0..validators).map(Some).collect();
        if self.plan.observer {
            keys.push(None);
        }
        match (self.sabotage, self.plan.traitor) {
            (Sabotage::TwoTwins, _) => keys.extend([Some(1), Some(2)]),
            (_, Some((traitor, Treason::Twins))) => keys.push(Some(traitor)),
            _ => {}
        }
        let verified = Verified::default();
        for (place, validator) in keys.into_iter().enumerate() {
            let key = validator.map(|validator| secret(AGENCIES[validator].0, "consensus"));
            let (lies, dice) = (self.sabotage == Sabotage::LyingDisks, dice.part(100 + place as u64));
            let machine = Machine::new(place, key, &self.genesis, (&self.time, &verified), lies, dice);
            self.places.insert(machine.peer, place);
            self.machines.push(machine);
        }
        if let Some((place, treason)) = self.plan.traitor
            && treason != Treason::Twins
        {
            let machine = &self.machines[place];
            let key = machine.key.clone().expect("a traitor is a validator");
            self.traitor = Some(Traitor::new(place, treason, key, &self.genesis, &machine.disk, dice.part(6)));
        }
        if let Some((_, treason)) = self.plan.traitor {
            *self.faults.entry(treason.kind()).or_default() += 1;
        }
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.put(at, Event::Fault(fault));
        }
        self.put(TROUBLE, Event::Heal);
        for place in 0..self.machines.len() {
            self.start(place);
        }
        self.clients_later();
    }

    fn now(&self) -> Duration {
        self.time.passed()
    }

    fn put(&mut self, at: Duration, event: Event) {
        self.events_count += 1;
        self.events.insert((at.max(self.now()), self.events_count), event);
    }

    fn wrong(&mut self, what: String) {
        self.history.note(self.time.passed(), format_args!("WRONG {what}"));
        self.checker.wrong.push(what);
    }

    /// Whether what a node does counts: a traitor may say what it likes, and a twin is one.
    fn is_honest(&self, place: usize) -> bool {
        let own = |other: usize| self.machines[other].key.as_ref().map(chain::key::SecretKey::public);
        let twin =
            (0..self.machines.len()).any(|other| other != place && own(place).is_some() && own(other) == own(place));
        !twin && self.plan.traitor.is_none_or(|(traitor, _)| traitor != place)
    }

    /// Lets everything happen, and looks at what came of it. A panic is a loss like any other.
    pub(super) fn run(mut self) -> Run {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.live())) {
            self.wrong(format!("it panicked: {}", panic_text(panic.as_ref())));
        }
        self.end()
    }

    fn live(&mut self) {
        self.people();
        let mut steps = 0;
        while self.checker.wrong.is_empty() && self.clients.wrong.is_empty() && !self.is_done() {
            let Some(((at, _), event)) = self.events.pop_first() else { return self.no_progress() };
            self.time.pass_to(at);
            self.happen(event);
            steps += 1;
            if steps > STEPS_MAX || at > TROUBLE + HEALING_MAX {
                return self.no_progress();
            }
        }
    }

    fn is_done(&self) -> bool {
        let honest = || self.machines.iter().filter(|machine| self.is_honest(machine.place));
        self.healed
            && self.clients.are_done()
            && honest().all(|machine| machine.height() == Some(self.checker.height()))
    }

    fn no_progress(&mut self) {
        let heights: Vec<_> = self.machines.iter().map(Machine::height).collect();
        let waiting = self.clients.unanswered().len();
        self.wrong(format!("NO PROGRESS since healing: nodes are at {heights:?}, {waiting} statements wait"));
    }

    fn end(mut self) -> Run {
        if self.checker.wrong.is_empty() {
            let honest: Vec<&Machine> = self.machines.iter().filter(|machine| self.is_honest(machine.place)).collect();
            let sample = usize::try_from(self.seed % 7).expect("it is small");
            self.checker.check(&self.genesis, &honest, sample);
        }
        for machine in &mut self.machines {
            let equivocations = machine.take_told().equivocations;
            *self.faults.entry("double votes seen").or_default() += equivocations;
        }
        let all: Vec<_> = self.machines.iter().map(Machine::counts).collect();
        let sum = |of: fn(&consensus::simulation::Counts) -> u64| all.iter().map(of).sum::<u64>();
        for (kind, count) in [
            ("log entries replayed", sum(|counts| counts.replayed)),
            ("rounds after the first", sum(|counts| counts.rounds)),
            ("blocks proposed again", sum(|counts| counts.proposed_again)),
            ("blocks synced", sum(|counts| counts.synced)),
            ("frames lost", self.wires.lost),
            ("frames doubled", self.wires.doubled),
            ("frames overtaken", self.wires.overtaken),
            ("frames forged or withheld", self.traitor.as_ref().map_or(0, |traitor| traitor.deeds)),
        ] {
            *self.faults.entry(kind).or_default() += count;
        }
        let (heights, acknowledged) = (self.checker.height(), self.checker.acknowledged_count());
        let end = self.time.passed();
        self.history
            .note(end, format_args!("end: {heights} blocks, {acknowledged} statements of {}", self.clients.count()));
        let wrong = self.checker.wrong.into_iter().chain(self.clients.wrong).collect();
        Run {
            seed: self.seed,
            wrong,
            digest: self.history.digest(),
            history: self.history.into_lines(),
            heights,
            acknowledged,
            seconds: end.as_secs(),
            faults: self.faults,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Frame { from, to, epoch, bytes } => {
                if self.wires.epoch(from, to) == epoch && self.machines[to].runs() {
                    self.history.bytes(&[u8::try_from(from).unwrap_or(0), u8::try_from(to).unwrap_or(0)]);
                    self.history.bytes(&bytes);
                    let peer = self.machines[from].peer;
                    self.act(to, |node| node.hear(peer, bytes));
                }
            }
            Event::Wake { place } => {
                if self.machines[place].wakes == Some(self.now()) {
                    self.machines[place].wakes = None;
                    self.act(place, consensus::simulation::Node::elapse);
                }
            }
            Event::Clients => {
                self.clients_at = None;
                self.post();
                self.clients_later();
            }
            Event::Fault(fault) => self.fault(fault),
            Event::Join(ways) => self.wires.join(&ways),
            Event::Connect(one, other) => self.connect(one, other),
            Event::Ambush { place, apart } => self.strike(place, apart),
            Event::Room { place } => self.machines[place].power.fill(false),
            Event::Dies { place, life, back, empty } => {
                if self.machines[place].lives == life && self.machines[place].runs() {
                    self.die(place, back, empty);
                }
            }
            Event::Back { place, life } => {
                if self.machines[place].lives == life && !self.machines[place].runs() {
                    self.start(place);
                }
            }
            Event::Heal => self.heal(),
        }
    }

    /// A node does something, and what follows is seen to.
    fn act(
        &mut self,
        place: usize,
        doing: impl FnOnce(&mut super::machine::Hosted) -> Result<(), consensus::simulation::Stopped>,
    ) {
        let outcome = self.machines[place].with(doing).map(|_| ());
        let outcome = outcome.and_then(|()| self.machines[place].take_shared());
        self.after(place, outcome);
    }

    /// What a node said goes out, what it told is checked, and whether it still runs.
    fn after(&mut self, place: usize, outcome: Result<(), String>) {
        self.tell(place);
        let mut said = self.machines[place].take_said();
        let power_is_out = self.machines[place].power.is_out();
        if power_is_out {
            // Of what it was saying when the power went, not everything got out.
            said.truncate(self.dice.place(said.len() + 1));
        }
        for (peer, bytes) in said {
            self.send(place, self.places[&peer], bytes);
        }
        match outcome {
            Err(_) | Ok(()) if power_is_out => {
                let (back, empty) = self.dying.get(&place).copied().unwrap_or((Duration::from_secs(1), false));
                self.die(place, back, empty);
            }
            Err(what) if self.is_honest(place) => {
                self.wrong(format!("node {place} stopped by itself: {what}"));
                self.machines[place].end();
            }
            // What a traitor's own node makes of its lies is its own affair.
            Err(_) => self.die(place, Duration::from_secs(1), false),
            Ok(()) => self.wake_later(place),
        }
    }

    /// What a node committed.
    fn tell(&mut self, place: usize) {
        let told = self.machines[place].take_told();
        *self.faults.entry("double votes seen").or_default() += told.equivocations;
        for committed in told.committed {
            self.history.note(
                self.time.passed(),
                format_args!(
                    "node {place} commits {} {} with {}",
                    committed.height,
                    committed.id,
                    committed.statements.len()
                ),
            );
            if !self.is_honest(place) {
                continue;
            }
            if committed.height > self.checker.height()
                && let Some(apart) = self.ambush.take()
            {
                self.put(self.now(), Event::Ambush { place, apart });
            }
            self.checker.committed(place, &committed);
            for id in &committed.statements {
                if self.clients.waits_at(id, place) {
                    self.acknowledge(*id, place, committed.height);
                }
            }
        }
    }

    fn acknowledge(&mut self, id: StatementId, place: usize, height: u64) {
        let now = self.now();
        let Some(query) = self.machines[place].query() else { return };
        self.clients.answered(&id, query, now);
        self.checker.acknowledged(id, height, place);
        self.history.note(now, format_args!("node {place} acknowledges {id} at {height}"));
        self.clients_later();
    }

    fn send(&mut self, from: usize, to: usize, bytes: Bytes) {
        let frames = match &mut self.traitor {
            Some(traitor) if traitor.place == from => traitor.turn(to, bytes),
            _ => vec![bytes],
        };
        for bytes in frames {
            let epoch = self.wires.epoch(from, to);
            for at in self.wires.send(from, to, self.now()) {
                self.put(at, Event::Frame { from, to, epoch, bytes: bytes.clone() });
            }
        }
    }

    fn wake_later(&mut self, place: usize) {
        // What is due now was done; what is due at once again waits for a moment.
        let soonest = self.now() + Duration::from_micros(50);
        let Some(due) = self.machines[place].due().map(|due| due.max(soonest)) else { return };
        if self.machines[place].wakes != Some(due) {
            self.machines[place].wakes = Some(due);
            self.put(due, Event::Wake { place });
        }
    }

    fn clients_later(&mut self) {
        let Some(due) = self.clients.due() else { return };
        let due = due.max(self.now());
        if self.clients_at.is_none_or(|at| due < at) {
            self.clients_at = Some(due);
            self.put(due, Event::Clients);
        }
    }

    /// Clients post what is due.
    fn post(&mut self) {
        // Not at twins: who has two of a node's key has none to ask.
        let nodes = self.plan.powers.len() + usize::from(self.plan.observer);
        for (id, place, bytes) in self.clients.posts(self.now(), nodes) {
            if !self.is_honest(place) {
                continue;
            }
            let posted = self.machines[place].post(&bytes);
            self.history.note(self.time.passed(), format_args!("{id} is posted at node {place}: {posted:?}"));
            match posted {
                Ok(Posted::Decided) => {
                    let query = self.machines[place].query();
                    let height = query.and_then(|query| query.statement(&id).ok().flatten()).map(|view| view.height);
                    match height {
                        Some(height) => self.acknowledge(id, place, height),
                        None => self.wrong(format!("node {place} says that {id} is decided, and does not have it")),
                    }
                    self.after(place, Ok(()));
                }
                Ok(Posted::Waits | Posted::Not) => self.after(place, Ok(())),
                Err(what) => self.after(place, Err(what)),
            }
        }
    }
}
