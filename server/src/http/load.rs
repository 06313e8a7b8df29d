//! What requests take of the server together, and each client of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use promptfed_prompts::protocol::ClientId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::access::Caller;
use crate::listen::Limits;

/// Bytes of a body that count as much as a request does.
const BYTES_PER_UNIT: u64 = 1 << 20;

/// What requests take of the server.
pub(crate) struct Load {
    pub(super) limits: Limits,
    taken: Mutex<Taken>,
    /// Turns to work for clients.
    clients: Arc<Semaphore>,
    /// Turns of the administrator's own.
    admin: Arc<Semaphore>,
    /// Turns for what needs no token, as health.
    open: Arc<Semaphore>,
}

#[derive(Default)]
struct Taken {
    body_bytes: u64,
    admin_body_bytes: u64,
    clients: HashMap<ClientId, Client>,
}

#[derive(Default)]
struct Client {
    requests: usize,
    body_bytes: u64,
}

/// Why a request has to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Overload {
    /// This client has as many requests in work as it may.
    #[error("this client has as many requests in work as it may")]
    Client,
    /// The server has no room for more bodies.
    #[error("the server holds as much of requests' bodies as it can")]
    Bodies,
    /// The server does as much as it can.
    #[error("the server works on as many requests as it can")]
    Work,
}

/// A turn to work, until this is dropped.
pub(super) type Turn = OwnedSemaphorePermit;

/// A request among those of its caller, until this is dropped.
pub(super) struct Place {
    load: Arc<Load>,
    caller: Caller,
    body_bytes: Mutex<u64>,
}

impl Load {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let turns = |count: usize| Arc::new(Semaphore::new(count.clamp(1, 1 << 16)));
        Arc::new(Self {
            taken: Mutex::default(),
            clients: turns(limits.work),
            admin: turns(limits.reserved_work),
            open: turns(limits.reserved_work),
            limits,
        })
    }

    /// A place for one more request.
    pub(super) fn place(self: &Arc<Self>, caller: Caller) -> Result<Arc<Place>, Overload> {
        if let Caller::Client(client) = caller {
            let mut taken = self.taken();
            let own = taken.clients.entry(client).or_default();
            if own.requests >= self.limits.requests_per_client.max(1) {
                return Err(Overload::Client);
            }
            own.requests += 1;
        }
        Ok(Arc::new(Place {
            load: Arc::clone(self),
            caller,
            body_bytes: Mutex::new(0),
        }))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn limits(&self) -> &Limits {
        &self.load.limits
    }

    /// Takes room for `bytes` more of the request's body.
    pub(super) fn hold(&self, bytes: u64) -> Result<(), Overload> {
        let most = self.load.limits.body_bytes;
        let mut taken = self.load.taken();
        if self.caller == Caller::Admin {
            if bytes > (most / 2).saturating_sub(taken.admin_body_bytes) {
                return Err(Overload::Bodies);
            }
            taken.admin_body_bytes += bytes;
            *self.own_bytes() += bytes;
            return Ok(());
        }
        if bytes > most.saturating_sub(taken.body_bytes) {
            return Err(Overload::Bodies);
        }
        if let Caller::Client(client) = self.caller {
            let own = taken.clients.entry(client).or_default();
            if bytes > (most / 2).saturating_sub(own.body_bytes) {
                return Err(Overload::Client);
            }
            own.body_bytes += bytes;
        }
        taken.body_bytes += bytes;
        *self.own_bytes() += bytes;
        Ok(())
    }

    /// Waits for the request's turn to work.
    pub(super) async fn turn(self: Arc<Self>) -> Result<Turn, Overload> {
        let load = &self.load;
        let units = match self.caller {
            Caller::Client(_) => {
                let units = 1 + *self.own_bytes() / BYTES_PER_UNIT;
                // All of a client's requests together leave others half of the turns.
                let work = load.limits.work.clamp(1, 1 << 16);
                let most = work / 2 / load.limits.requests_per_client.max(1);
                units.min(most.max(1) as u64) as u32
            }
            _ => 1,
        };
        let turns = match self.caller {
            Caller::Client(_) => &load.clients,
            Caller::Admin => &load.admin,
            Caller::Nobody | Caller::Stranger => &load.open,
        };
        let turn = Arc::clone(turns).acquire_many_owned(units);
        // A semaphore that is never closed gives what it has.
        match timeout(load.limits.turn, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Overload::Work),
        }
    }

    fn own_bytes(&self) -> MutexGuard<'_, u64> {
        self.body_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bytes = *self.own_bytes();
        let mut taken = self.load.taken();
        match self.caller {
            Caller::Admin => taken.admin_body_bytes -= bytes,
            _ => taken.body_bytes -= bytes,
        }
        if let Caller::Client(client) = self.caller
            && let Some(own) = taken.clients.get_mut(&client)
        {
            own.requests -= 1;
            own.body_bytes -= bytes;
            if own.requests == 0 {
                taken.clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load() -> Arc<Load> {
        Load::new(Limits {
            requests_per_client: 2,
            body_bytes: 1000,
            work: 4,
            reserved_work: 1,
            turn: Duration::from_millis(10),
            ..Limits::default()
        })
    }

    const A: Caller = Caller::Client(ClientId::new(1));
    const B: Caller = Caller::Client(ClientId::new(2));

    #[test]
    fn a_client_has_so_many_requests_and_others_theirs() {
        let load = load();
        let first = load.place(A).unwrap();
        let _second = load.place(A).unwrap();
        assert_eq!(load.place(A).err(), Some(Overload::Client));
        assert!(load.place(B).is_ok() && load.place(Caller::Admin).is_ok());
        drop(first);
        assert!(load.place(A).is_ok());
    }

    #[test]
    fn a_client_has_half_of_the_room_and_gives_it_back() {
        let load = load();
        let a = load.place(A).unwrap();
        assert_eq!(a.hold(500), Ok(()));
        assert_eq!(a.hold(1), Err(Overload::Client));
        let b = load.place(B).unwrap();
        assert_eq!(b.hold(500), Ok(()));
        let other = load.place(Caller::Client(ClientId::new(3))).unwrap();
        assert_eq!(other.hold(1), Err(Overload::Bodies));
        let admin = load.place(Caller::Admin).unwrap();
        assert_eq!(admin.hold(500), Ok(()), "what clients cannot take");
        assert_eq!(admin.hold(1), Err(Overload::Bodies));
        drop(a);
        assert_eq!(other.hold(500), Ok(()));
        drop((b, other, admin));
        assert_eq!(load.taken().body_bytes, 0);
        assert_eq!(load.taken().admin_body_bytes, 0);
        assert!(load.taken().clients.is_empty());
    }

    #[tokio::test]
    async fn large_bodies_leave_others_half_of_the_turns() {
        let load = Load::new(Limits {
            requests_per_client: 2,
            work: 8,
            turn: Duration::from_millis(10),
            ..Limits::default()
        });
        let mut turns = Vec::new();
        for caller in [A, A, B, B] {
            let place = load.place(caller).unwrap();
            place.hold(60 << 20).unwrap();
            turns.push(place.turn().await.unwrap());
        }
        let none_left = load.place(Caller::Client(ClientId::new(3))).unwrap();
        assert_eq!(none_left.turn().await.err(), Some(Overload::Work));
    }

    #[tokio::test]
    async fn clients_at_work_keep_nobody_from_health_and_administration() {
        let load = load();
        let mut turns = Vec::new();
        for caller in [A, A, B, B] {
            turns.push(load.place(caller).unwrap().turn().await.unwrap());
        }
        let more = Caller::Client(ClientId::new(3));
        let refused = load.place(more).unwrap().turn().await;
        assert_eq!(refused.err(), Some(Overload::Work));
        for caller in [Caller::Admin, Caller::Nobody] {
            assert!(load.place(caller).unwrap().turn().await.is_ok());
        }
        turns.pop();
        assert!(load.place(more).unwrap().turn().await.is_ok());
    }
}
