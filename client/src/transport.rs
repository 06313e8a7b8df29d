//! The socket with a meter on it: every byte that crosses, in both directions.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use ureq::config::Config;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, TcpConnector,
    Transport,
};
use ureq::{Agent, Proxy, ProxyProtocol};

use crate::tls::TlsConnector;

/// Bytes that crossed the sockets of one agent.
#[derive(Debug, Default)]
pub struct SocketBytes {
    up: AtomicU64,
    down: AtomicU64,
}

impl SocketBytes {
    /// Bytes sent: request lines, headers, bodies, and with https all of TLS.
    pub fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// Bytes received.
    pub fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

/// An HTTP agent whose sockets are metered. It follows no redirects, and treats no status as an error. Proxies are those of the environment
/// (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), for `host`s that are not this machine.
pub(crate) fn metered_agent(bytes: Arc<SocketBytes>, host: &str, tls: Arc<ClientConfig>) -> Agent {
    // There is no connector for SOCKS here.
    let speaks_http =
        |proxy: &Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    let proxy = Proxy::try_from_env().filter(|proxy| speaks_http(proxy) && !is_this_machine(host));
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(concat!("promptfed/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(90)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .timeout_per_write(Some(Duration::from_secs(60)))
        .build();
    // The meter stands below TLS, so that it sees what the network sees.
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(Meter(bytes))
            .chain(TlsConnector(tls));
    Agent::with_parts(config, connector, DefaultResolver::default())
}

#[derive(Debug)]
struct Meter(Arc<SocketBytes>);

impl<In: Transport> Connector<In> for Meter {
    type Out = Metered<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        socket: Option<In>,
    ) -> Result<Option<Metered<In>>, ureq::Error> {
        // What goes through a proxy goes over the socket to the proxy, which has a meter.
        let proxy = details.config.proxy();
        let is_direct = proxy.is_none_or(|proxy| proxy.is_no_proxy(details.uri));
        Ok(socket.map(|socket| Metered {
            socket,
            bytes: is_direct.then(|| Arc::clone(&self.0)),
        }))
    }
}

/// Whether an address of a URL is this machine's own.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |ip: IpAddr| ip.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

struct Metered<S> {
    socket: S,
    /// Absent where another meter counts the same bytes.
    bytes: Option<Arc<SocketBytes>>,
}

impl<S> fmt::Debug for Metered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

impl<S: Transport> Transport for Metered<S> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.socket.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.socket.transmit_output(amount, timeout)?;
        if let Some(bytes) = &self.bytes {
            bytes.up.fetch_add(amount as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let before = self.socket.buffers().input().len();
        let progress = self.socket.await_input(timeout)?;
        let after = self.socket.buffers().input().len();
        if let Some(bytes) = &self.bytes {
            let came = after.saturating_sub(before) as u64;
            bytes.down.fetch_add(came, Ordering::Relaxed);
        }
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        self.socket.is_open()
    }

    fn is_tls(&self) -> bool {
        self.socket.is_tls()
    }
}
