//! Asking a service.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::address::Address;
use super::answer;
use super::error::{Fault, ServiceError};
use super::key::ApiKey;
use super::limits::Limits;
use super::pace::Pace;
use super::pause::cancelled;
use super::tls::{self, TlsError};

/// A service and how it is asked. Threads can share it; none of them may be one of an asynchronous runtime.
pub struct Service {
    client: Client,
    /// Taken when the service is dropped, which may happen anywhere.
    runtime: Option<Runtime>,
    address: Address,
    key: Option<ApiKey>,
    is_basic: bool,
    limits: Limits,
    pace: Pace,
    slots: Semaphore,
}

impl Service {
    /// Prepares to ask the service at `address`; the first request connects. Redirections are not followed, so that the key goes to no
    /// other address. Proxies are those of the environment, and none for this machine's own addresses.
    ///
    /// # Errors
    /// An address or an `SSL_CERT_FILE` that cannot be used, or a system without threads or randomness.
    pub fn new(address: &str, key: Option<ApiKey>, limits: Limits) -> Result<Self, ServiceError> {
        let address = Address::parse(address)?;
        let setup = |error: String| ServiceError {
            address: address.to_string(),
            fault: Fault::Setup(error),
            attempts: 0,
        };
        let tls = tls::config(address.is_encrypted()).map_err(|error| match error {
            TlsError::CertFile { .. } => ServiceError {
                address: address.to_string(),
                fault: Fault::CertFile(error.to_string()),
                attempts: 0,
            },
            TlsError::Rustls(error) => setup(error.to_string()),
        })?;
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("promptfed/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .read_timeout(limits.silence)
            .timeout(limits.whole);
        if address.is_loopback() {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| setup(e.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("promptfed-http")
            .enable_all()
            .build()
            .map_err(|e| setup(e.to_string()))?;
        Ok(Self {
            client,
            runtime: Some(runtime),
            address,
            key,
            is_basic: false,
            pace: Pace::new(limits.per_minute),
            slots: Semaphore::new(limits.concurrent.max(1)),
            limits,
        })
    }

    /// Sends the key, which is `USER:PASSWORD`, as HTTP's basic credentials and not as a bearer's token.
    #[must_use]
    pub fn with_basic_credentials(mut self) -> Self {
        self.is_basic = true;
        self
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Gets `path`, below the address, as JSON.
    ///
    /// # Errors
    /// No answer that can be used, after all tries; `cancel` ends every wait.
    pub fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        cancel: &AtomicBool,
    ) -> Result<T, ServiceError> {
        let url = self.address.join(path);
        let build = || self.own(Method::GET, url.clone());
        self.block_on(self.ask(&url, build, 0, cancel, |body| {
            answer::parse(body, self.key())
        }))
    }

    /// Posts `body` as JSON to `path`, below the address.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        cancel: &AtomicBool,
    ) -> Result<T, ServiceError> {
        let mut answers = self.post_each(path, std::slice::from_ref(body), cancel);
        answers.pop().unwrap_or_else(|| Err(self.not_asked(path)))
    }

    /// Posts every body to `path`, as many at a time as the limits allow, and gives the answers in the order of the bodies.
    ///
    /// Once the service has failed at one request in a way that the others will meet too (it is out of reach, refuses the key, or knows
    /// no such path), no other is begun: they are [`Fault::NotAsked`].
    ///
    /// # Errors
    /// Of each: as [`get`](Self::get).
    pub fn post_each<T: DeserializeOwned>(
        &self,
        path: &str,
        bodies: &[impl Serialize],
        cancel: &AtomicBool,
    ) -> Vec<Result<T, ServiceError>> {
        let url = self.address.join(path);
        let failed = AtomicBool::new(false);
        let asked = bodies.iter().enumerate().map(|(index, body)| {
            let (url, failed) = (&url, &failed);
            async move {
                if failed.load(Ordering::Relaxed) {
                    return Err(self.not_asked(path));
                }
                let body = serde_json::to_vec(body).map_err(|error| ServiceError {
                    address: url.to_string(),
                    fault: Fault::Setup(error.to_string()),
                    attempts: 0,
                })?;
                let build = || {
                    self.own(Method::POST, url.clone())
                        .header(CONTENT_TYPE, "application/json")
                        .body(body.clone())
                };
                let answer = self
                    .ask(url, build, index as u64, cancel, |body| {
                        answer::parse(body, self.key())
                    })
                    .await;
                if let Err(error) = &answer
                    && !error.fault.is_of_request()
                {
                    failed.store(true, Ordering::Relaxed);
                }
                answer
            }
        });
        // Futures are made one by one, so that no more bodies are held than requests are on their way.
        let asked = futures_util::stream::iter(asked).buffered(self.limits.concurrent.max(1));
        self.block_on(asked.collect())
    }

    /// Gets the bytes at an address that the service gave, without the key.
    ///
    /// # Errors
    /// As [`get`](Self::get); an address that is not http or https, or not encrypted where the service's own is.
    pub fn fetch(&self, address: &str, cancel: &AtomicBool) -> Result<Vec<u8>, ServiceError> {
        let refused = |reason: &str| ServiceError {
            address: self.address.to_string(),
            fault: Fault::Unexpected {
                reason: reason.to_owned(),
                excerpt: answer::excerpt(address.as_bytes(), self.key()),
            },
            attempts: 1,
        };
        let url =
            Url::parse(address).map_err(|_| refused("it gives an address that cannot be read"))?;
        let fits = match url.scheme() {
            "https" => true,
            "http" => !self.address.is_encrypted(),
            _ => false,
        };
        if !fits {
            return Err(refused(
                "it gives an address that is not http or https, or is not encrypted",
            ));
        }
        let build = || self.client.get(url.clone());
        let mut shown = url.clone();
        shown.set_query(None);
        self.block_on(self.ask(&shown, build, 0, cancel, |body| Ok(body.to_vec())))
    }

    /// A request under the key.
    fn own(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self
            .client
            .request(method, url)
            .header(ACCEPT, "application/json");
        let credentials = self.key().and_then(|key| {
            if self.is_basic {
                key.basic()
            } else {
                key.bearer()
            }
        });
        match credentials {
            Some(credentials) => request.header(AUTHORIZATION, credentials),
            None => request,
        }
    }

    /// Asks until there is an answer, or nothing more to try. `of_batch` tells requests of one batch apart, whose pauses then differ.
    async fn ask<T>(
        &self,
        url: &Url,
        build: impl Fn() -> RequestBuilder,
        of_batch: u64,
        cancel: &AtomicBool,
        parse: impl Fn(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, ServiceError> {
        let retry = self.limits.retry;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let tried = async {
                // Never closed.
                let _slot = self.slots.acquire().await;
                let start = self.pace.start(Instant::now());
                tokio::time::sleep_until(start.into()).await;
                self.attempt(build()).await
            };
            let fault = match or_cancelled(tried, cancel)
                .await
                .and_then(|body| parse(&body))
            {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let error = |fault| ServiceError {
                address: url.to_string(),
                fault,
                attempts: attempt,
            };
            if attempt >= retry.attempts || !fault.is_transient() {
                return Err(error(fault));
            }
            let own = retry.pause(attempt, self.limits.seed.wrapping_add(of_batch));
            let asked = match &fault {
                Fault::Status { retry_after, .. } => *retry_after,
                _ => None,
            };
            if asked.is_some_and(|asked| asked > retry.longest_pause) {
                return Err(error(fault));
            }
            if let Some(asked) = asked {
                // All requests wait then, not this one alone.
                self.pace.hold(Instant::now() + asked);
            }
            let pause = asked.map_or(own, |asked| asked.max(own));
            let waited = async {
                tokio::time::sleep(pause).await;
                Ok(())
            };
            or_cancelled(waited, cancel).await.map_err(error)?;
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<Vec<u8>, Fault> {
        let whole = self.limits.whole;
        let response = request
            .send()
            .await
            .map_err(|error| answer::broken(&error, whole))?;
        answer::read(response, self.limits.answer_bytes, whole, self.key()).await
    }

    fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    fn not_asked(&self, path: &str) -> ServiceError {
        ServiceError {
            address: self.address.join(path).to_string(),
            fault: Fault::NotAsked,
            attempts: 0,
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            // Only while it is dropped, when nobody can ask.
            None => unreachable!("a service is asked after its end"),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("address", &self.address.to_string())
            .field("has_key", &self.key.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

async fn or_cancelled<T>(
    work: impl Future<Output = Result<T, Fault>>,
    cancel: &AtomicBool,
) -> Result<T, Fault> {
    tokio::select! {
        biased;
        () = cancelled(cancel) => Err(Fault::Cancelled),
        done = work => done,
    }
}
