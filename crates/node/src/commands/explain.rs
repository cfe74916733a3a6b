//! `einvoice explain`: what a code means, why it is answered, and what to do about it.

use anyhow::anyhow;
use api::catalogue;
use invoice::violation::RULES;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::{Output, Report};

/// How many codes are proposed for one that does not exist.
const PROPOSALS: usize = 12;

/// Explain a code: its rule, its cause and its cure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, as `reimbursement.already-locked`; without one, every code is listed.
    code: Option<String>,
}

/// A code, explained.
#[derive(Debug, Serialize)]
struct Explained {
    /// The code itself.
    code: &'static str,
    /// Which rule stands behind it.
    rule: &'static str,
    /// Why it was answered.
    cause: &'static str,
    /// What to do.
    cure: &'static str,
    /// Who says so, and whether the ledger holds it.
    #[serde(rename = "where")]
    at: &'static str,
    /// The HTTP status; `null` for a rule, which is told inside of `document.invalid`.
    http: Option<u16>,
    /// The gRPC status.
    grpc: Option<&'static str>,
}

impl Report for Explained {
    fn text(&self) -> String {
        let Self { code, rule, cause, cure, at, http, grpc } = self;
        let doors = match (http, grpc) {
            (Some(http), Some(grpc)) => format!("\n  Doors  HTTP {http}, gRPC {grpc}"),
            _ => String::new(),
        };
        format!("{code}\n  Rule   {rule}\n  Cause  {cause}\n  Cure   {cure}\n  Where  {at}{doors}")
    }
}

/// Every code, with the one sentence that says what it means.
#[derive(Debug, Serialize)]
struct Listed(Vec<Line>);

#[derive(Debug, Serialize)]
struct Line {
    code: &'static str,
    meaning: &'static str,
}

impl Report for Listed {
    fn text(&self) -> String {
        let width = self.0.iter().map(|line| line.code.len()).max().unwrap_or_default();
        let lines: Vec<String> =
            self.0.iter().map(|Line { code, meaning }| format!("{code:<width$}  {meaning}")).collect();
        lines.join("\n")
    }
}

/// Explains the code, or lists them all.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let Some(code) = &args.code else {
        output.data(&Listed(every()))?;
        return Ok(Exit::Done);
    };
    // As it stands in an answer, or pasted from the page's address.
    let code = code.rsplit('#').next().unwrap_or_default().trim();
    let Some(explained) = explain(code) else { return Err(Failure::new(Exit::Usage, unknown(code))) };
    output.data(&explained)?;
    Ok(Exit::Done)
}

fn explain(code: &str) -> Option<Explained> {
    if let Some(rule) = RULES.iter().find(|rule| rule.code == code) {
        return Some(Explained {
            code: rule.code,
            rule: rule.summary,
            cause: "The document breaks it; `violations` says at which path, what was expected and what was found.",
            cure: rule.cure,
            at: "rejected at the door with `document.invalid`: nothing is on the ledger, and the nonce is free",
            http: None,
            grpc: None,
        });
    }
    let entry = catalogue::find(code)?;
    let on_ledger = ledger::refusal::CODES.iter().any(|refusal| refusal.code == code);
    Some(Explained {
        code: entry.code,
        rule: entry.kind.rule(),
        cause: entry.summary,
        cure: entry.cure,
        at: if on_ledger {
            "refused by state: an outcome on the ledger, for good, with what was expected and found"
        } else {
            "answered at the door: nothing is on the ledger"
        },
        http: Some(catalogue::status(code, entry.kind).as_u16()),
        grpc: Some(catalogue::grpc_name(catalogue::grpc_status(code, entry.kind))),
    })
}

fn every() -> Vec<Line> {
    let entries = catalogue::entries().into_iter().map(|entry| Line { code: entry.code, meaning: entry.summary });
    let mut lines: Vec<Line> =
        entries.chain(RULES.iter().map(|rule| Line { code: rule.code, meaning: rule.summary })).collect();
    lines.sort_by_key(|line| line.code);
    lines
}

/// Proposes the codes that have a word of this one: who asks has mistyped, or remembers half of it.
fn unknown(code: &str) -> anyhow::Error {
    let words: Vec<&str> = code.split(['.', '-']).filter(|word| word.len() > 2).collect();
    let likeness = |line: &Line| words.iter().filter(|word| line.code.contains(**word)).count();
    let mut near: Vec<(usize, &'static str)> =
        every().iter().map(|line| (likeness(line), line.code)).filter(|(likeness, _)| *likeness > 0).collect();
    near.sort_by_key(|(likeness, _)| std::cmp::Reverse(*likeness));
    let near: Vec<&str> = near.into_iter().take(PROPOSALS).map(|(_, code)| code).collect();
    let proposal = if near.is_empty() {
        "`einvoice explain` lists all".to_owned()
    } else {
        format!("like it are {}", near.join(", "))
    };
    anyhow!("find the code {code:?}; {proposal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_in_full() {
        let lines = every();
        assert!(lines.windows(2).all(|pair| pair[0].code < pair[1].code), "sorted, and each once");
        for Line { code, .. } in lines {
            let explained = explain(code).unwrap();
            assert_eq!(explained.code, code);
            for text in [explained.rule, explained.cause, explained.cure, explained.at] {
                assert!(!text.is_empty(), "{code}");
            }
            assert!(explained.text().contains(explained.cure), "{code}");
        }
    }

    #[test]
    fn what_state_refuses_is_told_from_what_the_door_rejects() {
        let locked = explain("reimbursement.already-locked").unwrap();
        assert!(locked.at.starts_with("refused by state"));
        assert_eq!((locked.http, locked.grpc), (Some(409), Some("FAILED_PRECONDITION")));
        assert!(explain("statement.signature").unwrap().at.starts_with("answered at the door"));
        assert_eq!(explain("document.line-tax-off").unwrap().http, None);
    }

    #[test]
    fn codes_like_one_that_does_not_exist_are_proposed() {
        let near = unknown("reimbursement.locked-already").to_string();
        assert!(near.contains("reimbursement.already-locked"), "{near}");
        assert!(unknown("x").to_string().contains("lists all"));
    }
}
