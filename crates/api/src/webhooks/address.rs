//! Where webhooks may go: an https URL, whose name leads to an address that anybody may reach.
//!
//! A node stands inside of its agency's network, and organisations say where it calls: without care they could make it
//! call what only it can reach (OWASP "server-side request forgery"). So names are resolved here, every address is judged,
//! and the connection goes to the very address that was judged: nobody resolves the name a second time. Redirects are
//! not followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Uri;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Bytes of a URL.
pub(crate) const URL_BYTES_MAX: usize = 2_048;

/// Bytes of a name (RFC 1035 §2.3.4), and of one of its labels.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// IPv4 networks that are not for everybody: the IANA IPv4 Special-Purpose Address Registry (RFC 6890), and what clouds
/// answer their own machines on.
const SPECIAL_V4: [(Ipv4Addr, u8); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carrier-grade NAT (RFC 6598), and the metadata of one cloud.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // The platform service of another, under an address that looks public.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local, and the metadata of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Of IPv6 only this is given out to everybody (RFC 4291 §2.4): what is unspecified, loopback, mapped, translated,
/// unique local, link-local or multicast lies outside of it.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks inside of it that are not for everybody: the IANA IPv6 Special-Purpose Address Registry. Teredo and 6to4 hold
/// IPv4 addresses, which may be anything.
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Which addresses may be called.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// The node's own machine may be called too, and without TLS.
    loopback: bool,
    /// Networks that are opened although they are not for everybody.
    networks: Vec<IpNet>,
}

impl Reach {
    pub(crate) fn new(loopback: bool, networks: Vec<IpNet>) -> Self {
        Self { loopback, networks }
    }

    /// The address to connect to, when it may be called; without TLS that is the node's own machine alone.
    pub(crate) fn judge(&self, address: IpAddr, tls: bool) -> Option<IpAddr> {
        // An IPv4 address in the clothes of IPv6 leads to the same machine.
        let address = address.to_canonical();
        let allowed = if address.is_unspecified() || address.is_multicast() || is_broadcast(address) {
            false
        } else if address.is_loopback() {
            self.loopback || (tls && self.opens(address))
        } else {
            tls && (is_for_everybody(address) || self.opens(address))
        };
        allowed.then_some(address)
    }

    fn opens(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn is_for_everybody(address: IpAddr) -> bool {
    let in_v4 = |address: &Ipv4Addr, (of, bits): (Ipv4Addr, u8)| {
        Ipv4Net::new(of, bits).is_ok_and(|network| network.contains(address))
    };
    let in_v6 = |address: &Ipv6Addr, (of, bits): (Ipv6Addr, u8)| {
        Ipv6Net::new(of, bits).is_ok_and(|network| network.contains(address))
    };
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.into_iter().any(|network| in_v4(&address, network)),
        IpAddr::V6(address) => {
            in_v6(&address, GLOBAL_V6) && !SPECIAL_V6.into_iter().any(|network| in_v6(&address, network))
        }
    }
}

/// A host as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// By address.
    Address(IpAddr),
    /// By name.
    Name(String),
}

/// A URL, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether it is https.
    pub(crate) tls: bool,
    /// Where.
    pub(crate) host: Host,
    /// The port, also when the URL names none.
    pub(crate) port: u16,
    /// What the `Host` header says.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Target {
    /// Reads a URL that webhooks may go to. Gives what was expected otherwise.
    pub(crate) fn read(text: &str, reach: &Reach) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "an absolute https URL of at most 2048 printable ASCII characters, without user and fragment";
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return Err(EXPECTED);
        }
        let uri: Uri = text.parse().map_err(|_| EXPECTED)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if reach.loopback => false,
            Some(_) | None => return Err(EXPECTED),
        };
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err(EXPECTED);
        }
        let host = host(authority.host())?;
        if let Host::Address(address) = &host
            && reach.judge(*address, tls).is_none()
        {
            return Err("an address that anybody may reach, or in a network that this node's operator has opened");
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) | None => authority.port_u16().filter(|port| *port != 0).ok_or("a port from 1 to 65535")?,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }
}

/// Reads a host: a name of labels (RFC 1123 §2.1), or an address.
fn host(text: &str) -> Result<Host, &'static str> {
    const EXPECTED: &str = "a host name of letters, digits and hyphens, or an IP address";
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(EXPECTED)?;
        return inner.parse().map(|address| Host::Address(IpAddr::V6(address))).map_err(|_| EXPECTED);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // `0x7f.1` and `2130706433` are spellings of addresses to some resolvers.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(label) || numeric {
        return Err(EXPECTED);
    }
    Ok(Host::Name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(reach: &Reach, addresses: &[&str], tls: bool) -> Vec<String> {
        let judged = addresses.iter().filter(|text| reach.judge(text.parse().unwrap(), tls).is_some());
        judged.map(|text| (*text).to_owned()).collect()
    }

    /// One or more of every kind that nobody from outside may have called.
    const REFUSED: [&str; 46] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.31.196.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::7f00:1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2620:4f:8000::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ];

    #[test]
    fn no_address_that_is_not_for_everybody_is_called() {
        let nothing_open = Reach::new(false, Vec::new());
        assert_eq!(allowed(&nothing_open, &REFUSED, true), [""; 0]);
        let public = ["1.1.1.1", "100.63.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255", "::ffff:8.8.8.8"];
        let public_v6 = ["2400:cb00::1", "2606:4700::1111", "2a00:1450::1"];
        assert_eq!(allowed(&nothing_open, &public, true), public);
        assert_eq!(allowed(&nothing_open, &public_v6, true), public_v6);
        assert_eq!(allowed(&nothing_open, &public, false), [""; 0], "without TLS nobody outside is called");
    }

    #[test]
    fn what_is_connected_to_is_the_canonical_address() {
        let reach = Reach::new(false, Vec::new());
        assert_eq!(reach.judge("::ffff:8.8.8.8".parse().unwrap(), true), Some("8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn an_operator_opens_networks_but_nothing_that_leads_to_many() {
        let networks = ["10.20.0.0/16", "fd12::/16", "224.0.0.0/4", "0.0.0.0/8"].map(|text| text.parse().unwrap());
        let reach = Reach::new(false, networks.to_vec());
        let open = ["10.20.3.4", "::ffff:10.20.3.4", "fd12::7"];
        assert_eq!(allowed(&reach, &open, true), open);
        assert_eq!(allowed(&reach, &open, false), [""; 0]);
        assert_eq!(
            allowed(&reach, &["10.21.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"], true),
            [""; 0]
        );
        let own = Reach::new(true, Vec::new());
        let machine = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
        assert_eq!(
            (allowed(&own, &machine, true), allowed(&own, &machine, false)),
            (machine.map(str::to_owned).to_vec(), machine.map(str::to_owned).to_vec())
        );
        assert_eq!(allowed(&own, &["10.0.0.1", "1.1.1.1"], false), [""; 0]);
    }

    #[test]
    fn a_url_is_read_strictly() {
        let reach = Reach::new(false, Vec::new());
        let read = |text: &str| Target::read(text, &reach);
        let target = read("https://Hooks.Example.com./in?a=1").unwrap();
        assert_eq!((target.host, target.port), (Host::Name("hooks.example.com".to_owned()), 443));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("Hooks.Example.com.", "/in?a=1"));
        assert_eq!(read("https://[2606:4700::1111]:8443/").unwrap().port, 8443);
        for wrong in [
            "",
            "/in",
            "https://",
            "http://example.com/",
            "ftp://example.com/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#part",
            "https://example.com:0/",
            "https://example.com:/",
            "https://example.com:65536/",
            "https://exa mple.com/",
            "https://発票.example/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://-a.example/",
            "https://a..example/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
            "https://169.254.169.254/latest",
            "https://exa_mple.com/",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX))).is_err());
        let own = Reach::new(true, Vec::new());
        assert_eq!(Target::read("http://127.0.0.1:9000/in", &own).unwrap().port, 9_000);
        assert!(Target::read("http://localhost/in", &own).is_ok(), "a name is judged when it is resolved");
        assert!(Target::read("http://10.0.0.1/", &own).is_err());
    }
}
