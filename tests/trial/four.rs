//! Four agencies with a node each, in processes of their own, and what must hold of all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::archive::Chain;
use super::binary::{Binary, Life, PATIENCE, eventually, free_row, odd_talk};
use super::cast::Cast;
use super::client::Client;
use super::crash::tail;
use super::load::{Acknowledged, Duellist, Meter, Worker};
use super::seed::Seed;
use super::{Broken, Report};

/// How many there are.
pub const NODES: usize = 4;

/// How many answers of each client are asked for again after a round, beside those since the last one.
const SAMPLE: usize = 10;

/// One of the four.
pub struct Member {
    /// Whose node it is.
    pub organisation: String,
    /// Its directory: configuration, keys, data.
    pub home: PathBuf,
    config: PathBuf,
    log: PathBuf,
    /// The network namespace it runs in.
    pub namespace: Option<String>,
    life: Option<Life>,
    /// Its door.
    pub client: Client,
}

/// Where the nodes are: what differs between one machine and four namespaces.
pub struct Place {
    /// The namespace.
    pub namespace: Option<String>,
    /// The address and port of its peer door, as the others call it.
    pub peer: String,
    /// The settings of its REST door.
    pub listen: String,
    /// How this program reaches its REST door.
    pub url: String,
    /// The address and port of its gRPC door; empty where there is none.
    pub grpc: String,
}

/// The chain of a node, exported and replayed.
pub struct Archive {
    /// Whose.
    pub organisation: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The consortium.
pub struct Four {
    binary: Binary,
    /// Where everything of it is.
    pub directory: PathBuf,
    /// The genesis of all.
    pub genesis: PathBuf,
    /// The nodes, in the order of the genesis.
    pub members: Vec<Member>,
    /// Lives so far.
    pub lives: u64,
}

impl Four {
    /// Four places on this machine's own loopback.
    pub fn on_loopback(seed: &mut Seed) -> Result<Vec<Place>, Broken> {
        let first = free_row(3 * u16::try_from(NODES)?, seed)?;
        let place = |number: u16| Place {
            namespace: None,
            peer: format!("127.0.0.1:{}", first + 4 + number),
            listen: format!("127.0.0.1:{}", first + number),
            url: format!("http://127.0.0.1:{}", first + number),
            grpc: format!("127.0.0.1:{}", first + 8 + number),
        };
        Ok((0..4).map(place).collect())
    }

    /// Makes a consortium in a directory, for these places; nobody runs yet.
    pub fn make(binary: &Binary, directory: &Path, places: Vec<Place>) -> Result<Self, Broken> {
        let home = directory.join("four");
        let path = |path: &Path| path.display().to_string();
        // The ports are put in afterwards: these stand for them in the configuration.
        let ports = ["--http-port", "18080", "--peer-port", "17101"];
        let arguments = ["init", "--format", "json", "--local", "4"].into_iter().chain(ports);
        let made = binary.run(arguments.map(str::to_owned).chain([path(&home)]))?;
        if made.code != 0 {
            return Err(format!("init ended with {}: {}", made.code, made.stderr).into());
        }
        let made: Value = serde_json::from_str(&made.stdout)?;
        let configs: Vec<PathBuf> = made["configurations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(PathBuf::from)
            .collect();
        Self::configured(binary, directory, &home, &configs, &places)
    }

    /// Makes the consortium that `generate` invents, with a gRPC door at each node, for these places; nobody runs yet.
    pub fn generate(binary: &Binary, directory: &Path, places: &[Place], what: &[String]) -> Result<Self, Broken> {
        let home = directory.join("four");
        let ports = ["--http-port", "18080", "--peer-port", "17101", "--grpc-port", "19090"];
        let made = ["generate", "--count", "0", "--validators", "4"].into_iter().chain(ports);
        let into = ["--consortium-out".to_owned(), home.display().to_string()];
        let made = binary.run(made.map(str::to_owned).chain(what.iter().cloned()).chain(into))?;
        if made.code != 0 {
            return Err(format!("generate ended with {}: {}", made.code, made.stderr).into());
        }
        let agencies = workload::consortium::AGENCIES.iter().skip(1);
        let others = agencies.map(|(id, _)| home.join("nodes").join(id).join("node.toml"));
        let configs: Vec<PathBuf> = [home.join("node.toml")].into_iter().chain(others).collect();
        Self::configured(binary, directory, &home, &configs, places)
    }

    /// Puts the places into the configurations, in whose stead ports stand.
    fn configured(
        binary: &Binary,
        directory: &Path,
        home: &Path,
        configs: &[PathBuf],
        places: &[Place],
    ) -> Result<Self, Broken> {
        let mut members = Vec::new();
        for (number, config) in configs.iter().enumerate() {
            let mut text = fs::read_to_string(config)?;
            for (number, place) in places.iter().enumerate() {
                text = text.replace(&format!("127.0.0.1:{}", 17_101 + number), &place.peer);
                text = text.replace(&format!("127.0.0.1:{}", 18_080 + number), &place.listen);
                text = text.replace(&format!("127.0.0.1:{}", 19_090 + number), &place.grpc);
            }
            fs::write(config, &text)?;
            let id = text.lines().find_map(|line| line.strip_prefix("id = ")).ok_or("a configuration without id")?;
            let id = id.trim_matches('"').to_owned();
            let organisation = id.trim_end_matches("-1").to_owned();
            let place = places.get(number).ok_or("there are more nodes than places")?;
            members.push(Member {
                log: directory.join(format!("{organisation}.log")),
                home: config.parent().ok_or("a configuration stands in a directory")?.to_owned(),
                config: config.clone(),
                namespace: place.namespace.clone(),
                life: None,
                client: Client::new(&place.url, Arc::new(Cast::in_directory(home, &id)?)),
                organisation,
            });
        }
        let genesis = home.join("genesis.json");
        Ok(Self { binary: binary.clone(), directory: directory.to_owned(), genesis, members, lives: 0 })
    }

    /// Starts a node, and does not wait.
    pub fn start(&mut self, place: usize) -> Result<(), Broken> {
        self.start_with(place, &[])
    }

    /// The same, with settings beside its configuration.
    pub fn start_with(&mut self, place: usize, settings: &[String]) -> Result<(), Broken> {
        let member = &mut self.members[place];
        let settings: Vec<String> = settings.iter().cloned().chain(["telemetry.filter=warn".to_owned()]).collect();
        member.life = Some(self.binary.start(&member.config, &settings, &member.log, member.namespace.as_deref())?);
        self.lives += 1;
        Ok(())
    }

    /// Kills nodes, as a power cut would.
    pub fn kill(&mut self, places: &[usize]) -> Result<(), Broken> {
        for place in places {
            if let Some(life) = self.members[*place].life.take() {
                life.kill()?;
            }
        }
        Ok(())
    }

    /// Stops a node in its tracks, with everything it has open, or lets it go on.
    pub fn freeze(&self, place: usize, still: bool) -> Result<(), Broken> {
        let life = self.members[place].life.as_ref().ok_or("the node does not run")?;
        let process = Pid::from_raw(i32::try_from(life.id())?).ok_or("no process has the number 0")?;
        Ok(kill_process(process, if still { Signal::STOP } else { Signal::CONT })?)
    }

    /// Asks a node to stop, and waits until it has.
    pub fn stop(&mut self, place: usize) -> Result<(), Broken> {
        if let Some(life) = self.members[place].life.take() {
            life.stop()?;
        }
        Ok(())
    }

    /// Waits until a node that cannot go on has ended; its exit code and all it ever said, or nothing when it goes on.
    pub fn ends(&mut self, place: usize, limit: Duration) -> Result<Option<(Option<i32>, String)>, Broken> {
        let life = &mut self.members[place].life;
        if eventually(limit, || life.as_mut().is_none_or(|life| !life.runs()).then_some(())).is_none() {
            return Ok(None);
        }
        let (talk, code) = life.take().ok_or("the node did not run")?.ended()?;
        Ok(Some((code, talk)))
    }

    /// What a node has said in all its lives.
    pub fn talk(&self, place: usize) -> String {
        fs::read_to_string(&self.members[place].log).unwrap_or_default()
    }

    /// The binary.
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// The configuration of a node.
    pub fn config(&self, place: usize) -> &Path {
        &self.members[place].config
    }

    /// What a node says of itself; nothing when it does not answer.
    pub fn status(&self, place: usize) -> Option<Value> {
        self.members[place].client.get("/v1/status", None).ok().map(|answer| answer.json())
    }

    /// The height of a node's chain.
    pub fn height(&self, place: usize) -> Option<u64> {
        self.status(place)?["height"].as_u64()
    }

    /// The heights of all.
    pub fn heights(&self) -> Vec<Option<u64>> {
        (0..NODES).map(|place| self.height(place)).collect()
    }

    /// The names of nodes.
    pub fn names(&self, places: &[usize]) -> String {
        places.iter().map(|place| self.members[*place].organisation.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Waits until these take writes.
    pub fn until_ready(&mut self, places: &[usize]) -> Result<(), Broken> {
        for place in places {
            let ready = eventually(PATIENCE, || {
                let member = &mut self.members[*place];
                let ended = member.life.as_mut().is_none_or(|life| !life.runs());
                let ready = self.status(*place).is_some_and(|status| status["ready"] == true);
                (ready || ended).then_some(ready)
            });
            if ready != Some(true) {
                let (status, log) = (self.status(*place), fs::read_to_string(&self.members[*place].log)?);
                let name = &self.members[*place].organisation;
                return Err(format!("{name} is not ready: {status:?}: {}", tail(&log)).into());
            }
        }
        Ok(())
    }

    /// Waits until all have the same chain, as far as one of them has it now.
    pub fn until_level(&self) -> Result<u64, Broken> {
        let highest = self.heights().into_iter().flatten().max().ok_or("nobody answers")?;
        let level = || self.heights().iter().all(|height| *height >= Some(highest)).then_some(highest);
        eventually(PATIENCE, level).ok_or_else(|| format!("not all reach {highest}: {:?}", self.heights()).into())
    }

    /// Waits until a node says that it has no quorum and names whom it misses; what it says instead, when it does not.
    pub fn says_no_quorum(&self, place: usize, missing: &[usize], limit: Duration) -> Vec<String> {
        let names: Vec<_> = missing.iter().map(|place| self.members[*place].organisation.as_str()).collect();
        let says = || {
            let status = self.status(place)?;
            let why = status["consensus"]["why"].as_str()?;
            let ready = self.members[place].client.get("/readyz", None).ok()?;
            (status["health"] == "no-quorum" && names.iter().all(|name| why.contains(name)) && ready.status == 503)
                .then_some(())
        };
        if eventually(limit, says).is_some() {
            return Vec::new();
        }
        let ready = self.members[place].client.get("/readyz", None).map(|ready| ready.text());
        vec![format!(
            "{} does not say that it misses {names:?}: {ready:?} {:?}",
            self.members[place].organisation,
            self.status(place)
        )]
    }

    /// The doors.
    pub fn doors(&self) -> Vec<Client> {
        self.members.iter().map(|member| member.client.another()).collect()
    }

    /// Everything odd that anybody said.
    pub fn odd_talk(&self) -> Vec<String> {
        self.members.iter().flat_map(|member| odd_talk(&fs::read_to_string(&member.log).unwrap_or_default())).collect()
    }

    /// Stops all in order, exports their chains and replays them; and what was odd about that.
    pub fn archives(&mut self) -> Result<(Vec<Archive>, Vec<String>), Broken> {
        let (mut archives, mut losses) = (Vec::new(), self.odd_talk());
        for member in &mut self.members {
            if let Some(life) = member.life.take() {
                let (status, talk) = life.stop()?;
                if !status.success() {
                    let name = &member.organisation;
                    losses.push(format!("{name}, stopped in order, ended with {status}: {}", tail(&talk)));
                }
            }
        }
        for member in &self.members {
            let archive = self.directory.join(format!("{}.archive", member.organisation));
            let path = |path: &Path| path.display().to_string();
            let (archive_path, genesis) = (path(&archive), path(&self.genesis));
            let exported = self.binary.run(["export", "--data", &path(&member.home), "--out", &archive_path])?;
            let verified = self.binary.run(["verify", &archive_path, "--genesis", &genesis, "--level", "replay"])?;
            if exported.code == 0 && verified.code == 0 {
                archives.push(Archive { organisation: member.organisation.clone(), path: archive });
                continue;
            }
            let said = exported.stderr + &verified.stdout + &verified.stderr;
            let (name, export, verify) = (&member.organisation, exported.code, verified.code);
            losses.push(format!("{name}: export ended with {export}, verify with {verify}: {said}"));
        }
        Ok((archives, losses))
    }

    /// Holds the chains of all, as they are in the end, against each other and against every answer.
    pub fn verdict(&mut self, crowd: &Crowd, report: &mut Report) -> Result<Vec<String>, Broken> {
        let (archives, mut losses) = self.archives()?;
        let mut chains: Vec<Chain> = Vec::new();
        for Archive { organisation, path } in archives {
            let chain = Chain::read(&path)?;
            losses.extend(
                chain
                    .check(crowd.acknowledged())
                    .into_iter()
                    .map(|loss| format!("on the chain of {organisation}: {loss}")),
            );
            if let Some(fork) = chains.first().and_then(|first| first.fork(&chain)) {
                losses.push(format!("{organisation} has another chain than {}: {fork}", self.names(&[0])));
            }
            chains.push(chain);
        }
        if let Some(chain) = chains.first() {
            let told = crowd.acknowledged().count();
            report.fact("chains replayed and held against all answers", chains.len());
            report.fact("statements acknowledged", told);
            report.fact("blocks", chain.tip);
            report.fact("events on the chain", chain.leaves);
            report.fact("locks accepted, each alone", chain.locks);
        }
        report.fact("duels of two platforms at two agencies", crowd.duellists.iter().map(|one| one.ended).sum::<u64>());
        report.fact("sent again after no answer", crowd.meter.retried.load(Ordering::SeqCst));
        report.fact("answers that said later", crowd.meter.put_off.load(Ordering::SeqCst));
        report.fact("lives of the nodes", self.lives);
        Ok(losses)
    }
}

/// The clients of the four: a worker at each door, and duellists at all.
pub struct Crowd {
    workers: Vec<Worker>,
    duellists: Vec<Duellist>,
    /// Somebody else's answers that must be on the chains too.
    pub others: Vec<Acknowledged>,
    /// What they count.
    pub meter: Meter,
}

impl Crowd {
    /// A crowd that has not begun: so many workers at each door, so many duellists.
    pub fn new(seed: &Seed, per_door: usize, duellists: usize) -> Self {
        let workers = (0..NODES * per_door).map(|number| Worker::new(number, seed)).collect();
        let duellists = (0..duellists).map(|number| Duellist::new(number, seed)).collect();
        Self { workers, duellists, others: Vec::new(), meter: Meter::default() }
    }

    /// All that anybody was answered.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Acknowledged> {
        let told = self.duellists.iter().flat_map(|one| one.acknowledged.iter().map(|(_, told)| told));
        self.workers.iter().flat_map(|worker| &worker.acknowledged).chain(told).chain(&self.others)
    }

    /// Loads the nodes while something is done to them. A worker whose node is killed rests until the next load.
    pub fn load<T>(&mut self, doors: &[Client], meanwhile: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
        let going = AtomicBool::new(true);
        let (meter, going) = (&self.meter, &going);
        let (workers, duellists) = (&mut self.workers, &mut self.duellists);
        thread::scope(|scope| {
            for (number, worker) in workers.iter_mut().enumerate() {
                let client = doors[number % NODES].another();
                scope.spawn(move || worker.work(&client, going, meter));
            }
            for duellist in duellists.iter_mut() {
                scope.spawn(move || duellist.work(doors, going, meter));
            }
            let outcome = meanwhile();
            going.store(false, Ordering::SeqCst);
            outcome
        })
    }

    /// When all nodes serve and are level: everything that is not as it was told.
    pub fn check(&mut self, doors: &[Client]) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        for (place, door) in doors.iter().enumerate() {
            let own = self.workers.iter_mut().enumerate().filter(|(number, _)| number % NODES == place);
            let mut own: Vec<&mut Worker> = own.map(|(_, worker)| worker).collect();
            for worker in &mut own {
                worker.check(door, &self.meter, SAMPLE)?;
                losses.extend(worker.take_losses());
            }
        }
        for duellist in &mut self.duellists {
            losses.extend(duellist.check(doors, &self.meter, SAMPLE)?);
        }
        Ok(losses)
    }

    /// Until everybody has an answer to what was sent.
    pub fn settle(&mut self, doors: &[Client]) -> Result<Vec<String>, Broken> {
        let mut losses = self.check(doors)?;
        let waiting = |crowd: &Self| {
            let duels: usize = crowd.duellists.iter().map(Duellist::waiting).sum();
            duels + crowd.workers.iter().map(Worker::waiting).sum::<usize>()
        };
        for _ in 0..20 {
            if waiting(self) == 0 {
                return Ok(losses);
            }
            losses.extend(self.check(doors)?);
        }
        losses.push(format!("{} statements are never answered", waiting(self)));
        Ok(losses)
    }
}
