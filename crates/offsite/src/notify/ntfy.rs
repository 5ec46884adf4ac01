//! ntfy: the message as JSON to the server's root, because headers cannot carry every letter of a title.

use reqwest::Client;
use serde_json::json;

use super::{Outgoing, SendError, http, http::Bounds, words::Level};
use crate::config::{NotifySecrets, Ntfy, notify};

/// Longest message; what is longer a server would make a file of. Bytes.
const LONGEST: usize = 3800;

pub(super) async fn send(
    config: &Ntfy,
    secrets: &NotifySecrets,
    client: &Client,
    bounds: &Bounds,
    out: &Outgoing,
) -> Result<(), SendError> {
    let url = super::address(config.url.as_ref(), secrets, "NTFY_URL", "notify.ntfy.url")?;
    let wanted = "the address of a topic, as https://ntfy.sh/TOPIC";
    let (server, topic) = notify::topic(&url).ok_or(SendError::Secret { name: "NTFY_URL", wanted })?;
    let (priority, tag) = match out.level {
        Level::Bad => (4, "warning"),
        Level::Poor => (3, "warning"),
        Level::Good => (3, "white_check_mark"),
    };
    let mut body = json!({
        "topic": topic, "title": out.title, "message": out.short(LONGEST), "priority": priority, "tags": [tag, "offsite"],
    });
    if let Some(click) = &config.click {
        body["click"] = click.as_str().into();
    }
    let body = body.to_string();
    http::post(&server, bounds, |url| {
        let request = client.post(url).header("content-type", "application/json").body(body.clone());
        match (secrets.get("NTFY_TOKEN"), secrets.get("NTFY_USER")) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(user)) => request.basic_auth(user, secrets.get("NTFY_PASSWORD")),
            (None, None) => request,
        }
    })
    .await
}
