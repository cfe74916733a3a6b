//! What goes wrong, done to the world, and how it is made good again.

use std::time::Duration;

use super::super::faults::{Fault, Sabotage, TROUBLE};
use super::{Event, World};

/// An hour, ms.
const HOUR_MS: i64 = 3_600_000;

impl World {
    pub(super) fn start(&mut self, place: usize) {
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

    pub(super) fn connect(&mut self, one: usize, other: usize) {
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
    pub(super) fn die(&mut self, place: usize, back: Duration, empty: bool) {
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

    pub(super) fn fault(&mut self, fault: Fault) {
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
    pub(super) fn strike(&mut self, place: usize, apart: Duration) {
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
    pub(super) fn heal(&mut self) {
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
