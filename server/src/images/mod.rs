//! Engines for other machines: OpenAI's images API, with a token.
//!
//! Engines are loaded before the server listens. Each works on a thread of its own and takes what waits together, as much as it makes at
//! once. What a request does not say is the engine's own setting; fields of this program's own say the rest (see
//! [`protocol`](promptfed_synth::engines::remote::protocol)), so that an engine asked for from another machine makes the images it would
//! make there.

mod api;
mod refusal;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use promptfed_synth::registry::Engines;
use tokio::sync::oneshot;

use self::api::Shared;
use self::worker::EngineThread;
use crate::Result;
use crate::listen::{CertificateFiles, Certificates, Limits, Listening, Transport, listen, serve};
use crate::server::told_to_end;
use crate::token::Token;

/// Threads that serve sockets; the work itself is done elsewhere.
const HTTP_THREADS: usize = 1;

/// What an image server needs to start.
#[derive(Clone, Debug)]
pub struct ImageServerConfig {
    /// Where to listen; port 0 takes any free port.
    pub addr: SocketAddr,
    /// The engines, each offered as a model of its name.
    pub engines: Engines,
    /// The model that requests get which name none.
    pub default_model: String,
    /// What a request must show: at least 16 visible ASCII characters.
    pub token: String,
    /// Most images of one request.
    pub max_images: u32,
    /// Images that may wait for each engine; requests beyond are told to come again.
    pub max_waiting: usize,
    /// The certificate, for TLS; plain HTTP without one.
    pub tls: Option<CertificateFiles>,
    /// Plain HTTP on addresses that other machines reach, too: the token and the prompts can be read on the way.
    pub allow_plain_http: bool,
    /// What those who connect are granted. The token is one for all: what is granted each client is not looked at.
    pub limits: Limits,
}

/// A token that nobody can guess.
///
/// # Errors
/// An operating system without random numbers.
pub fn new_token() -> Result<String> {
    Ok(Token::for_admin()?.as_str().to_owned())
}

/// A running image server. Dropping it ends it.
pub struct ImageServer {
    addr: SocketAddr,
    scheme: &'static str,
    stop: Option<oneshot::Sender<()>>,
    http: Option<JoinHandle<()>>,
}

impl ImageServer {
    /// Loads the engines and starts a server on threads of its own; returns when it listens.
    ///
    /// # Errors
    /// An engine that cannot be loaded, an address that is taken or must not be used unprotected, or a token that is too weak.
    pub fn start(config: ImageServerConfig) -> Result<Self> {
        if config.tls.is_none() && !config.allow_plain_http {
            Transport::PlainOnLoopback.check(config.addr)?;
        }
        let token = Token::given(config.token)?.hash();
        config.engines.check(&config.default_model)?;
        let every = config.limits.certificate_check;
        let certificates = config.tls.map(|files| Certificates::load(files, every));
        let certificates = certificates.transpose()?;
        let names: Vec<String> = config.engines.names().map(str::to_owned).collect();
        let engines = names
            .iter()
            .map(|name| EngineThread::start(&config.engines, name, config.max_waiting))
            .collect::<Result<Vec<_>>>()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(HTTP_THREADS)
            .thread_name("promptfed-images")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(async { listen(config.addr) })?;
        let addr = listener.local_addr()?;
        let app = api::app(Arc::new(Shared {
            token,
            engines,
            default_model: config.default_model,
            max_images: config.max_images,
        }));
        let scheme = match certificates {
            Some(_) => "https",
            None => "http",
        };
        let listening = Listening {
            listener,
            app,
            certificates,
            limits: config.limits,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let http = thread::Builder::new()
            .name("promptfed-images".to_owned())
            .spawn(move || {
                let stop = async move {
                    // Without a sender, nobody is left to stop it.
                    let _ = stopped.await;
                };
                // Requests in work are not waited for: whoever asked asks again.
                runtime.block_on(serve(listening, stop, Duration::ZERO));
                runtime.shutdown_background();
            })?;
        Ok(Self {
            addr,
            scheme,
            stop: Some(stop),
            http: Some(http),
        })
    }

    /// Its address for clients, for example `http://127.0.0.1:7979/v1`.
    pub fn url(&self) -> String {
        format!("{}://{}/v1", self.scheme, self.addr)
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        if let (Some(stop), Some(http)) = (self.stop.take(), self.http.take()) {
            // The receiver is gone only when the thread has ended already.
            let _ = stop.send(());
            let _ = http.join();
        }
    }
}

/// Runs an image server until the process is told to end (ctrl-c, or SIGTERM on Unix); `ready` is called once it listens.
///
/// # Errors
/// As [`ImageServer::start`].
pub fn serve_images(config: ImageServerConfig, ready: impl FnOnce(&ImageServer)) -> Result<()> {
    let server = ImageServer::start(config)?;
    ready(&server);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(told_to_end())
}
