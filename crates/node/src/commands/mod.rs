//! The commands, one module each: arguments, what it does, what it prints.

pub(crate) mod bench;
pub(crate) mod books;
pub(crate) mod config;
pub(crate) mod contingency;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod field;
pub(crate) mod filing;
pub(crate) mod follow;
pub(crate) mod generate;
pub(crate) mod genesis;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod numbers;
pub(crate) mod organisation;
pub(crate) mod outbox;
pub(crate) mod quota;
pub(crate) mod receipt;
pub(crate) mod red;
pub(crate) mod sign;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod webhooks;

use crate::args::Command;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Does what the command line asks for.
pub(crate) fn run(command: Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Dev(args) => dev::run(args, output),
        Command::Demo(args) => demo::run(args, output),
        Command::Start(args) => start::run(&args, output),
        Command::Init(args) => init::run(&args, output),
        Command::Genesis(command) => genesis::run(&command, output),
        Command::Keys(command) => keys::run(command, output),
        Command::Organisation(command) => organisation::run(&command, output),
        Command::Quota(command) => quota::run(&command, output),
        Command::Book(args) => books::book(&args, output),
        Command::Use(args) => books::use_vat(&args, output),
        Command::Manifest(args) => books::manifest(&args, output),
        Command::Correct(args) => books::correct(&args, output),
        Command::Filing(command) => filing::run(&command, output),
        Command::Red(command) => red::run(&command, output),
        Command::Segment(command) => contingency::segment(&command, output),
        Command::Offline(command) => contingency::offline(&command, output),
        Command::Sign(args) => sign::run(&args, output),
        Command::Submit(args) => submit::run(&args, output),
        Command::Token(args) => token::run(&args, output),
        Command::Export(args) => export::run(&args, output),
        Command::Verify(args) => verify::run(&args, output),
        Command::Receipt(command) => receipt::run(&command, output),
        Command::Generate(args) => generate::run(&args, output),
        Command::Bench(args) => bench::run(&args, output),
        Command::Follow(args) => follow::run(&args, output),
        Command::Webhooks(args) => webhooks::run(&args, output),
        Command::Status(args) => status::run(&args, output),
        Command::Config(command) => config::run(&command, output),
        Command::Explain(args) => explain::run(&args, output),
        Command::Field(args) => field::run(&args, output),
        Command::Outbox(command) => outbox::run(&command, output),
        Command::Numbers(args) => numbers::run(&args, output),
    }
}
