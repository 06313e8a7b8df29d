//! Sockets: accepting, TLS, and what each connection may take of the server.

mod certificates;
mod collected;
mod connections;
mod held;
mod limits;
mod paced;
mod self_signed;
mod transport;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

pub use self::certificates::CertificateFiles;
pub(crate) use self::certificates::Certificates;
pub(crate) use self::collected::{NotCollected, collected};
use self::connections::{Connections, Place, network};
pub(crate) use self::held::Held;
pub use self::limits::Limits;
use self::paced::Paced;
pub use self::transport::Transport;
use crate::{Error, Result};

/// Bytes that a connection holds of what it has read, and of what it has yet to send.
const BUFFER_BYTES: usize = 64 << 10;
/// Bytes that the system is to hold of what a connection has yet to send. By itself it holds megabytes, and takes nothing more until a
/// third of them has been read: an answer that is read slowly would seem to stand still.
const SEND_BUFFER_BYTES: u32 = 128 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Pause after the system gave no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What serves connections.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) app: Router,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) limits: Limits,
}

/// Listens at an address; within a runtime.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener> {
    bind(address).map_err(|error| Error::Listen {
        address,
        reason: error.to_string(),
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As TcpListener::bind has it: a server that is started again gets its address.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    // Its connections inherit this.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `stop` ends; then finishes the requests in work, for at most `grace`.
pub(crate) async fn serve(listening: Listening, stop: impl Future<Output = ()>, grace: Duration) {
    let Listening {
        listener,
        app,
        certificates,
        limits,
    } = listening;
    let connections = Connections::new(&limits);
    let limits = Arc::new(limits);
    let (closing, closes) = watch::channel(false);
    // Closed when the last connection's task has ended.
    let (task, mut tasks) = mpsc::channel::<Infallible>(1);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error, &connections).await;
                continue;
            }
        };
        let Some(place) = connections.admit(peer.ip()) else {
            tracing::debug!(%peer, "no place for another connection");
            continue;
        };
        let connection = Connection {
            app: app.clone(),
            certificates: certificates.clone(),
            limits: Arc::clone(&limits),
            place,
            closes: closes.clone(),
        };
        let task = task.clone();
        tokio::spawn(async move {
            connection.serve(socket, peer).await;
            drop(task);
        });
    }
    drop((listener, task, closes));
    // Without a receiver there is no connection to tell.
    let _ = closing.send(true);
    if timeout(grace, tasks.recv()).await.is_err() && !grace.is_zero() {
        tracing::warn!("connections were cut off at shutdown");
    }
}

/// Most often the process has as many files open as it may.
async fn accept_failed(error: &io::Error, connections: &Connections) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%error, "a connection could not be accepted; the quietest makes room");
    connections.make_room();
    sleep(ACCEPT_PAUSE).await;
}

/// Who a request comes from: its address, or of IPv6 its /64 network. It travels with the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What one connection can reach.
struct Connection {
    app: Router,
    certificates: Option<Arc<Certificates>>,
    limits: Arc<Limits>,
    place: Arc<Place>,
    closes: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, socket: TcpStream, peer: SocketAddr) {
        // Without it, small answers wait for the client's delayed acknowledgement.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let Some(certificates) = self.certificates.clone() else {
            let socket = Paced::new(socket, &self.limits);
            return self.http(socket, peer).await;
        };
        let mut closes = self.closes.clone();
        let shaken = tokio::select! {
            shaken = timeout(self.limits.handshake, self.handshake(socket, &certificates)) => shaken,
            // Nothing was asked yet.
            _ = closes.changed() => return,
            () = self.place.ended() => return,
        };
        match shaken {
            Ok(Ok(Some(stream))) => self.http(stream, peer).await,
            Ok(Ok(None)) => tracing::debug!(%peer, "plain HTTP where TLS is spoken"),
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
            Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
        }
    }

    /// Begins TLS; `None` for who speaks plain HTTP, and was told so.
    async fn handshake(
        &self,
        mut socket: TcpStream,
        certificates: &Arc<Certificates>,
    ) -> io::Result<Option<tokio_rustls::server::TlsStream<Paced>>> {
        let mut first = [0];
        socket.peek(&mut first).await?;
        // Methods are capital letters, and no record of TLS begins with one.
        if first[0].is_ascii_uppercase() {
            socket.write_all(SPEAKS_TLS.as_bytes()).await?;
            socket.shutdown().await?;
            // A request left unread would have the system throw the answer away.
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
            return Ok(None);
        }
        let config = certificates.current().await;
        let socket = Paced::new(socket, &self.limits);
        TlsAcceptor::from(config).accept(socket).await.map(Some)
    }

    async fn http(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
    ) {
        let peer = Peer(network(peer.ip()));
        let place = Arc::clone(&self.place);
        let app = TowerToHyperService::new(self.app);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let work = place.work();
            request.extensions_mut().insert(peer);
            let answer = app.call(request);
            async move {
                let answer = answer.await?;
                Ok::<_, Infallible>(answer.map(|body| Held::new(body, work)))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut is_closing = *self.closes.borrow();
        if is_closing {
            connection.as_mut().graceful_shutdown();
        }
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                _ = self.closes.changed(), if !is_closing => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.place.ended() => return,
            }
        }
    }
}

/// The answer to plain HTTP where TLS is spoken.
const SPEAKS_TLS: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: application/problem+json\r\n\
    content-length: 131\r\n\
    connection: close\r\n\r\n\
    {\"status\":400,\"code\":\"malformed\",\"message\":\"this server speaks https\",\"remedy\":\"write https:// in place of http:// in its address\"}";
