//! Requests under one token, with retries, and the ledger of what they cost.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use promptfed_prompts::protocol::{
    Health, MAX_MESSAGE_BYTES, Problem, ProblemCode, RoundId, RoundResults, RoundSpec, RoundState,
    RoundStatus, SyntheticSummary,
};
use serde::de::DeserializeOwned;
use ureq::http::Uri;
use ureq::{Agent, SendBody, http};

use crate::request_error::RequestError;
use crate::tls;
use crate::tls_fault::tls_fault;
use crate::transport::{SocketBytes, is_this_machine, metered_agent};
use crate::trust::ServerTrust;

/// This program's version.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a server may be away while a round, or a training, is waited for.
pub(crate) const LONGEST_AWAY: Duration = Duration::from_secs(300);

/// Largest model that is downloaded, in bytes.
const MAX_MODEL_BYTES: u64 = 4 << 30;

/// Bodies from this size on are announced first (`Expect: 100-continue`), so that a refusal saves sending them. Without
/// that, a server that refuses early and closes would look like a broken connection.
const ANNOUNCED_BODY_BYTES: usize = 64 << 10;

/// How requests are repeated. Only those are that do no harm when the server gets them twice.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Requests made before giving up, at least 1. 6 by default.
    pub attempts: u32,
    /// Pause before the second request; each later pause is twice as long. 100 ms by default.
    pub first_pause: Duration,
    /// The longest pause. 5 s by default.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// A caller's connection to a server: its token, its sockets, its ledger. Threads can share it.
pub struct Session {
    agent: Agent,
    base: String,
    /// Absent of one that nobody's token is sent in.
    authorization: Option<String>,
    /// Whether the server, or what stands before it, takes announced bodies.
    announces: AtomicBool,
    caller: String,
    retry: RetryPolicy,
    bodies: Mutex<Ledger>,
    sockets: Arc<SocketBytes>,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Content type, kind and bytes of the body.
    pub(crate) body: Option<(&'a str, PayloadKind, &'a [u8])>,
    /// What a good answer's body counts as.
    pub(crate) answer: PayloadKind,
    /// Whether the server may get it twice.
    pub(crate) repeatable: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: String, answer: PayloadKind) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            answer,
            repeatable: true,
        }
    }
}

impl Session {
    /// Prepares a session; the first request connects. `caller` is the name in the ledger.
    ///
    /// Over plain http the token can be read on the way: it goes to this machine alone, unless `trust` allows more.
    pub(crate) fn new(
        url: &str,
        caller: impl Into<String>,
        token: &str,
        retry: RetryPolicy,
        trust: &ServerTrust,
    ) -> Result<Self, RequestError> {
        let mut session = Self::without_token(url, caller, retry, trust)?;
        session.authorization = Some(format!("Bearer {}", clean_token(token)?));
        Ok(session)
    }

    /// As [`Session::new`], for what is asked without a token.
    pub(crate) fn without_token(
        url: &str,
        caller: impl Into<String>,
        retry: RetryPolicy,
        trust: &ServerTrust,
    ) -> Result<Self, RequestError> {
        let uri = url.parse::<Uri>().ok();
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        if !matches!(scheme, Some("http" | "https")) {
            return Err(RequestError::Address {
                url: url.to_owned(),
            });
        }
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        if scheme == Some("http") && !is_this_machine(host) && !trust.allow_plain_http {
            return Err(RequestError::PlainHttp {
                url: url.to_owned(),
            });
        }
        let sockets = Arc::new(SocketBytes::default());
        Ok(Self {
            agent: metered_agent(
                Arc::clone(&sockets),
                host,
                tls::config(trust, scheme == Some("https"))?,
            ),
            base: url.trim_end_matches('/').to_owned(),
            authorization: None,
            announces: AtomicBool::new(true),
            caller: caller.into(),
            retry,
            bodies: Mutex::default(),
            sockets,
        })
    }

    /// Whether the server answers and works.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn health(&self) -> Result<Health, RequestError> {
        self.message(&Call::get("/health".to_owned(), PayloadKind::Control))
    }

    /// All rounds, the newest first.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn rounds(&self) -> Result<Vec<RoundStatus>, RequestError> {
        self.message(&Call::get("/v1/rounds".to_owned(), PayloadKind::Control))
    }

    /// What a round is to do, with its label space.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn round(&self, round: RoundId) -> Result<RoundSpec, RequestError> {
        self.message(&Call::get(
            format!("/v1/rounds/{round}"),
            PayloadKind::RoundSpec,
        ))
    }

    /// Where a round stands.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn status(&self, round: RoundId) -> Result<RoundStatus, RequestError> {
        self.message(&Call::get(
            format!("/v1/rounds/{round}/status"),
            PayloadKind::Control,
        ))
    }

    /// Asks until a round is done, at first often, then every two seconds. `progress` sees every status and can stop
    /// the waiting, which then ends as [`RequestError::StillWorking`]. A server that has answered once may be away for
    /// five minutes, as when it is started again.
    ///
    /// # Errors
    /// [`RequestError::RoundEnded`] when the round failed or was cancelled, [`RequestError::StillWorking`] after `limit`.
    pub fn wait(
        &self,
        round: RoundId,
        limit: Option<Duration>,
        progress: &mut dyn FnMut(&RoundStatus) -> ControlFlow<()>,
    ) -> Result<RoundStatus, RequestError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(50);
        let mut heard: Option<Instant> = None;
        loop {
            let status = match self.status(round) {
                Err(error)
                    if error.may_pass()
                        && heard.is_some_and(|at| at.elapsed() < LONGEST_AWAY)
                        && limit.is_none_or(|limit| start.elapsed() < limit) =>
                {
                    sleep(pause);
                    pause = (pause * 3 / 2).min(Duration::from_secs(2));
                    continue;
                }
                status => status?,
            };
            heard = Some(Instant::now());
            let flow = progress(&status);
            if status.state == RoundState::Done {
                return Ok(status);
            }
            if status.state.is_final() {
                return Err(RequestError::RoundEnded {
                    round,
                    state: status.state,
                });
            }
            let waited = start.elapsed();
            if flow.is_break() || limit.is_some_and(|limit| waited >= limit) {
                return Err(RequestError::StillWorking {
                    round,
                    waited,
                    state: status.state,
                });
            }
            sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
        }
    }

    /// What a finished round hands back.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn results(&self, round: RoundId) -> Result<RoundResults, RequestError> {
        self.message(&Call::get(
            format!("/v1/rounds/{round}/results"),
            PayloadKind::Control,
        ))
    }

    /// What the synthetic set of a finished round holds.
    ///
    /// # Errors
    /// As every request: [`RequestError`] tells.
    pub fn synthetic(&self, round: RoundId) -> Result<SyntheticSummary, RequestError> {
        self.message(&Call::get(
            format!("/v1/rounds/{round}/synthetic"),
            PayloadKind::Control,
        ))
    }

    /// Downloads the model that the results name, as a safetensors file, and checks its hash.
    ///
    /// # Errors
    /// [`RequestError::Model`] when other bytes came.
    pub fn model(&self, results: &RoundResults) -> Result<Vec<u8>, RequestError> {
        let path = format!("/v1/rounds/{}/model", results.round_id);
        let bytes = self.send(&Call::get(path, PayloadKind::Model))?;
        if let Some(title) = title_of_page(&bytes) {
            let url = format!("{}/v1/rounds/{}/model", self.base, results.round_id);
            return Err(RequestError::WebPage {
                method: "GET",
                url,
                status: 200,
                title,
            });
        }
        let (expected, received) = (results.model.hash, ContentHash::of(&bytes));
        if expected == received {
            Ok(bytes)
        } else {
            Err(RequestError::Model { expected, received })
        }
    }

    /// The bytes that crossed so far. Bodies are counted by kind; all other bytes on the sockets are HTTP framing, so that
    /// the totals are those of the sockets.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.bodies().clone();
        for (direction, socket) in [
            (Direction::Up, self.sockets.up()),
            (Direction::Down, self.sockets.down()),
        ] {
            let framing = socket.saturating_sub(ledger.total(direction));
            ledger.record(&self.caller, direction, PayloadKind::HttpFraming, framing);
        }
        ledger
    }

    /// The meter on this session's sockets.
    pub fn socket_bytes(&self) -> &SocketBytes {
        &self.sockets
    }

    /// Sends a request and reads its answer as a JSON message.
    pub(crate) fn message<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, RequestError> {
        let bytes = self.send(call)?;
        serde_json::from_slice(&bytes).map_err(|error| self.unread(call, &bytes, error))
    }

    /// Why an answer cannot be read: a web page, a server of another version, or what only its reader can say.
    fn unread(&self, call: &Call<'_>, bytes: &[u8], error: serde_json::Error) -> RequestError {
        let (method, url) = (call.method, self.url(call));
        let reason = error.to_string();
        if let Some(title) = title_of_page(bytes) {
            return RequestError::WebPage {
                method,
                url,
                status: 200,
                title,
            };
        }
        let asked = self.attempt(&Call::get("/health".to_owned(), PayloadKind::Control));
        let health = asked.ok().and_then(|answer| {
            let health: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
            health["version"].as_str().map(str::to_owned)
        });
        match health {
            Some(server) if server != OWN_VERSION => RequestError::Versions {
                method,
                url,
                reason,
                own: OWN_VERSION,
                server,
            },
            _ => RequestError::Answer {
                method,
                url,
                reason,
            },
        }
    }

    /// Sends a request, again if need be, and returns the body of a good answer.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Vec<u8>, RequestError> {
        let mut pause = self.retry.first_pause;
        for attempt in 1.. {
            let last = attempt >= self.retry.attempts;
            let error = match self.attempt(call) {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer.body),
                Ok(Answer {
                    status: 417,
                    announced: true,
                    ..
                }) => {
                    self.announces.store(false, Ordering::Relaxed);
                    continue;
                }
                Ok(answer) => {
                    if let Some(error) = self.foreign(call, &answer) {
                        return Err(error);
                    }
                    let Answer { status, body, .. } = answer;
                    let problem = read_problem(status, &body);
                    // The server turned the request away before it did anything.
                    let untouched = problem.code == ProblemCode::Busy;
                    let passing =
                        untouched || (call.repeatable && (status >= 500 || status == 408));
                    let url = self.url(call);
                    let error = RequestError::Refused {
                        method: call.method,
                        url,
                        problem,
                    };
                    if !passing {
                        return Err(error);
                    }
                    error
                }
                Err(error) => {
                    if let Some(fault) = tls_fault(&error) {
                        return Err(RequestError::Tls {
                            method: call.method,
                            url: self.url(call),
                            reason: fault.reason,
                            remedy: fault.remedy,
                        });
                    }
                    let error = RequestError::Unreachable {
                        method: call.method,
                        url: self.url(call),
                        attempts: attempt,
                        reason: error.to_string(),
                    };
                    if !call.repeatable {
                        return Err(error);
                    }
                    error
                }
            };
            if last {
                return Err(error);
            }
            sleep(pause);
            pause = (pause * 2).min(self.retry.longest_pause);
        }
        unreachable!("the loop ends by returning")
    }

    /// An answer of something else than a server of this protocol.
    fn foreign(&self, call: &Call<'_>, answer: &Answer) -> Option<RequestError> {
        let (method, url, status) = (call.method, self.url(call), answer.status);
        if (300..400).contains(&status) {
            let location = answer.location.clone();
            return Some(RequestError::Redirected {
                method,
                url,
                status,
                location: location.unwrap_or_else(|| "nowhere".to_owned()),
            });
        }
        // What may pass is tried again.
        let title = title_of_page(&answer.body).filter(|_| status < 500 && status != 408)?;
        Some(RequestError::WebPage {
            method,
            url,
            status,
            title,
        })
    }

    /// Makes one request; body bytes enter the ledger as they cross, whatever the end.
    fn attempt(&self, call: &Call<'_>) -> Result<Answer, ureq::Error> {
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(self.url(call));
        if let Some(authorization) = &self.authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        let mut announced = false;
        let mut response = match call.body {
            None => self.agent.run(request.body(())?)?,
            Some((media_type, kind, bytes)) => {
                let mut rest = bytes;
                let mut request = request
                    .header(http::header::CONTENT_TYPE, media_type)
                    .header(http::header::CONTENT_LENGTH, bytes.len());
                if bytes.len() >= ANNOUNCED_BODY_BYTES && self.announces.load(Ordering::Relaxed) {
                    announced = true;
                    request = request.header(http::header::EXPECT, "100-continue");
                }
                let request = request.body(SendBody::from_reader(&mut rest))?;
                let result = self.agent.run(request);
                let sent = bytes.len() - rest.len();
                self.bodies()
                    .record(&self.caller, Direction::Up, kind, sent as u64);
                result?
            }
        };
        let status = response.status().as_u16();
        let location = response.headers().get(http::header::LOCATION);
        let location = location.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let good = response.status().is_success();
        let kind = if good {
            call.answer
        } else {
            PayloadKind::Control
        };
        let limit = match kind {
            PayloadKind::Model => MAX_MODEL_BYTES,
            _ => 8 * MAX_MESSAGE_BYTES as u64,
        };
        let mut body = Vec::new();
        let result = response
            .body_mut()
            .with_config()
            .limit(limit)
            .reader()
            .read_to_end(&mut body);
        self.bodies()
            .record(&self.caller, Direction::Down, kind, body.len() as u64);
        result?;
        Ok(Answer {
            status,
            announced,
            location,
            body,
        })
    }

    fn url(&self, call: &Call<'_>) -> String {
        format!("{}{}", self.base, call.path)
    }

    fn bodies(&self) -> MutexGuard<'_, Ledger> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came back.
struct Answer {
    status: u16,
    /// Whether the body was announced first.
    announced: bool,
    /// Where it points to.
    location: Option<String>,
    body: Vec<u8>,
}

/// A token without the line end or byte order mark that copying may put beside it.
fn clean_token(token: &str) -> Result<&str, RequestError> {
    let outer = |c: char| c.is_whitespace() || c == '\u{feff}';
    let token = token.trim_matches(outer);
    let reason = if token.is_empty() {
        "is empty"
    } else if token.chars().any(char::is_whitespace) {
        "has a blank or a line break in it"
    } else if !token.chars().all(|c| c.is_ascii_graphic()) {
        "has a character in it that no token has"
    } else {
        return Ok(token);
    };
    Err(RequestError::Token { reason })
}

/// The title of a web page, told after a comma; nothing of what is none.
fn title_of_page(body: &[u8]) -> Option<String> {
    let start = &body[..body.len().min(64 << 10)];
    let text = String::from_utf8_lossy(start.trim_ascii_start());
    let lower = text.to_ascii_lowercase();
    if !(lower.starts_with("<!doctype html") || lower.starts_with("<html")) {
        return None;
    }
    let title = lower.find("<title").and_then(|from| {
        let rest = text.get(from..)?;
        let (_, inside) = rest.split_once('>')?;
        inside.split('<').next()
    });
    let title: String = title
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    Some(match title.as_str() {
        "" => String::new(),
        title => format!(", titled {title:?}"),
    })
}

/// The server's problem document, or one in its place when something else answered.
fn read_problem(status: u16, body: &[u8]) -> Problem {
    serde_json::from_slice(body).unwrap_or_else(|_| Problem {
        status,
        code: ProblemCode::Unknown,
        message: String::from_utf8_lossy(body)
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect(),
        remedy: "check that the address is that of a promptfed server".to_owned(),
    })
}
