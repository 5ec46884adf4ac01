//! Whether somebody listens where a Pi's SSH should be: one connection, closed at once, and nothing is said over it.
//!
//! Who it is shows the night, by the Pi's key. What is wrong with the way there (a configuration of ssh that does not hold) is for the night to
//! say, too: the question is only whether this computer is at home.

use std::{net::SocketAddr, time::Duration};

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

/// Whether one of the Pi's addresses answers: those of its name, and where it was last; behind jump hosts, the first of these.
pub(super) async fn answers(config: &Config, pi: &Pi) -> bool {
    let Ok(target) = places::target(config, pi).await else { return true };
    let (host, port) = target.jumps.first().map_or((&target.host, target.port), |hop| (&hop.host, hop.port));
    let name = || async {
        let found = timeout(PATIENCE, lookup_host((host.as_str(), port))).await.ok().and_then(Result::ok);
        connects(found.into_iter().flatten()).await
    };
    // A name that takes its time to lead nowhere must not keep the last address waiting.
    let last = target.addresses.iter().filter(|_| target.jumps.is_empty()).map(|address| SocketAddr::new(*address, port));
    let (by_name, by_address) = future::join(name(), connects(last)).await;
    by_name || by_address
}

async fn connects(addresses: impl IntoIterator<Item = SocketAddr>) -> bool {
    let tried =
        addresses.into_iter().map(|address| async move { matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))) });
    future::join_all(tried).await.contains(&true)
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
        assert!(ask("127.0.0.1").await);
        // No resolver knows a name with two dots in a row.
        assert!(!ask("no..where").await);
        std::fs::write(dir.path().join("addresses.json"), r#"{"pi":"127.0.0.1"}"#).unwrap();
        assert!(ask("no..where").await);
        drop(listener);
        assert!(!ask("127.0.0.1").await);
    }
}
