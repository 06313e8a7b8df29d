//! A server that runs: its threads, its socket, its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use promptfed_synth::registry::Engines;
use tokio::sync::oneshot;

use crate::Result;
use crate::data_folder::DataFolder;
use crate::http::app;
use crate::job::JobRunner;
use crate::listen::{Limits, Listening, Transport, listen, serve};
use crate::state::AppState;
use crate::store::Store;
use crate::token::Token;

/// How long requests in work may take after a shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Threads that serve sockets; the work itself is done elsewhere.
const HTTP_THREADS: usize = 2;

/// What a server needs to start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes any free port.
    pub addr: SocketAddr,
    /// The folder for everything that the server keeps; made if missing. One server at a time can use it.
    pub data_dir: PathBuf,
    /// The engines that rounds can ask for.
    pub engines: Engines,
    /// The administrator's token, at least 16 visible ASCII characters. Without one, the server makes one and keeps it in
    /// `admin.token` in the data folder, readable by its user alone.
    pub admin_token: Option<String>,
    /// How connections are protected.
    pub transport: Transport,
    /// What those who connect are granted.
    pub limits: Limits,
}

impl ServerConfig {
    /// Plain HTTP on this machine, with a token of its own making and the default limits.
    pub fn new(addr: SocketAddr, data_dir: PathBuf, engines: Engines) -> Self {
        Self {
            addr,
            data_dir,
            engines,
            admin_token: None,
            transport: Transport::default(),
            limits: Limits::default(),
        }
    }
}

/// Starts servers.
pub struct Server;

impl Server {
    /// Starts a server on threads of its own and returns when it listens. Jobs that an earlier server left unfinished go on.
    ///
    /// # Errors
    /// When the data folder is in use, unreadable or of a newer version, the address is taken or must not be used unprotected, the
    /// certificate cannot be used, or the token is too weak.
    pub fn start(config: ServerConfig) -> Result<RunningServer> {
        config.transport.check(config.addr)?;
        let folder = Arc::new(DataFolder::lock(&config.data_dir)?);
        let store = Arc::new(Store::open(&folder.database())?);
        let admin_token = match config.admin_token {
            Some(text) => Token::given(text)?,
            None => folder.admin_token()?,
        };
        let certificates = config
            .transport
            .certificates(&folder.tls(), &config.limits)?;
        let fingerprint = certificates.as_ref().map(|used| used.fingerprint());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(HTTP_THREADS)
            .thread_name("promptfed-http")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(async { listen(config.addr) })?;
        let addr = listener.local_addr()?;
        let runner = JobRunner::start(
            Arc::clone(&store),
            Arc::clone(&folder),
            config.engines.clone(),
        )?;
        let state = AppState::new(
            store,
            folder,
            config.engines,
            runner.jobs(),
            admin_token.hash(),
            config.limits.clone(),
        );
        let listening = Listening {
            listener,
            app: app(state),
            certificates,
            limits: config.limits,
        };
        let (stop, stopped) = oneshot::channel();
        let http = thread::Builder::new()
            .name("promptfed-server".to_owned())
            .spawn(move || {
                let stop = async move {
                    // Without a sender, nobody is left to stop it.
                    let _ = stopped.await;
                };
                runtime.block_on(serve(listening, stop, SHUTDOWN_GRACE));
            })?;
        tracing::info!(%addr, "listening");
        Ok(RunningServer {
            addr,
            admin_token,
            fingerprint,
            parts: Some(Parts { stop, http, runner }),
        })
    }
}

/// Runs a server until the process is told to end (ctrl-c, or SIGTERM on Unix); `ready` is called once it listens.
///
/// # Errors
/// As [`Server::start`].
pub fn run_blocking(config: ServerConfig, ready: impl FnOnce(&RunningServer)) -> Result<()> {
    let server = Server::start(config)?;
    ready(&server);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(told_to_end())?;
    tracing::info!("shutting down");
    server.shutdown();
    Ok(())
}

/// A running server. Dropping it shuts it down.
pub struct RunningServer {
    addr: SocketAddr,
    admin_token: Token,
    fingerprint: Option<String>,
    parts: Option<Parts>,
}

struct Parts {
    stop: oneshot::Sender<()>,
    http: JoinHandle<()>,
    runner: JobRunner,
}

impl RunningServer {
    /// Where it listens, with the port it got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address for clients, for example `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        let scheme = match self.fingerprint {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.addr)
    }

    /// With TLS, the SHA-256 of the certificate that it started with, in hexadecimal digits.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The administrator's token, a secret.
    pub fn admin_token(&self) -> &str {
        self.admin_token.as_str()
    }

    /// Ends the server: requests in work are answered, a job in work is interrupted and goes on at the next start.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(Parts { stop, http, runner }) = self.parts.take() {
            // The receiver is gone only when the HTTP thread has ended already.
            let _ = stop.send(());
            // Beside the requests in work, not after them: a process that is killed some seconds after it was told to end has written down the
            // job's end.
            runner.stop();
            let _ = http.join();
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) async fn told_to_end() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
