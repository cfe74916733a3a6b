//! The end of the story: receipts, the export, the verification, and how to do it again by hand.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::story::{Issued, Story};
use crate::commands::export;
use crate::commands::receipt;
use crate::commands::verify::{self, LevelName};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::plan::{AUDITOR, PROVIDER, organisation};

impl Story<'_> {
    /// Keeps the receipts, and verifies each against the genesis alone.
    pub(super) fn receipts(&mut self, issued: &[Issued]) -> Result<Vec<PathBuf>, Failure> {
        let genesis = self.out.join("genesis.json");
        fs::copy(&self.consortium.genesis_path, &genesis).context("keep the genesis")?;
        let mut paths = Vec::new();
        for invoice in issued {
            let reply = self.stage.read(PROVIDER, &format!("/v1/invoices/{}/receipt", invoice.id))?;
            let reply = reply.succeeded("get the receipt")?;
            let path = self.out.join(format!("receipt-{}.json", invoice.id));
            files::replace(&path, &reply.body, false)?;
            let proven = receipt::verify(&receipt::Args { receipt: path.clone(), genesis: genesis.clone() })?;
            let facts = [
                ("file", path.display().to_string()),
                ("leaf", format!("{} {}", proven.leaf_index, proven.leaf_hash)),
                ("final at", format!("height {}, {}", proven.height, proven.time)),
            ];
            self.stage.show(
                "receipt",
                format!("{}: verified offline, against the genesis alone", invoice.id),
                facts,
            )?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// Exports as the auditor, verifies everything, and says how to do it again.
    pub(super) fn export_and_verify(&mut self, receipts: &[PathBuf]) -> Result<Exit, Failure> {
        let checkpoint = self.out.join("checkpoint.txt");
        let reply = self.stage.read(AUDITOR, "/v1/checkpoints/latest")?.succeeded("get the log checkpoint")?;
        files::replace(&checkpoint, &reply.body, false)?;
        let archive = self.out.join("archive.einvoice");
        let token = self.stage.token(&organisation(AUDITOR)?, None)?;
        let exported = export::from_node(self.stage.client(), &token, &archive, self.stage.output())?;
        let facts = [
            ("archive", archive.display().to_string()),
            ("bytes", exported.bytes.to_string()),
            ("blocks", exported.blocks.to_string()),
            ("tip", format!("height {}, {}", exported.tip_height, exported.tip_id)),
        ];
        self.stage.show("export", format!("{AUDITOR} exports the chain"), facts)?;
        let genesis = self.out.join("genesis.json");
        let args = verify::Args {
            archive: archive.clone(),
            genesis: genesis.clone(),
            level: LevelName::Replay,
            at_least: Some(exported.tip_height),
            checkpoint: vec![checkpoint.clone()],
            scratch: None,
            memory: verify::MEMORY_MIB,
        };
        let verdict = verify::verify(&args, self.stage.output())?;
        let chain = verdict.chain();
        let facts = [
            ("level", chain.level.to_owned()),
            ("verified", format!("{} blocks, {} statements, {} events", chain.blocks, chain.statements, chain.events)),
            ("findings", chain.findings.len().to_string()),
        ];
        self.stage.show("verify", format!("every signature and every rule again: {}", chain.status), facts)?;
        let program = std::env::current_exe().context("find this program")?;
        let program = files::quoted(&program);
        let [archive, genesis, checkpoint] = [&archive, &genesis, &checkpoint].map(|path| files::quoted(path));
        let again = format!(
            "{program} verify {archive} --genesis {genesis} --at-least {} --checkpoint {checkpoint}",
            exported.tip_height
        );
        let mut facts = vec![("chain", again)];
        if let Some(receipt) = receipts.first() {
            facts.push(("receipt", format!("{program} receipt verify {} --genesis {genesis}", files::quoted(receipt))));
        }
        self.stage.show("by hand", "to verify it again", facts)?;
        Ok(verdict.exit())
    }
}
