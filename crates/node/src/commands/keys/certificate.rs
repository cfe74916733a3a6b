//! `einvoice keys certificate`: what a REST door that is not loopback needs, where no authority gives certificates.
//!
//! The certificate is signed by its own key and may sign no other, so whoever trusts it trusts this door alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::clock;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::{Output, Report};

/// A day, seconds.
const DAY_S: u64 = 24 * 60 * 60;

/// Make a key and a self-signed certificate for a REST door.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where `certificate.pem`, to hand out, and `key.pem` go; a file that is there is never overwritten.
    directory: PathBuf,
    /// A host name or an IP address under which clients call the door; may be repeated.
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// For how many days it is valid.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: u16,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    names: Vec<String>,
    certificate: PathBuf,
    key: PathBuf,
}

impl Report for Made {
    fn text(&self) -> String {
        format!(
            "names       {}\nsecret in   {}\nhand out    {}",
            self.names.join(", "),
            self.key.display(),
            self.certificate.display()
        )
    }
}

/// Makes them; the certificate last, because it is of no use without its key.
pub(super) fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let (certificate, key) = (args.directory.join("certificate.pem"), args.directory.join("key.pem"));
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("make the key of a certificate")?;
    let signed = params(&args)?.self_signed(&pair).context("sign the certificate")?;
    files::directory(&args.directory).or_exit(Exit::Usage)?;
    let secret = Zeroizing::new(pair.serialize_pem());
    files::create_private(&key, secret.as_bytes()).or_exit(Exit::Usage)?;
    files::create_public(&certificate, signed.pem().as_bytes()).or_exit(Exit::Usage)?;
    output.data(&Made { names: args.names, certificate, key })?;
    Ok(Exit::Done)
}

/// What the certificate says.
fn params(args: &Args) -> Result<CertificateParams, Failure> {
    let names = || format!("make a certificate for {}", args.names.join(", "));
    let mut params = CertificateParams::new(args.names.clone()).with_context(names).or_exit(Exit::Usage)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, args.names.first().cloned().unwrap_or_default());
    params.distinguished_name = subject;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // From a day ago: the clocks of clients differ.
    let now_s = clock::machine_s();
    let at = |unix_s| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
    params.not_before = at(now_s.saturating_sub(DAY_S));
    params.not_after = at(now_s.saturating_add(u64::from(args.days) * DAY_S));
    Ok(params)
}
