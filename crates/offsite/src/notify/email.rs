//! Mail: one plain message to all recipients through one server.
//!
//! Who it is from and for is the configuration's alone. Names of objects get no further than the title, from which control characters are
//! gone, and lettre encodes what is left: no name can add a header or a recipient.

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::header::{ContentType, Header, HeaderName, HeaderValue},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{
    Outgoing, SendError,
    http::{self, Bounds},
};
use crate::config::{Email, NotifySecrets, Security};

/// Keeps holiday answers away (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

pub(super) async fn send(config: &Email, secrets: &NotifySecrets, bounds: &Bounds, out: &Outgoing) -> Result<(), SendError> {
    let message = message(config, out)?;
    let failed = |source| failed(format!("{}:{}", config.host, config.port), source);
    let tls = || TlsParameters::new(config.host.clone()).map_err(failed);
    let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
        .port(config.port)
        .timeout(Some(bounds.request))
        .tls(match config.security {
            Security::StartTls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
            Security::None => Tls::None,
        });
    if let Some(user) = config.user.as_deref().or_else(|| secrets.get("SMTP_USER")) {
        let password = secrets.get("SMTP_PASSWORD").ok_or(SendError::Unset { name: "SMTP_PASSWORD", key: "notify.credentials" })?;
        server = server.credentials(Credentials::new(user.to_owned(), password.to_owned()));
    }
    let server = server.build();
    http::tries(bounds, || async {
        match server.send(message.clone()).await {
            Ok(_) => Ok(()),
            Err(error) => Err((failed(error), None)),
        }
    })
    .await
}

/// What a server answered is dropped but for its status: it may quote what it was sent, the password included.
fn failed(host: String, source: lettre::transport::smtp::Error) -> SendError {
    match source.status().and_then(|code| code.to_string().parse().ok()) {
        Some(status) => SendError::MailRefused { host, status },
        // The cause would be what could not be understood.
        None if source.is_response() => SendError::NoMail { host },
        None => SendError::Mail { host, source },
    }
}

fn message(config: &Email, out: &Outgoing) -> Result<Message, SendError> {
    // Two mails are never sent within a nanosecond.
    let id = format!("<{}@{}>", jiff::Timestamp::now().as_nanosecond(), config.from.0.email.domain());
    let mut message = Message::builder()
        .from(config.from.0.clone())
        .subject(out.title.clone())
        .date_now()
        .message_id(Some(id))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    for to in &config.to {
        message = message.to(to.0.clone());
    }
    let status = if out.status.is_empty() { String::new() } else { format!("\n{}", out.status) };
    message.body(format!("{}{status}", out.text)).map_err(|source| SendError::Write { source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::words::Level;

    #[test]
    fn no_name_becomes_a_header_or_a_recipient() {
        let config = Email {
            from: "mac@example.org".parse().unwrap(),
            to: vec!["owner@example.org".parse().unwrap()],
            host: "localhost".into(),
            port: 25,
            security: Security::None,
            user: None,
            every_night: false,
        };
        let evil = "x\r\nBcc: thief@example.org\r\n\r\n.\r\nMAIL FROM:<x>";
        let out = Outgoing {
            level: Level::Bad,
            // Even if a title came here as it is.
            title: format!("offsite: {evil} ü"),
            text: format!("{evil}\n"),
            status: String::new(),
            json: serde_json::Value::Null,
        };
        let message = message(&config, &out).unwrap();
        let recipients: Vec<String> = message.envelope().to().iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["owner@example.org"]);
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> =
            head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).map(|line| line.split(':').next().unwrap()).collect();
        for name in &names {
            let ours = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];
            assert!(ours.contains(name) || *name == "Content-Transfer-Encoding", "{name} in {head}");
        }
        for wanted in ["Date", "Message-ID", "Auto-Submitted"] {
            assert!(names.contains(&wanted), "{head}");
        }
        assert!(head.contains("@example.org>"), "{head}");
    }
}
