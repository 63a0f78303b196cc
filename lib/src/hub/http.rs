//! Requests to the hub, on a thread of their own, so that a cell that runs in an async runtime can make them, too.

use std::future::Future;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::Hub;
use crate::{Error, Result, interrupt};

/// Longest wait that a request makes by itself.
const PATIENCE: Duration = Duration::from_secs(20);
const ATTEMPTS: usize = 4;
const CONNECT: Duration = Duration::from_secs(10);
/// Without a byte.
const SILENCE: Duration = Duration::from_secs(30);

/// Runs `work` to its end, or until the user interrupts.
pub(super) fn run<T: Send>(during: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let main = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| hub_error("the hub", format!("no thread for requests: {error}"), ""))?;
        runtime.block_on(async {
            tokio::select! {
                result = work => result,
                error = interrupted(during) => Err(error),
            }
        })
    };
    let joined = std::thread::scope(|scope| scope.spawn(main).join());
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Ends when the user has asked to stop.
async fn interrupted(during: &'static str) -> Error {
    loop {
        if let Err(error) = interrupt::check(during) {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An error of the hub, and what to do.
pub(super) fn hub_error(place: impl ToString, problem: impl Into<String>, advice: impl Into<String>) -> Error {
    Error::Hub { place: place.to_string(), problem: problem.into(), advice: advice.into() }
}

/// The connections of one call.
pub(super) struct Http<'a> {
    pub(super) hub: &'a Hub,
    client: Client,
}

impl<'a> Http<'a> {
    pub(super) fn new(hub: &'a Hub) -> Result<Self> {
        let agent = concat!("kensaku/", env!("CARGO_PKG_VERSION"), "; rust");
        let mut client = Client::builder().user_agent(agent).connect_timeout(CONNECT).read_timeout(SILENCE);
        let host = Url::parse(&hub.endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
        // What is on this machine is not asked for at a proxy.
        if host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&&*host)) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| hub_error(&hub.endpoint, causes(&error), "check HF_ENDPOINT"))?;
        Ok(Self { hub, client })
    }

    /// The address of a path of the hub.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.hub.endpoint)
    }

    /// A GET request, with the token if the address is the hub's. It is dropped where the hub leads elsewhere.
    pub(super) fn get(&self, url: &str) -> RequestBuilder {
        self.signed(self.client.get(url), url)
    }

    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.signed(self.client.post(url), url)
    }

    /// A PUT request to an address that carries its own permission.
    pub(super) fn put(&self, url: &str) -> RequestBuilder {
        self.client.put(url)
    }

    fn signed(&self, request: RequestBuilder, url: &str) -> RequestBuilder {
        let own = url.strip_prefix(&*self.hub.endpoint).is_some_and(|path| path.starts_with('/'));
        match &self.hub.token {
            Some(token) if own => request.bearer_auth(token),
            _ => request,
        }
    }

    /// Sends a request that may be sent again. Waits and tries again where the hub asks for it or is out of order.
    pub(super) async fn send(&self, place: &str, make: impl Fn() -> RequestBuilder) -> Result<Response> {
        let mut waited = Duration::ZERO;
        for attempt in 1.. {
            let failed = match make().send().await {
                Ok(response) => match response.status() {
                    StatusCode::TOO_MANY_REQUESTS => Failed::Busy(response),
                    status if status.is_server_error() => Failed::Broken(response),
                    status if status.is_client_error() => return Err(self.refused(place, response).await),
                    _ => return Ok(response),
                },
                Err(error) => Failed::Unreached(error),
            };
            let wait = failed.wait(attempt);
            waited += wait;
            if attempt >= ATTEMPTS || waited > PATIENCE {
                return Err(self.failed(place, failed).await);
            }
            tokio::time::sleep(wait).await;
        }
        unreachable!("the last attempt returns")
    }

    /// The JSON that a request is answered with.
    pub(super) async fn json(&self, place: &str, make: impl Fn() -> RequestBuilder) -> Result<Value> {
        let response = self.send(place, make).await?;
        self.json_of(place, response).await
    }

    pub(super) async fn json_of(&self, place: &str, response: Response) -> Result<Value> {
        let text = self.text_of(place, response).await?;
        serde_json::from_str(&text).map_err(|error| {
            let problem = format!("{} does not speak the hub's API ({error})", self.hub.endpoint);
            hub_error(place, problem, "check HF_ENDPOINT, and that no proxy answers in its place")
        })
    }

    pub(super) async fn text_of(&self, place: &str, response: Response) -> Result<String> {
        let bytes = response.bytes().await.map_err(|error| self.cut(place, &error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The error for a connection that ended too early.
    pub(super) fn cut(&self, place: &str, error: &reqwest::Error) -> Error {
        let problem = format!("the connection to {} broke ({})", self.hub.endpoint, causes(error));
        hub_error(place, problem, "run it again to resume the download")
    }

    /// The error for a status that does not get better by waiting.
    async fn refused(&self, place: &str, response: Response) -> Error {
        let status = response.status();
        let code = header(&response, "x-error-code");
        let said = header(&response, "x-error-message");
        let body = response.text().await.unwrap_or_default();
        let said = if said.is_empty() { message_of(&body) } else { said };
        let said = if said.is_empty() { String::new() } else { format!(": {}", crate::show::shorten(&said, 300)) };
        let endpoint = &self.hub.endpoint;
        let (problem, advice) = match (status, &*code) {
            (_, "GatedRepo") => (
                format!("{endpoint} gives it only to those who have accepted its terms"),
                format!("accept them on its page, {endpoint}/{place}, and set HF_TOKEN to a token of your account"),
            ),
            (_, "RevisionNotFound") => (
                format!("{endpoint} has no such revision"),
                "a revision is a branch, a tag or a whole commit id".to_owned(),
            ),
            (StatusCode::UNAUTHORIZED, _) if self.hub.token.is_none() => (
                format!("{endpoint} has no such name, or it is private (401)"),
                "check the name; for a private one set HF_TOKEN, or run `hf auth login`".to_owned(),
            ),
            (StatusCode::UNAUTHORIZED, _) => (
                format!("{endpoint} does not accept the token (401){said}"),
                "make a new one in the settings of your account, and set HF_TOKEN or run `hf auth login`".to_owned(),
            ),
            (StatusCode::FORBIDDEN, _) => (
                format!("{endpoint} does not allow it with this token (403){said}"),
                "use a token with the permission to write, or for this organisation".to_owned(),
            ),
            (StatusCode::NOT_FOUND, _) => {
                let token =
                    if self.hub.token.is_none() { " and that it is not private: then set HF_TOKEN" } else { "" };
                (format!("{endpoint} has no such name or file (404)"), format!("check how it is written{token}"))
            }
            _ => (format!("{endpoint} answered {status}{said}"), "see what it says".to_owned()),
        };
        hub_error(place, problem, advice)
    }

    /// The error after the last attempt.
    async fn failed(&self, place: &str, failed: Failed) -> Error {
        let endpoint = &self.hub.endpoint;
        match failed {
            Failed::Busy(response) => {
                let wait = retry_after(&response).map(|wait| format!(" for {} s", wait.as_secs()));
                let wait = wait.unwrap_or_default();
                let token = if self.hub.token.is_none() { "; with HF_TOKEN set its limits are higher" } else { "" };
                let problem = format!("{endpoint} asks to wait{wait}: too many requests (429)");
                hub_error(place, problem, format!("run it again after that time{token}"))
            }
            Failed::Broken(response) => {
                let problem = format!("{endpoint} is out of order ({}, {ATTEMPTS} times)", response.status());
                hub_error(place, problem, "run it again later; HF_HUB_OFFLINE=1 uses what is in the cache")
            }
            Failed::Unreached(error) => {
                let cause = causes(&error);
                let advice = if cause.contains("certificate") { CERTIFICATE } else { OFF };
                hub_error(place, format!("{endpoint} is not reached ({cause})"), advice)
            }
        }
    }
}

const OFF: &str = "check the network, the proxy and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is in the cache";
const CERTIFICATE: &str = "install the system's `ca-certificates`, or name those of your proxy by SSL_CERT_FILE";

/// Whether an error says that there is no network, so that the cache may do.
pub(super) fn is_unreached(error: &Error) -> bool {
    matches!(error, Error::Hub { advice, .. } if advice == OFF)
}

/// Why a request may be sent again.
enum Failed {
    Busy(Response),
    Broken(Response),
    Unreached(reqwest::Error),
}

impl Failed {
    /// How long to wait after an attempt.
    fn wait(&self, attempt: usize) -> Duration {
        let doubled = Duration::from_millis(200 << attempt.min(8));
        match self {
            Self::Busy(response) => retry_after(response).unwrap_or(doubled),
            Self::Broken(_) => doubled,
            // Nothing listens, or there is no such host: a second time tells whether the network has just come up.
            Self::Unreached(error) if error.is_connect() && attempt > 1 => PATIENCE * 2,
            Self::Unreached(_) => doubled,
        }
    }
}

/// The seconds that the hub asks to wait.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What the hub says in `{"error": ".."}`.
fn message_of(body: &str) -> String {
    let stored: Value = serde_json::from_str(body).unwrap_or_default();
    stored["error"].as_str().or(stored["message"].as_str()).unwrap_or_default().to_owned()
}

/// An error with its causes, of which reqwest's first line says little.
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| *last != text) {
            texts.push(text);
        }
        next = cause.source();
    }
    // The deepest one says what has happened.
    texts.pop().unwrap_or_else(|| if error.is_timeout() { "no answer".to_owned() } else { error.to_string() })
}
