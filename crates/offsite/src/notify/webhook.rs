//! A webhook: one JSON object by POST, described in docs/notifications.md, signed if there is a secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{
    Client,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use sha2::Sha256;

use super::{Outgoing, SendError, http, http::Bounds};
use crate::config::{NotifySecrets, Webhook};

pub(super) async fn send(
    config: &Webhook,
    secrets: &NotifySecrets,
    client: &Client,
    bounds: &Bounds,
    out: &Outgoing,
) -> Result<(), SendError> {
    let url = super::address(config.url.as_ref(), secrets, "WEBHOOK_URL", "notify.webhook.url")?;
    let mut headers = headers(secrets)?;
    let body = out.json.to_string();
    if let Some(secret) = secrets.get("WEBHOOK_SECRET")
        && let Ok(value) = HeaderValue::from_str(&format!("sha256={}", signature(secret, body.as_bytes())))
    {
        headers.insert("x-offsite-signature", value);
    }
    http::post(&url, bounds, |url| client.post(url).headers(headers.clone()).header("content-type", "application/json").body(body.clone()))
        .await
}

/// HMAC-SHA256 of `body` in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The headers of the credentials.
fn headers(secrets: &NotifySecrets) -> Result<HeaderMap, SendError> {
    let wanted = || SendError::Secret { name: "WEBHOOK_HEADER", wanted: "a header, as Authorization: Bearer TOKEN" };
    let mut headers = HeaderMap::new();
    for line in secrets.all("WEBHOOK_HEADER") {
        let (name, value) = line.split_once(':').ok_or_else(wanted)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wanted())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wanted())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_standard() {
        // RFC 4231, case 2.
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), wanted);
    }
}
