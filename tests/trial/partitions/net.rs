//! Four hosts on one machine: network namespaces, each with a link to a router in a namespace of its own, where paths are
//! cut, one direction at a time, and links made slow.
//!
//! What is made is taken away by a guard: a shell in a process group of its own, which waits for the end of a pipe. So
//! it is taken away whatever becomes of this process: at its end, by a panic, on Ctrl-C, and after `kill -9`.

use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use crate::trial::Broken;
use crate::trial::four::NODES;

/// It cannot be tried on this machine.
#[derive(Debug)]
pub struct NotHere(pub String);

impl fmt::Display for NotHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotHere {}

/// What the guard does when the pipe ends: whoever runs in the namespaces is killed, and they are taken away.
const GUARD: &str = r#"
while read -r _; do :; done
for name in "$@"; do
  for process in $(ip netns pids "$name" 2>/dev/null); do kill -9 "$process" 2>/dev/null; done
  ip netns del "$name" 2>/dev/null
done
exit 0
"#;

/// The hosts and the router between them.
pub struct Net {
    router: String,
    hosts: Vec<String>,
    /// Ends the guard's pipe when it is dropped.
    pipe: Option<ChildStdin>,
    guard: Child,
    /// Whether the kernel can delay, lose, double and reorder packets.
    netem: bool,
}

/// What a bad line does.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Delay, ms, and how much it differs from packet to packet.
    pub delay_ms: u64,
    /// How much the delay differs, ms.
    pub jitter_ms: u64,
    /// Packets lost, of a thousand.
    pub loss: u64,
    /// Packets that come twice, of a thousand.
    pub double: u64,
    /// Packets that overtake others, of a thousand.
    pub reorder: u64,
    /// Bits a second, thousand.
    pub kilobits: u64,
}

fn command(program: &str, arguments: &str) -> Result<Output, NotHere> {
    let output = Command::new(program).args(arguments.split(' ')).stdin(Stdio::null()).output();
    output.map_err(|error| {
        NotHere(format!("{program} cannot be run ({error}): install the package iproute2, which has ip and tc"))
    })
}

fn must(program: &str, arguments: &str) -> Result<(), Broken> {
    let output = command(program, arguments)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn ip(arguments: &str) -> Result<(), Broken> {
    must("ip", arguments)
}

impl Net {
    /// Makes the hosts.
    ///
    /// # Errors
    /// [`NotHere`] when this machine cannot: it needs root, `ip` and `tc`.
    pub fn make() -> Result<Self, Broken> {
        if !rustix::process::geteuid().is_root() {
            return Err(NotHere("network namespaces are made by root alone: run it as root".to_owned()).into());
        }
        command("tc", "-Version")?;
        let name = |end: &str| format!("einvoice-{}-{end}", std::process::id());
        let router = name("router");
        let hosts: Vec<String> = (0..NODES).map(|place| name(&place.to_string())).collect();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).args(&hosts).arg(&router).process_group(0);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = guard.spawn()?;
        let pipe = guard.stdin.take();
        let mut net = Self { router, hosts, pipe, guard, netem: false };
        let output = command("ip", &format!("netns add {}", net.router))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(NotHere(format!("a network namespace cannot be made here: {why}")).into());
        }
        net.connect()?;
        net.netem = net.try_netem()?;
        Ok(net)
    }

    fn connect(&self) -> Result<(), Broken> {
        let router = &self.router;
        for (place, host) in self.hosts.iter().enumerate() {
            ip(&format!("netns add {host}"))?;
            ip(&format!("-n {router} link add host{place} type veth peer name eth0 netns {host}"))?;
            ip(&format!("-n {router} addr add 10.77.{place}.1/30 dev host{place}"))?;
            ip(&format!("-n {router} link set host{place} up"))?;
            ip(&format!("-n {host} addr add {}/30 dev eth0", Self::address(place)))?;
            ip(&format!("-n {host} link set lo up"))?;
            ip(&format!("-n {host} link set eth0 up"))?;
            ip(&format!("-n {host} route add default via 10.77.{place}.1"))?;
        }
        // Without a look at the way back, so that one direction can be cut alone.
        let script = "echo 1 > /proc/sys/net/ipv4/ip_forward; \
                      for filter in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $filter; done";
        let set = Command::new("ip").args(["netns", "exec", router, "sh", "-c", script]).output()?;
        if set.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&set.stderr).into_owned().into()) }
    }

    fn try_netem(&self) -> Result<bool, Broken> {
        let arguments = format!("-n {} qdisc add dev lo root netem delay 1ms", self.hosts[0]);
        let made = command("tc", &arguments)?.status.success();
        if made {
            must("tc", &format!("-n {} qdisc del dev lo root", self.hosts[0]))?;
        }
        Ok(made)
    }

    /// Whether the kernel can delay, lose, double and reorder packets.
    pub fn has_netem(&self) -> bool {
        self.netem
    }

    /// A host's namespace.
    pub fn namespace(&self, place: usize) -> &str {
        &self.hosts[place]
    }

    /// A host's address.
    pub fn address(place: usize) -> String {
        format!("10.77.{place}.2")
    }

    /// Cuts the path from one host to another: packets vanish, nobody is told. The other direction stays.
    pub fn cut(&self, from: usize, to: usize) -> Result<(), Broken> {
        let (from, to) = (Self::address(from), Self::address(to));
        ip(&format!("-n {} rule add from {from} to {to} blackhole", self.router))
    }

    /// Cuts everything between two groups.
    pub fn split(&self, one: &[usize], other: &[usize]) -> Result<(), Broken> {
        for (from, to) in one.iter().flat_map(|from| other.iter().map(move |to| (*from, *to))) {
            self.cut(from, to)?;
            self.cut(to, from)?;
        }
        Ok(())
    }

    /// Pulls a host's plug, or puts it in again.
    pub fn plug(&self, place: usize, up: bool) -> Result<(), Broken> {
        let state = if up { "up" } else { "down" };
        ip(&format!("-n {} link set host{place} {state}", self.router))?;
        // The way out went with the link.
        if up { ip(&format!("-n {} route replace default via 10.77.{place}.1", self.hosts[place])) } else { Ok(()) }
    }

    /// Makes a host's line bad in both directions: as bad as the kernel can, which may be only slow and short of room.
    pub fn spoil(&self, place: usize, line: &Line) -> Result<(), Broken> {
        let Line { delay_ms, jitter_ms, loss, double, reorder, kilobits } = *line;
        let tenth = |count: u64| format!("{}.{}%", count / 10, count % 10);
        let what = if self.netem {
            let (loss, double, reorder) = (tenth(loss), tenth(double), tenth(reorder));
            format!(
                "netem delay {delay_ms}ms {jitter_ms}ms loss {loss} duplicate {double} reorder {reorder} 50% \
                 rate {kilobits}kbit"
            )
        } else {
            format!("tbf rate {kilobits}kbit burst 16kb latency {}ms", delay_ms + jitter_ms)
        };
        must("tc", &format!("-n {} qdisc replace dev eth0 root {what}", self.hosts[place]))?;
        must("tc", &format!("-n {} qdisc replace dev host{place} root {what}", self.router))
    }

    /// Mends everything.
    pub fn heal(&self) -> Result<(), Broken> {
        // One at a time, whichever there are; it fails when there is none left.
        while command("ip", &format!("-n {} rule del blackhole", self.router))?.status.success() {}
        for (place, host) in self.hosts.iter().enumerate() {
            self.plug(place, true)?;
            // There is none unless the line was spoiled.
            command("tc", &format!("-n {host} qdisc del dev eth0 root"))?;
            command("tc", &format!("-n {} qdisc del dev host{place} root", self.router))?;
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.pipe.take());
        drop(self.guard.wait());
    }
}
