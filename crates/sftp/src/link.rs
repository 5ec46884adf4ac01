//! The connection that a store keeps, and replaces when it breaks.
//!
//! A lost link is an interruption and no failure: a Pi that restarts, a Mac that slept, a line that is cut for a minute. It is replaced with
//! growing pauses, again and again as long as data arrive in between. What ends it is a refusal that waiting does not mend (a key, a login),
//! a server that stays away, or links that break without a byte gained. Pauses are counted, not timed, so a process that was
//! frozen for an hour has not used them up.
//!
//! Connecting happens under a lock, so that sixty-four failed reads make one new connection and not sixty-four.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::connect::connect;
use crate::error::SftpError;
use crate::meter::Meter;
use crate::session::Session;
use crate::target::Target;

/// How often one operation, or a link without gain, is tried.
const TRIES: u32 = 5;

pub(crate) struct Link {
    pub(crate) target: Target,
    pub(crate) meter: Arc<Meter>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    session: Option<Arc<Session>>,
    /// What had been gained when it was made.
    gained: u64,
    /// Links that brought nothing, one after the other.
    fruitless: u32,
}

impl Link {
    pub(crate) async fn open(target: &Target) -> Result<Self, SftpError> {
        let link = Self::closed(target, &Arc::new(Meter::new(target.limit)));
        link.session().await?;
        Ok(link)
    }

    /// A link that is made when it is first needed.
    pub(crate) fn closed(target: &Target, meter: &Arc<Meter>) -> Self {
        Self { target: target.clone(), meter: Arc::clone(meter), current: Mutex::default() }
    }

    /// The present session, or a new one where it is lost.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, SftpError> {
        let mut current = self.current.lock().await;
        let lost = match &current.session {
            Some(session) if !session.is_lost() => return Ok(Arc::clone(session)),
            Some(session) => session.loss(),
            // The first time nobody knows whether there is anything to wait for.
            None => {
                let session = Arc::new(connect(&self.target, &self.meter).await?);
                current.session = Some(Arc::clone(&session));
                return Ok(session);
            }
        };
        let gained = self.meter.gained();
        current.fruitless = if gained > current.gained { 0 } else { current.fruitless + 1 };
        current.gained = gained;
        if current.fruitless >= TRIES {
            *current = Current::default();
            return Err(lost);
        }
        tracing::info!(error = %lost, "connecting again");
        match self.again(current.fruitless).await {
            Ok(session) => {
                let session = Arc::new(session);
                current.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                *current = Current::default();
                Err(error)
            }
        }
    }

    /// Connects, with pauses that grow; longer ones from the beginning where links keep breaking.
    async fn again(&self, fruitless: u32) -> Result<Session, SftpError> {
        let retry = self.target.retry;
        let mut pause = retry.first.saturating_mul(1 << fruitless).min(retry.longest);
        let mut left = retry.tries;
        if fruitless > 1 {
            tokio::time::sleep(pause).await;
        }
        loop {
            match connect(&self.target, &self.meter).await {
                Err(error) if left > 0 && error.may_pass() => {
                    tracing::info!(%error, pause = pause.as_secs_f32(), "not yet");
                    tokio::time::sleep(pause).await;
                    left -= 1;
                    pause = pause.saturating_mul(2).min(retry.longest);
                }
                result => return result,
            }
        }
    }

    /// Runs `work`, over a new link if the link was lost. `work` learns which attempt it is, from 0.
    pub(crate) async fn run<'a, T>(
        &self,
        work: impl Fn(Arc<Session>, u32) -> BoxFuture<'a, Result<T, SftpError>> + Send + Sync,
    ) -> Result<T, SftpError> {
        let mut attempt = 0;
        loop {
            match work(self.session().await?, attempt).await {
                Err(error) if error.is_lost_link() && attempt + 1 < TRIES => attempt += 1,
                Ok(done) => {
                    self.meter.gain(1);
                    return Ok(done);
                }
                refused => return refused,
            }
        }
    }
}
