//! Who is connected: a bounded number, of which the quietest makes room.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::limits::Limits;

/// The open connections of one server.
pub(super) struct Connections {
    most: usize,
    reserved: usize,
    per_peer: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Connection>,
}

struct Connection {
    peer: IpAddr,
    /// Since when no request is in work; `None` while one is.
    quiet_since: Option<Instant>,
    end: Arc<Notify>,
}

/// A connection's place among the others, until this is dropped.
pub(super) struct Place {
    number: u64,
    end: Arc<Notify>,
    all: Arc<Connections>,
}

/// A request in work: until this is dropped, its connection makes no room for others.
pub(super) struct InWork(Arc<Place>);

impl Connections {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.connections.max(1),
            reserved: limits
                .reserved_connections
                .min(limits.connections.saturating_sub(1)),
            per_peer: limits.connections_per_peer.max(1),
            open: Mutex::default(),
        })
    }

    /// A place for a connection of `peer`, where need be that of the connection that has been quiet the longest; `None` where all are at work.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Place>> {
        let peer = network(peer);
        let mut open = self.open();
        if !peer.is_loopback() {
            let own = |connection: &Connection| connection.peer == peer;
            let count = open.connections.values().filter(|c| own(c)).count();
            if count >= self.per_peer {
                open.end_quietest(own)?;
            }
        }
        // What others cannot have, this machine's own addresses can.
        let most = match peer.is_loopback() {
            true => self.most,
            false => self.most - self.reserved,
        };
        if open.connections.len() >= most {
            open.end_quietest(|_| true)?;
        }
        let number = open.next;
        open.next += 1;
        let end = Arc::new(Notify::new());
        let connection = Connection {
            peer,
            quiet_since: Some(Instant::now()),
            end: Arc::clone(&end),
        };
        open.connections.insert(number, connection);
        Some(Arc::new(Place {
            number,
            end,
            all: Arc::clone(self),
        }))
    }

    /// Ends the connection that has been quiet the longest, so that the system has a file for another one.
    pub(super) fn make_room(&self) {
        self.open().end_quietest(|_| true);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn end_quietest(&mut self, among: impl Fn(&Connection) -> bool) -> Option<()> {
        let quiet = self
            .connections
            .iter()
            .filter(|(_, connection)| among(connection))
            .filter_map(|(number, connection)| Some((connection.quiet_since?, *number)));
        let (_, number) = quiet.min()?;
        self.connections.remove(&number)?.end.notify_one();
        Some(())
    }
}

impl Place {
    /// Ends when the connection has to make room.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// Marks a request as in work.
    pub(super) fn work(self: &Arc<Self>) -> InWork {
        self.set_quiet(None);
        InWork(Arc::clone(self))
    }

    fn set_quiet(&self, since: Option<Instant>) {
        if let Some(connection) = self.all.open().connections.get_mut(&self.number) {
            connection.quiet_since = since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.open().connections.remove(&self.number);
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.set_quiet(Some(Instant::now()));
    }
}

/// What counts as one peer: an IPv4 address, or the /64 network that one IPv6 host has all addresses of.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(most: usize, per_peer: usize, reserved: usize) -> Arc<Connections> {
        Connections::new(&Limits {
            connections: most,
            connections_per_peer: per_peer,
            reserved_connections: reserved,
            ..Limits::default()
        })
    }

    fn has_ended(place: &Place) -> bool {
        !place.all.open().connections.contains_key(&place.number)
    }

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_quietest_makes_room() {
        let all = connections(2, 10, 0);
        let (first, second) = (all.admit(ONE).unwrap(), all.admit(ONE).unwrap());
        let work = first.work();
        let third = all.admit(OTHER).unwrap();
        assert!(!has_ended(&first) && has_ended(&second) && !has_ended(&third));
        let _work = third.work();
        assert!(all.admit(ONE).is_none(), "all are at work");
        drop(work);
        assert!(all.admit(ONE).is_some());
        assert!(has_ended(&first));
    }

    #[test]
    fn one_peer_takes_no_others_place() {
        let all = connections(10, 2, 0);
        let other = all.admit(OTHER).unwrap();
        let places: Vec<_> = (0..5).map(|_| all.admit(ONE).unwrap()).collect();
        let ended = places.iter().map(|place| has_ended(place));
        assert_eq!(ended.collect::<Vec<_>>(), [true, true, true, false, false]);
        assert!(!has_ended(&other));
        let here: Vec<_> = (0..5).map(|_| all.admit(HERE).unwrap()).collect();
        assert!(here.iter().all(|place| !has_ended(place)));
    }

    #[test]
    fn this_machine_has_places_of_its_own() {
        let all = connections(3, 10, 1);
        let places = [all.admit(ONE).unwrap(), all.admit(ONE).unwrap()];
        let _work = places.each_ref().map(Place::work);
        assert!(all.admit(OTHER).is_none());
        assert!(all.admit(HERE).is_some());
    }

    #[test]
    fn one_host_is_one_peer() {
        let parsed = |text: &str| network(text.parse().unwrap());
        assert_eq!(parsed("2001:db8::1"), parsed("2001:db8::ffff:1"));
        assert_ne!(parsed("2001:db8::1"), parsed("2001:db8:0:1::1"));
        assert_eq!(parsed("::ffff:192.0.2.1"), ONE);
        assert!(parsed("::1").is_loopback() && parsed("::ffff:127.0.0.1").is_loopback());
    }
}
