//! One POST, bounded in every direction: time to connect, to answer, tries and pauses; and of an answer nothing but the head is read.
//!
//! Redirects are not followed. A POST that ends as a GET of some page with status 200 would count as told, and a header with a token would
//! have gone where nobody meant it to.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url, header::RETRY_AFTER, redirect::Policy};

use super::SendError;

/// How long anything may take.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// To connect.
    pub(super) connect: Duration,
    /// One request, its answer included.
    pub(super) request: Duration,
    /// One channel, all tries included.
    pub(super) total: Duration,
    /// Before the second try, and before the third.
    pub(super) pauses: Vec<Duration>,
    /// Longest pause that a server may ask for.
    pub(super) asked: Duration,
}

impl Bounds {
    /// For the end of a run.
    pub(super) fn usual() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), request: seconds(15), total: seconds(50), pauses: vec![seconds(2), seconds(6)], asked: seconds(15) }
    }

    /// For a person who waits for the answer of the first try.
    pub(super) fn test() -> Self {
        Self { pauses: Vec::new(), ..Self::usual() }
    }

    /// For its beginning, which nothing may hold up.
    pub(super) fn short() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(4), request: seconds(6), total: seconds(8), pauses: Vec::new(), asked: seconds(0) }
    }
}

/// The client of all channels.
pub(super) fn client(bounds: &Bounds) -> Result<Client, SendError> {
    let client = Client::builder()
        .connect_timeout(bounds.connect)
        .timeout(bounds.request)
        .redirect(Policy::none())
        .user_agent(concat!("offsite/", env!("CARGO_PKG_VERSION")));
    client.build().map_err(|source| SendError::Client { source })
}

/// The server's name and port, which may be shown.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// What one try may end with: an error, and the pause that the server asked for before the next.
pub(super) type Failed = (SendError, Option<Duration>);

/// Tries, and tries again after a pause if that may help.
pub(super) async fn tries<F: Future<Output = Result<(), Failed>>>(bounds: &Bounds, mut once: impl FnMut() -> F) -> Result<(), SendError> {
    let mut pauses = bounds.pauses.iter();
    loop {
        let Err((error, asked)) = once().await else { return Ok(()) };
        let Some(pause) = pauses.next().filter(|_| error.is_passing()) else { return Err(error) };
        tokio::time::sleep(asked.map_or(*pause, |asked| asked.min(bounds.asked).max(*pause))).await;
    }
}

/// Posts what `request` makes, with more tries.
pub(super) async fn post(url: &Url, bounds: &Bounds, request: impl Fn(Url) -> RequestBuilder) -> Result<(), SendError> {
    tries(bounds, || once(url, request(url.clone()))).await
}

/// One try; with an error comes the pause that the server asked for.
async fn once(url: &Url, request: RequestBuilder) -> Result<(), Failed> {
    let answer = request.send().await.map_err(|error| (SendError::Post { host: host(url), source: error.without_url() }, None))?;
    let status = answer.status();
    if status.is_success() {
        // What it says besides is of no interest, however long it is.
        return Ok(());
    }
    if status.is_redirection() {
        return Err((SendError::Moved { host: host(url), status: status.as_u16() }, None));
    }
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    // Its answer is not even read: it may quote the address, which may be the secret.
    Err((SendError::Refused { host: host(url), status: status.as_u16() }, asked))
}

/// One short line of what a command said.
pub(super) fn excerpt(said: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(said).split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = text.chars().take(200).collect();
    crate::human::plain(&short)
}
