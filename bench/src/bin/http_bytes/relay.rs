//! A relay between clients and a server that counts what goes through.

use crate::Bytes;
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How long nothing has to cross before all has.
const QUIET: Duration = Duration::from_millis(100);

pub(crate) struct Relay {
    port: u16,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Relay {
    /// Relays to this address for as long as the program runs.
    pub(crate) fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self {
            port: listener.local_addr()?.port(),
            up: Arc::default(),
            down: Arc::default(),
        };
        let (up, down) = (Arc::clone(&relay.up), Arc::clone(&relay.down));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever asks sees a connection that ends.
                let _ = connect(client, server, &up, &down);
            }
        });
        Ok(relay)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What has crossed, once nothing does any more.
    pub(crate) fn counted(&self) -> Bytes {
        let now = || Bytes {
            up: self.up.load(Ordering::SeqCst),
            down: self.down.load(Ordering::SeqCst),
        };
        loop {
            let before = now();
            thread::sleep(QUIET);
            if now() == before {
                return before;
            }
        }
    }
}

fn connect(
    client: TcpStream,
    server: SocketAddr,
    up: &Arc<AtomicU64>,
    down: &Arc<AtomicU64>,
) -> Result<()> {
    let server = TcpStream::connect(server)?;
    // Small packets are not held back for others.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let back = (server.try_clone()?, client.try_clone()?);
    let (up, down) = (Arc::clone(up), Arc::clone(down));
    thread::spawn(move || pump(client, server, &up));
    thread::spawn(move || pump(back.0, back.1, &down));
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = [0; 65536];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        count.fetch_add(n as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
