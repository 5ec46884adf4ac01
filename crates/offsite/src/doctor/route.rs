//! "No route to host" towards a home network, read in both ways that it can be meant.
//!
//! macOS gives the same error (65) to a program that may not reach the local network as for a Pi that is not there. What tells them apart
//! is the neighbourhood: a router that answers, or even refuses, shows that this program may. Where nobody answers, both stay possible, and
//! both are said.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::hint::private;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// One answered, be it by refusing.
    Answer,
    /// All are out of reach by the very same error.
    NoRoute,
    /// None of the two: silence, or nobody to ask.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knock {
    Answered,
    /// No route to host, or network unreachable.
    NoRoute,
    Silent,
}

/// Where a router usually is, as seen from `host`.
pub(crate) fn routers(host: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V4(address) = host else { return Vec::new() };
    let [a, b, c, d] = address.octets();
    let usual = [1, 254].into_iter().filter(|last| *last != d);
    if private(host) { usual.map(|last| IpAddr::V4(Ipv4Addr::new(a, b, c, last))).collect() } else { Vec::new() }
}

pub(crate) fn neighbours(knocks: &[Knock]) -> Neighbours {
    if knocks.contains(&Knock::Answered) {
        Neighbours::Answer
    } else if !knocks.is_empty() && knocks.iter().all(|knock| *knock == Knock::NoRoute) {
        Neighbours::NoRoute
    } else {
        Neighbours::Unknown
    }
}

/// Knocks at the neighbours of `host`. Takes at most two seconds.
pub(crate) async fn ask(host: IpAddr) -> Neighbours {
    const PATIENCE: Duration = Duration::from_secs(2);
    let doors = routers(host).into_iter().flat_map(|router| [53, 80, 443].map(|port| SocketAddr::new(router, port)));
    let knocks = doors.map(|door| async move {
        match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(door)).await {
            Ok(Ok(_)) => Knock::Answered,
            Ok(Err(error)) => knock(&error),
            Err(_) => Knock::Silent,
        }
    });
    neighbours(&futures::future::join_all(knocks).await)
}

fn knock(error: &std::io::Error) -> Knock {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => Knock::Answered,
        std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => Knock::NoRoute,
        _ => Knock::Silent,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_router_is_looked_for_in_the_same_network_and_nowhere_else() {
        let of = |text: &str| routers(text.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("192.168.178.20"), ["192.168.178.1", "192.168.178.254"]);
        assert_eq!(of("10.0.0.1"), ["10.0.0.254"]);
        assert_eq!(of("8.8.8.8"), [""; 0]);
        assert_eq!(of("fe80::1"), [""; 0]);
    }

    #[test]
    fn one_that_answers_says_that_we_may_and_only_the_same_error_everywhere_that_we_may_not() {
        use Knock::{Answered, NoRoute, Silent};
        assert_eq!(neighbours(&[Silent, Answered, NoRoute]), Neighbours::Answer);
        assert_eq!(neighbours(&[NoRoute, NoRoute]), Neighbours::NoRoute);
        assert_eq!(neighbours(&[NoRoute, Silent]), Neighbours::Unknown);
        assert_eq!(neighbours(&[]), Neighbours::Unknown);
        // As macOS says it: 61 refused, 65 no route; and Linux: 111, 113.
        assert_eq!(knock(&io::Error::from(io::ErrorKind::ConnectionRefused)), Answered);
        assert_eq!(knock(&io::Error::from(io::ErrorKind::HostUnreachable)), NoRoute);
        assert_eq!(knock(&io::Error::from(io::ErrorKind::TimedOut)), Silent);
    }
}
