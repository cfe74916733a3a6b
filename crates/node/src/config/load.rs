//! How a configuration comes together: file, environment, flags.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use toml::{Table, Value};

use super::Config;
use crate::files;

/// How many bytes a configuration file may have.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the environment's names begin with.
const PREFIX: &str = "EINVOICE_";

/// Keys without a default, which [`keys`] cannot find by looking at the defaults.
const WITHOUT_DEFAULT: [(&str, &str); 7] = [
    ("http", "tls-certificate"),
    ("http", "tls-key"),
    ("grpc", "listen"),
    ("grpc", "tls-certificate"),
    ("grpc", "tls-key"),
    ("peers", "listen"),
    ("webhooks", "ca"),
];

impl Config {
    /// The effective configuration: flags over environment over file over defaults.
    ///
    /// `overrides` are the flags, each `section.key=value`.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> anyhow::Result<Self> {
        let mut table = match file {
            Some(path) => {
                let bytes = files::read(path, FILE_BYTES_MAX)?;
                let context = || format!("read the configuration {}", path.display());
                let text = String::from_utf8(bytes).context("it is not UTF-8").with_context(context)?;
                // Read before it is mixed with anything, so that a complaint is about the file.
                Self::read(&text).with_context(context)?;
                text.parse().with_context(context)?
            }
            None => Table::new(),
        };
        for (name, text) in environment {
            if let Some((section, key)) = named(&name) {
                set(&mut table, &section, &key, &text).with_context(|| format!("read {name} in the environment"))?;
            }
        }
        for text in overrides {
            let context = || format!("read --set {text}");
            let (path, value) =
                text.split_once('=').ok_or_else(|| anyhow!("expected section.key=value")).with_context(context)?;
            let (section, key) =
                path.split_once('.').ok_or_else(|| anyhow!("expected section.key=value")).with_context(context)?;
            set(&mut table, section, key, value).with_context(context)?;
        }
        let mut config: Self = table.try_into().context("put the configuration together")?;
        config.validate().context("use the configuration")?;
        config.resolve(file.and_then(Path::parent).unwrap_or_else(|| Path::new("")));
        Ok(config)
    }

    /// Reads the text of a file: its values over the defaults. A complaint names the line and what stands there.
    fn read(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| in_place(text, &error))
    }

    /// Reads the text of a file as far as that goes without the file: the effective configuration as TOML.
    pub(crate) fn check_text(text: &str) -> anyhow::Result<String> {
        let config = Self::read(text)?;
        config.validate()?;
        config.to_toml()
    }

    /// Makes paths relative to the file's directory.
    fn resolve(&mut self, directory: &Path) {
        let keys = &mut self.keys;
        let paths = [
            &mut self.node.genesis,
            &mut self.node.data,
            &mut keys.consensus,
            &mut keys.receipt,
            &mut keys.peer,
            &mut keys.attachment_salt,
            &mut keys.hosted,
        ];
        let (http, grpc) = (&mut self.http, &mut self.grpc);
        let tls = [&mut http.tls_certificate, &mut http.tls_key, &mut grpc.tls_certificate, &mut grpc.tls_key];
        let tls = tls.into_iter().chain([&mut self.webhooks.ca]);
        for path in paths.into_iter().chain(tls.flatten()) {
            *path = directory.join(&*path);
        }
    }
}

/// What is wrong with a file, on one line: where, what stands there, what the reader says.
fn in_place(text: &str, error: &toml::de::Error) -> anyhow::Error {
    const EXCERPT_CHARS_MAX: usize = 60;
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    let excerpt: String = text.lines().nth(line).unwrap_or_default().trim().chars().take(EXCERPT_CHARS_MAX).collect();
    anyhow!("line {}, {excerpt:?}: {}", line + 1, error.message())
}

/// Every key there is, with the type of its value by example.
fn keys() -> impl Iterator<Item = (String, String, Value)> {
    let defaults = Table::try_from(Config::default()).expect("the defaults are TOML");
    let with_default = defaults.into_iter().flat_map(|(section, table)| {
        let keys = table.as_table().cloned().unwrap_or_default();
        keys.into_iter().map(move |(key, value)| (section.clone(), key, value))
    });
    let without =
        WITHOUT_DEFAULT.map(|(section, key)| (section.to_owned(), key.to_owned(), Value::String(String::new())));
    with_default.chain(without)
}

/// The key that a name in the environment stands for.
fn named(name: &str) -> Option<(String, String)> {
    let name = name.strip_prefix(PREFIX)?;
    keys()
        .map(|(section, key, _)| (section, key))
        .find(|(section, key)| format!("{section}_{key}").replace('-', "_").to_ascii_uppercase() == name)
}

/// Puts a value that came as text in its place.
fn set(table: &mut Table, section: &str, key: &str, text: &str) -> anyhow::Result<()> {
    let (_, _, example) = keys()
        .find(|(known_section, known_key, _)| known_section == section && known_key == key)
        .ok_or_else(|| anyhow!("there is no key {section}.{key}"))?;
    let value = if example.is_integer() {
        Value::Integer(text.parse().map_err(|_| anyhow!("expected a whole number, found {text:?}"))?)
    } else if example.is_bool() {
        Value::Boolean(text.parse().map_err(|_| anyhow!("expected true or false, found {text:?}"))?)
    } else if example.is_array() {
        let list: Option<Table> = format!("list = {text}").parse().ok();
        let list = list.and_then(|mut table| table.remove("list")).filter(Value::is_array);
        list.ok_or_else(|| anyhow!("expected a list as TOML writes it, found {text:?}"))?
    } else {
        Value::String(text.to_owned())
    };
    let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let entry = entry.as_table_mut().ok_or_else(|| anyhow!("{section} is no section"))?;
    entry.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Config::load(Some(&path), environment, &flags)
    }

    #[test]
    fn the_file_in_the_repository_is_the_defaults() {
        let text = include_str!("../../../../config/node.toml");
        let read: Config = toml::from_str(text).unwrap();
        assert_eq!(read, Config::default());
        for (section, key, _) in keys() {
            assert!(text.contains(&format!("{key} =")), "config/node.toml does not show {section}.{key}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let file = "[blocks]\nheartbeat-ms = 2000\n[http]\npage-rows-max = 7\n";
        let environment = [("EINVOICE_BLOCKS_HEARTBEAT_MS", "3000"), ("EINVOICE_HTTP_LISTEN", "127.0.0.1:9")];
        let config = load(file, &environment, &["blocks.heartbeat-ms=4000"]).unwrap();
        assert_eq!(config.blocks.heartbeat_ms, 4000);
        assert_eq!(config.http.listen.port(), 9);
        assert_eq!(config.http.page_rows_max, 7);
        assert_eq!(config.blocks.checkpoint_heartbeat_ms, 10_000);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = load("[node]\ngenesis = \"g.json\"\ndata = \"/var/lib/x\"\n", &[], &[]).unwrap();
        assert!(config.node.genesis.is_absolute() && config.node.genesis.ends_with("g.json"));
        assert_eq!(config.node.data, Path::new("/var/lib/x"));
    }

    #[test]
    fn an_operator_opens_networks_to_webhooks() {
        let flags = ["webhooks.allow-networks=[\"10.1.0.0/16\", \"fd12::/16\"]", "webhooks.allow-loopback=true"];
        let config = load("[webhooks]\nca = \"ca.pem\"\n", &[], &flags).unwrap();
        let options = config.api_options().webhooks;
        assert_eq!((options.networks.len(), options.loopback), (2, true));
        assert!(config.webhooks.ca.unwrap().is_absolute());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let check = |file: &str, flags: &[&str], expected: &str| {
            let error = format!("{:#}", load(file, &[], flags).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("[http]\nlisten-on = \"x\"\n", &[], "listen-on");
        check("[htp]\n", &[], "htp");
        check("[http]\nlisten = \"0.0.0.0:80\"\n", &[], "not loopback");
        check("[http]\ntls-key = \"k\"\n", &[], "together");
        check("[grpc]\nlisten = \"0.0.0.0:90\"\n", &[], "grpc.listen: 0.0.0.0:90 is not loopback");
        check("[grpc]\ntls-key = \"k\"\n", &[], "grpc: expected tls-certificate and tls-key together");
        check("", &["grpc.batch-max=1001"], "grpc.batch-max");
        check("", &["grpc.keep-alive-ms=0"], "grpc.keep-alive-ms: the value is too small");
        check("", &["webhooks.allow-loopback=maybe"], "true or false");
        check("", &["webhooks.allow-networks=[\"10.1.0.0\"]"], "webhooks.allow-networks: expected networks");
        check("", &["webhooks.delivery-timeout-ms=1"], "too small");
        check("", &["blocks.heartbeat-ms=soon"], "whole number");
        check("", &["blocks.heart=1"], "no key blocks.heart");
        check("", &["peers.nodes=one"], "a list as TOML writes it");
        check("", &["peers.nodes=[{ address = \"host:1\" }]"], "key");
        check("", &["blocks.heartbeat-ms=0"], "too small");
    }

    #[test]
    fn complaints_about_a_file_name_the_line_and_the_key() {
        let error = load("[http]\n\nlisten = 5\n", &[], &[]).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("line 3, \"listen = 5\": invalid type"), "{error}");
    }
}
