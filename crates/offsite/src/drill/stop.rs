//! A drill that is told to end, by Ctrl-C, a closed terminal or a shutdown: what it restored lies there in the clear, so it must not stay.
//!
//! The restore is given up at once, and the folder is removed only when nobody writes into it any more. Invariant: who writes has a
//! [`Hand`] and lets go of it at the end, however that comes.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{OwnedRwLockReadGuard, RwLock, watch},
};

/// How long writing may go on after it was told to end: one piece of the stream.
const LAST_PIECE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone)]
pub(super) struct Stop {
    asked: watch::Receiver<bool>,
    writing: Arc<RwLock<()>>,
}

#[derive(Debug)]
pub(super) struct Hand {
    asked: watch::Receiver<bool>,
    _writing: OwnedRwLockReadGuard<()>,
}

impl Stop {
    /// From now on a signal ends the drill and not the program.
    pub(super) fn listen() -> io::Result<Self> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        let (ask, stop) = Self::new();
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                _ = hangup.recv() => {}
            }
            let _ = ask.send(true);
        });
        Ok(stop)
    }

    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (ask, asked) = watch::channel(false);
        (ask, Self { asked, writing: Arc::default() })
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    pub(super) async fn asked(&self) {
        if self.asked.clone().wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn hand(&self) -> Hand {
        Hand { asked: self.asked.clone(), _writing: self.writing.clone().read_owned().await }
    }

    /// Waits until nobody writes, and not for ever. Gives whether it came to that.
    pub(super) async fn rest(&self) -> bool {
        self.rest_within(LAST_PIECE).await
    }

    async fn rest_within(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.writing.write()).await.is_ok()
    }
}

impl Hand {
    pub(super) fn go_on(&self) -> io::Result<()> {
        if *self.asked.borrow() { Err(io::Error::other("the drill is told to end")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_writes_is_told_and_waited_for() {
        let (ask, stop) = Stop::new();
        let hand = stop.hand().await;
        assert!(hand.go_on().is_ok() && !stop.is_asked());
        ask.send(true).unwrap();
        stop.asked().await;
        assert!(hand.go_on().is_err() && stop.is_asked());
        assert!(!stop.rest_within(Duration::ZERO).await);
        drop(hand);
        assert!(stop.rest_within(Duration::ZERO).await);
    }
}
