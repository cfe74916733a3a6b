//! `trial`: the long forms of the trials.
//!
//! `cargo run --release -p tests --bin trial -- <what> [options]`

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use tests::trial::binary::Binary;
use tests::trial::partitions::NotHere;
use tests::trial::{
    Broken, Report, crash, engine, filing, full, hostile, partitions, powerloss, races, simulation, soak, together,
};

/// Tries nodes: load, faults, attack. Ends with 1 when anything was lost, with 2 when a trial could not be carried out, with
/// 3 when this machine lacks what it needs.
#[derive(Debug, Parser)]
#[command(name = "trial")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The seed of everything random; taken from the clock when absent, and printed.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Prints the reports as one JSON list.
    #[arg(long, global = true)]
    json: bool,
    /// The binary under trial; the one beside this program when absent.
    #[arg(long, global = true, value_name = "FILE")]
    einvoice: Option<std::path::PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Kills a loaded node again and again, and damages its files.
    Crash {
        /// How many rounds.
        #[arg(long, default_value_t = 100)]
        rounds: u64,
    },
    /// Kills one, two or all of four nodes again and again, under load at all doors.
    Together {
        /// How many rounds.
        #[arg(long, default_value_t = 50)]
        rounds: u64,
    },
    /// Fourteen platforms race for the same invoices at four nodes, over gRPC; nodes are killed, platforms vanish.
    Races {
        /// Invoices of each of the three rounds.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=3_000))]
        invoices: u32,
    },
    /// Cuts the lines between four nodes on four hosts, in network namespaces: needs root, ip and tc.
    Partitions {
        /// How many rounds.
        #[arg(long, default_value_t = 20)]
        rounds: u64,
    },
    /// Cuts the power of a replica, in simulation.
    Powerloss {
        /// How many images of a disk after a power cut.
        #[arg(long, default_value_t = 100)]
        images: u64,
    },
    /// Lives an hour of mixed life with restarts.
    Soak {
        /// For how long, minutes.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Fills the disk of a node.
    Full {
        /// How often.
        #[arg(long, default_value_t = 3)]
        rounds: u64,
    },
    /// Attacks the door of a node, from one address and from many.
    Hostile {
        /// Connections of the attackers.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
        connections: u32,
        /// How long each attack lasts, seconds.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// One attack alone, by its name.
        #[arg(long)]
        only: Option<String>,
    },
    /// Simulates consortia: real nodes under a virtual clock, network and disks. A seed has one history.
    Simulation {
        /// How many seeds, from `--seed` on.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
    },
    /// Runs consortia of four validators and an observer over a network in memory: the real engine, with much going wrong
    /// at once.
    Engine {
        /// How many runs, each of a seed, from `--seed` on.
        #[arg(long, default_value_t = 200)]
        runs: u64,
    },
    /// Files a month for many taxpayers with one command, on four validators, and measures it.
    Filing {
        /// How many taxpayers.
        #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u16).range(1..=500))]
        entities: u16,
        /// How many invoices each of them has.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        invoices: u16,
    },
    /// Everything, one after the other.
    All,
    /// The replica whose power is cut: for `powerloss` itself.
    #[command(hide = true)]
    PowerlossWriter {
        /// The seed.
        seed: u64,
        /// How many blocks it makes.
        blocks: u64,
        /// The directory it works in.
        directory: std::path::PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match run(&arguments, arguments.seed.unwrap_or(now)) {
        Ok(reports) => {
            if arguments.json {
                println!("{:#}", serde_json::Value::from_iter(reports.iter().map(Report::json)));
            } else {
                reports.iter().for_each(|report| println!("{report}"));
            }
            if reports.iter().all(Report::is_clean) { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is::<NotHere>() { 3 } else { 2 })
        }
    }
}

fn run(arguments: &Arguments, seed: u64) -> Result<Vec<Report>, Broken> {
    let binary = || arguments.einvoice.as_ref().map_or_else(Binary::beside, |path| Ok(Binary::at(path)));
    let crash = |rounds| crash::run(&crash::Options { rounds, ..crash::Options::long(binary()?, seed) });
    let powerloss = |images| powerloss::run(&powerloss::Options::long(std::env::current_exe()?, seed, images));
    let soak = |minutes| soak::run(&soak::Options::long(binary()?, seed, minutes));
    let full = |rounds| full::run(&full::Options { binary: binary()?, seed, rounds, workers: 8 });
    let together = |rounds| together::run(&together::Options::long(binary()?, seed, rounds));
    let races = |invoices: u32| races::run(&races::Options::long(binary()?, seed, usize::try_from(invoices)?));
    let partitions = |rounds| partitions::run(&partitions::Options::long(binary()?, seed, rounds));
    let hostile = |connections, seconds, only: Option<&String>| {
        let long = hostile::Options::long(binary()?, seed, connections, seconds);
        hostile::run(&hostile::Options { only: only.cloned(), ..long })
    };
    let simulation = |seeds| simulation::run(&simulation::Options::long(seed, seeds));
    let engine = |runs| engine::run(&engine::Options::long(seed, runs));
    let group = |entities: u16, invoices: u16| {
        filing::run(&filing::Options::long(binary()?, seed, entities.into(), invoices.into()))
    };
    match &arguments.what {
        What::Crash { rounds } => Ok(vec![crash(*rounds)?]),
        What::Together { rounds } => Ok(vec![together(*rounds)?]),
        What::Races { invoices } => Ok(vec![races(*invoices)?]),
        What::Partitions { rounds } => Ok(vec![partitions(*rounds)?]),
        What::Powerloss { images } => Ok(vec![powerloss(*images)?]),
        What::Soak { minutes } => Ok(vec![soak(*minutes)?]),
        What::Full { rounds } => Ok(vec![full(*rounds)?]),
        What::Hostile { connections, seconds, only } => Ok(vec![hostile(*connections, *seconds, only.as_ref())?]),
        What::Simulation { seeds } => Ok(vec![simulation(*seeds)?]),
        What::Engine { runs } => Ok(vec![engine(*runs)?]),
        What::Filing { entities, invoices } => Ok(vec![group(*entities, *invoices)?]),
        What::All => Ok(vec![
            group(160, 1_000)?,
            simulation(10_000)?,
            engine(200)?,
            crash(100)?,
            together(50)?,
            races(1_000)?,
            partitions(20).or_else(|error| partitions::not_here(seed, error))?,
            powerloss(100)?,
            full(3)?,
            hostile(10_000, 20, None)?,
            soak(60)?,
        ]),
        What::PowerlossWriter { seed, directory, blocks } => {
            powerloss::write(*seed, directory, *blocks)?;
            Ok(Vec::new())
        }
    }
}
