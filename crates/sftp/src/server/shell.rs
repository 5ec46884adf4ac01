//! The SSH side of the server: one key opens it, and behind it is nothing but `sftp`.
//!
//! Shells, commands and terminals are refused with an answer, so that a client does not wait for one.

use std::collections::HashMap;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Pty};

use super::Limits;
use super::folder::Folder;
use super::sftp::Sftp;

pub(super) struct Door {
    authorized: PublicKey,
    folder: Arc<Folder>,
    extensions: Option<Limits>,
    sftp: bool,
    /// Opened and not yet turned into a subsystem. Channel numbers mean something within one session only.
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Door {
    pub(super) fn new(authorized: PublicKey, folder: Arc<Folder>, extensions: Option<Limits>, sftp: bool) -> Self {
        Self { authorized, folder, extensions, sftp, channels: HashMap::new() }
    }

    /// The same door for another session.
    pub(super) fn again(&self) -> Self {
        Self::new(self.authorized.clone(), Arc::clone(&self.folder), self.extensions, self.sftp)
    }

    fn judge(&self, key: &PublicKey) -> Auth {
        if key.key_data() == self.authorized.key_data() { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Door {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(self.judge(offer.public_key))
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(self.judge(key.public_key))
    }

    async fn channel_open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle, _: &mut Session) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), russh::Error> {
        let channel = self.channels.remove(&id);
        match channel {
            Some(channel) if self.sftp && name == "sftp" => {
                session.channel_success(id)?;
                russh_sftp::server::run(channel.into_stream(), Sftp::new(Arc::clone(&self.folder), self.extensions)).await;
                Ok(())
            }
            _ => session.channel_failure(id),
        }
    }

    async fn exec_request(&mut self, id: ChannelId, _: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    #[allow(clippy::too_many_arguments, reason = "the trait's")]
    async fn pty_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }
}
