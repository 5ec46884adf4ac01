//! Whether somebody listens where a Pi's SSH should be: one connection, closed at once, and nothing is said over it.
//!
//! Who it is shows the night, by the Pi's key. What is wrong with the way there (a configuration of ssh that does not hold) is for the night to
//! say, too: the question is only whether this computer is at home.

use std::{io, net::SocketAddr, time::Duration};

use futures::future;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{
    config::{Config, Pi},
    places,
};

/// A Pi on the same network answers in milliseconds, over a mobile line in less than a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the question. The best of several answers counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Nobody is there, or nobody knows where that is.
    Silent,
    /// The system knows no way there, or macOS forbids it.
    NoRoute,
    /// Somebody is there.
    There,
}

/// Whether one of the Pi's addresses answers: those of its name, and where it was last; behind jump hosts, the first of these.
pub(super) async fn answers(config: &Config, pi: &Pi) -> Answer {
    let Ok(target) = places::target(config, pi).await else { return Answer::There };
    let (host, port) = target.jumps.first().map_or((&target.host, target.port), |hop| (&hop.host, hop.port));
    let name = || async {
        let found = timeout(PATIENCE, lookup_host((host.as_str(), port))).await.ok().and_then(Result::ok);
        connects(found.into_iter().flatten()).await
    };
    // A name that takes its time to lead nowhere must not keep the last address waiting.
    let last = target.addresses.iter().filter(|_| target.jumps.is_empty()).map(|address| SocketAddr::new(*address, port));
    let (by_name, by_address) = future::join(name(), connects(last)).await;
    by_name.max(by_address)
}

async fn connects(addresses: impl IntoIterator<Item = SocketAddr>) -> Answer {
    let tried = addresses.into_iter().map(|address| timeout(PATIENCE, TcpStream::connect(address)));
    let answers = future::join_all(tried).await.into_iter().map(|tried| tried.map_or(Answer::Silent, |tried| answer(&tried)));
    answers.max().unwrap_or(Answer::Silent)
}

fn answer<T>(tried: &io::Result<T>) -> Answer {
    match tried.as_ref().map_err(io::Error::kind) {
        Ok(_) => Answer::There,
        Err(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Answer::NoRoute,
        Err(_) => Answer::Silent,
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, path::Path};

    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Home;

    #[tokio::test]
    async fn it_is_whether_the_port_is_open_by_name_or_where_it_was_last() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = |host: &str| {
            let text = format!(
                "repository: /r\nstate: {}\npi: {{host: '{host}', port: {port}, user: u, path: /p, key: /k, known_hosts: /n, ssh_config: none}}\n",
                dir.path().display()
            );
            Config::parse(Path::new("offsite.yaml"), &text, &Home::at(Path::new("/home/owner"))).unwrap()
        };
        let ask = |host| {
            let config = config(host);
            async move { answers(&config, &config.pis[0]).await }
        };
        assert_eq!(ask("127.0.0.1").await, Answer::There);
        // No resolver knows a name with two dots in a row.
        assert_eq!(ask("no..where").await, Answer::Silent);
        std::fs::write(dir.path().join("addresses.json"), r#"{"pi":"127.0.0.1"}"#).unwrap();
        assert_eq!(ask("no..where").await, Answer::There);
        drop(listener);
        assert_eq!(ask("127.0.0.1").await, Answer::Silent, "a refusal is no lack of a way");
    }

    #[test]
    fn what_macos_says_to_whom_it_forbids_the_network_is_no_silence() {
        let failed = |kind| answer::<()>(&Err(io::Error::from(kind)));
        assert_eq!(failed(io::ErrorKind::HostUnreachable), Answer::NoRoute);
        assert_eq!(failed(io::ErrorKind::ConnectionRefused), Answer::Silent);
        assert_eq!([Answer::NoRoute, Answer::There, Answer::Silent].into_iter().max(), Some(Answer::There));
    }
}
