//! The connection that a store keeps, and replaces when it breaks.
//!
//! An operation that loses its link is tried once more over a new one, never more often: a link that breaks twice within one
//! operation is news for a person. Connecting happens under a lock, so that sixty-four failed reads make one new
//! connection and not sixty-four.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::connect::connect;
use crate::error::SftpError;
use crate::meter::Meter;
use crate::session::Session;
use crate::target::Target;

pub(crate) struct Link {
    pub(crate) target: Target,
    pub(crate) meter: Arc<Meter>,
    current: Mutex<Option<Arc<Session>>>,
}

impl Link {
    pub(crate) async fn open(target: &Target) -> Result<Self, SftpError> {
        let link = Self { target: target.clone(), meter: Arc::new(Meter::default()), current: Mutex::new(None) };
        link.session().await?;
        Ok(link)
    }

    /// The present session, or a new one where it is lost.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, SftpError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.is_lost()) {
            return Ok(Arc::clone(session));
        }
        *current = None;
        let session = Arc::new(connect(&self.target, &self.meter).await?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Runs `work`, once more over a new link if the link was lost. `work` learns which attempt it is, from 0.
    pub(crate) async fn run<'a, T>(
        &self,
        work: impl Fn(Arc<Session>, u32) -> BoxFuture<'a, Result<T, SftpError>> + Send + Sync,
    ) -> Result<T, SftpError> {
        match work(self.session().await?, 0).await {
            Err(error) if error.is_lost_link() => {
                tracing::info!(%error, "connecting again");
                work(self.session().await?, 1).await
            }
            result => result,
        }
    }
}
