//! What a server grants to those who connect.

use std::time::Duration;

/// What a server grants to those who connect. The defaults suit a server that strangers can reach.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once. When there are as many, the one that has been quiet the longest makes room for a new one. 512 by default;
    /// keep it below the number of files that the process may have open.
    pub connections: usize,
    /// Connections at once of one address (of IPv6, of one /64 network); this machine's own are not counted. 128 by default; a proxy on
    /// another machine needs more.
    pub connections_per_peer: usize,
    /// Connections that only this machine's own addresses get, so that its administrator is never locked out. 16 by default.
    pub reserved_connections: usize,
    /// Time for a TLS handshake. 10 s by default.
    pub handshake: Duration,
    /// Time for the head of a request, from the connection or the answer before on: also how long a connection may be idle. 30 s by default.
    pub head: Duration,
    /// How long a body may stand still, and how far it may fall behind `bytes_per_second`. 15 s by default.
    pub body_grace: Duration,
    /// Time for a body as a whole, however it comes. One hour by default, in which the largest needs 19 kB/s.
    pub body: Duration,
    /// How long an answer that is not read may stand still, and over which `bytes_per_second` counts. 30 s by default.
    pub write: Duration,
    /// The slowest that a body may come or an answer be read. 4,096 (32 kbit/s) by default.
    pub bytes_per_second: u64,
    /// Requests of one client at once, downloads among them; more are told to come again (429). 8 by default.
    pub requests_per_client: usize,
    /// Bytes of bodies in memory at once, of which one client can take half. 256 MiB by default, which is four of the largest submissions.
    /// Those of the administrator have half as much of their own.
    pub body_bytes: u64,
    /// Work at once for clients; a request counts one, and one more for each MiB of its body, as far as one client's requests take no
    /// more than half together. 128 by default.
    pub work: usize,
    /// Requests at once that the administrator has for itself, and as many that need no token. 8 by default.
    pub reserved_work: usize,
    /// How long a request whose body has arrived waits for its turn; then it is told to come again (503). 10 s by default.
    pub turn: Duration,
    /// Time for a request from its turn on. 60 s by default.
    pub request: Duration,
    /// How often a certificate's files are looked at for new ones, at most. 2 s by default.
    pub certificate_check: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_peer: 128,
            reserved_connections: 16,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body_grace: Duration::from_secs(15),
            body: Duration::from_secs(3600),
            write: Duration::from_secs(30),
            bytes_per_second: 4096,
            requests_per_client: 8,
            body_bytes: 256 << 20,
            work: 128,
            reserved_work: 8,
            turn: Duration::from_secs(10),
            request: Duration::from_secs(60),
            certificate_check: Duration::from_secs(2),
        }
    }
}
