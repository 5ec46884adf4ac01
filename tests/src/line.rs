//! A slow line to a network namespace of its own (`lab/line.py`): where a [`crate::Link`] cuts connections, this one loses packets and tells nobody.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::cmd::Cmd;
use crate::part::{is_root, lacking, script};
use crate::tied::Tied;

/// Each line has a net of its own, as tests run beside each other.
static NET: AtomicU8 = AtomicU8::new(100);

/// The line; its near end is here, and whoever is [`Line::beyond`] it is at its far end.
#[derive(Debug)]
pub struct Line {
    tied: Tied,
    near: Ipv4Addr,
    inside: String,
}

impl Line {
    /// A line of `rate` Mbit/s and `delay` ms each way; its log goes to `dir`.
    #[must_use]
    pub fn new(dir: &Path, rate: u32, delay: u32) -> Option<Self> {
        if !is_root() && lacking("a network namespace", "only root may make one") {
            return None;
        }
        if !Path::new("/dev/net/tun").exists() && lacking("a network namespace", "there is no /dev/net/tun") {
            return None;
        }
        let net = NET.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script("line.py")).arg("new").arg(rate.to_string()).arg(delay.to_string()).arg(format!("10.77.{net}"));
        let (tied, ready) = Tied::start(command, &dir.join("line.log"));
        let inside = ready.strip_prefix("ready ").unwrap_or_else(|| panic!("a line said {ready:?}")).to_owned();
        Some(Self { tied, near: Ipv4Addr::new(10, 77, net, 1), inside })
    }

    /// The address of this end, as seen from the other.
    #[must_use]
    pub fn near(&self) -> Ipv4Addr {
        self.near
    }

    /// From now on so many Mbit/s pass; with none, every packet is lost.
    pub fn rate(&mut self, rate: f64) {
        self.tied.tell(&rate.to_string());
    }

    /// The same command at the far end.
    #[must_use]
    pub fn beyond(&self, command: Cmd) -> Cmd {
        command.under("nsenter", &["--target", &self.inside, "--net"])
    }

    /// Waits until nobody at the far end has a connection that counts as whole.
    pub fn wait_until_given_up(&self) {
        // State 01 is ESTABLISHED; the process is that of the namespace.
        let table = format!("/proc/{}/net/tcp", self.inside);
        let whole = || std::fs::read_to_string(&table).unwrap().lines().skip(1).any(|line| line.split_whitespace().nth(3) == Some("01"));
        crate::until("the far end gives up its connections", || !whole());
    }
}
