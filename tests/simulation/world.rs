//! The loop: what happens next, and what follows from it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chain::genesis::Genesis;
use chain::hash::StatementId;
use consensus::simulation::Time;
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

/// An hour, ms.
const HOUR_MS: i64 = 3_600_000;

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
        for (place, validator) in keys.into_iter().enumerate() {
            let key = validator.map(|validator| secret(AGENCIES[validator].0, "consensus"));
            let machine = Machine::new(place, key, &self.genesis, &self.time, dice.part(100 + place as u64));
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
            let Some(((at, _), event)) = self.events.pop_first() else { break };
            self.time.pass_to(at);
            self.happen(event);
            steps += 1;
            if steps > STEPS_MAX || at > TROUBLE + HEALING_MAX {
                self.no_progress();
                break;
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

    fn start(&mut self, place: usize) {
        self.machines[place].power.restore();
        self.dying.remove(&place);
        let started = self.machines[place].start();
        let height = self.machines[place].height();
        self.history.note(self.time.passed(), format_args!("node {place} starts at {height:?}"));
        if let Err(what) = started {
            return self.wrong(format!("node {place} does not start: {what}"));
        }
        if self.is_honest(place) {
            self.checker.restarted(place, height.unwrap_or(0), false);
        }
        self.after(place, Ok(()));
        for other in 0..self.machines.len() {
            self.connect(place, other);
        }
    }

    fn connect(&mut self, one: usize, other: usize) {
        if one == other || !self.machines[one].runs() || !self.machines[other].runs() {
            return;
        }
        self.wires.open(one, other);
        let (here, there) = (self.machines[one].peer, self.machines[other].peer);
        self.act(one, |node| node.connect(there));
        self.act(other, |node| node.connect(here));
    }

    fn disconnect(&mut self, one: usize, other: usize) {
        self.wires.open(one, other);
        let (here, there) = (self.machines[one].peer, self.machines[other].peer);
        self.act(one, |node| node.disconnect(there));
        self.act(other, |node| node.disconnect(here));
    }

    /// A node loses its power, and what it had not flushed.
    fn die(&mut self, place: usize, back: Duration, empty: bool) {
        self.history.note(self.time.passed(), format_args!("node {place} dies, empty {empty}"));
        let machine = &mut self.machines[place];
        machine.end();
        machine.power.restore();
        machine.disk.crash();
        machine.log.crash(self.dice.place(3));
        if empty || self.sabotage == Sabotage::ForgetfulLogs {
            machine.log.wipe();
        }
        if empty || self.sabotage == Sabotage::ForgetfulDisks {
            machine.disk.wipe();
        }
        if empty {
            self.checker.restarted(place, 0, true);
        }
        let life = machine.lives;
        let peer = machine.peer;
        self.put(self.now() + back, Event::Back { place, life });
        for other in 0..self.machines.len() {
            if other != place {
                self.wires.open(place, other);
                self.act(other, |node| node.disconnect(peer));
            }
        }
    }

    /// A node dies now, or at a write.
    fn crash(&mut self, place: usize, writes: Option<i64>, back: Duration, empty: bool) {
        if !self.machines[place].runs() {
            return;
        }
        let Some(writes) = writes else { return self.die(place, back, empty) };
        let (life, reaches) = (self.machines[place].lives, self.dice.happens(50));
        self.machines[place].power.cut_after(writes, reaches);
        self.dying.insert(place, (back, empty));
        // When it does not write that much, at any rate soon.
        self.put(self.now() + Duration::from_secs(2), Event::Dies { place, life, back, empty });
    }

    fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.kind()).or_default() += 1;
        self.history.note(self.time.passed(), format_args!("{fault}"));
        let now = self.now();
        match fault {
            Fault::Cut { ways, heals } => {
                self.wires.cut(&ways);
                self.put((now + heals).min(TROUBLE), Event::Join(ways));
            }
            Fault::Flap { one, other } => {
                self.disconnect(one, other);
                let again = now + Duration::from_millis(50 + self.dice.below(3_000));
                self.put(again, Event::Connect(one, other));
            }
            Fault::Storm(weather) => self.wires.weather = weather,
            Fault::Crash { place, writes, back, empty } => self.crash(place, writes, back, empty),
            Fault::Blackout { back, at_writes } => {
                for place in 0..self.machines.len() {
                    let back = back + Duration::from_millis(self.dice.below(500));
                    let writes = at_writes.then(|| i64::try_from(self.dice.below(16)).expect("it is small"));
                    self.crash(place, writes, back, false);
                }
            }
            Fault::Clock { place, off_ms } => self.machines[place].clock.set_off(off_ms + self.hours()),
            Fault::Ambush { apart } => self.ambush = Some(apart),
            Fault::Full { place, lasts } => {
                self.machines[place].power.fill(true);
                self.put(now + lasts, Event::Room { place });
            }
            Fault::Hour { blackout } => {
                self.machines.iter().for_each(|machine| machine.clock.jump(HOUR_MS));
                if blackout {
                    self.fault(Fault::Blackout { back: Duration::from_millis(100), at_writes: false });
                }
            }
        }
    }

    /// One has committed a block. It is cut off, and all others lose their power before they hear of it.
    fn strike(&mut self, place: usize, apart: Duration) {
        self.history.note(self.time.passed(), format_args!("ambush: node {place} is cut off"));
        let others = || (0..self.machines.len()).filter(|other| *other != place);
        let ways: Vec<_> = others().flat_map(|other| [(place, other), (other, place)]).collect();
        let running: Vec<usize> = others().filter(|other| self.machines[*other].runs()).collect();
        self.wires.cut(&ways);
        self.put((self.now() + apart).min(TROUBLE), Event::Join(ways));
        for other in running {
            let back = Duration::from_millis(50 + self.dice.below(800));
            self.die(other, back, false);
        }
    }

    /// Everything works from now on, and everybody is there.
    fn heal(&mut self) {
        self.history.note(self.time.passed(), format_args!("everything is healed"));
        self.wires.heal();
        self.healed = true;
        for place in 0..self.machines.len() {
            let off_ms = i64::try_from(self.dice.below(200)).expect("it is small") - 100;
            self.machines[place].clock.set_off(off_ms + self.hours());
            self.machines[place].power.restore();
            self.machines[place].power.fill(false);
            if !self.machines[place].runs() {
                self.start(place);
            }
        }
        for one in 0..self.machines.len() {
            for other in one + 1..self.machines.len() {
                self.connect(one, other);
            }
        }
    }

    /// How many hours went by while everything stood still, ms.
    fn hours(&self) -> i64 {
        let hours = self.faults.get("halt of an hour").copied().unwrap_or(0);
        HOUR_MS * i64::try_from(hours).expect("they are few")
    }
}
