//! Who decodes when. A prompt set takes a processor for seconds where it is large: whoever has had the least of that goes next, and one client never has
//! more than half of the places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use promptfed_prompts::protocol::ClientId;
use tokio::sync::oneshot;

/// Prompt sets that are decoded at once; more wait.
const PLACES: usize = 4;
/// Those of one client.
const OF_ONE_CLIENT: usize = PLACES / 2;
/// After so long, half of what a client has taken counts no more.
const HALVED_AFTER: Duration = Duration::from_secs(60);
/// What counts no more, in seconds.
const FORGOTTEN: f64 = 0.1;

/// A client, or the operator.
pub(crate) type Who = Option<ClientId>;

/// The places to decode at.
#[derive(Default)]
pub(crate) struct Decoders(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: usize,
    clients: HashMap<Who, Share>,
    /// In the order in which they came.
    waiting: Vec<(Who, oneshot::Sender<Decoding>)>,
}

/// What a client takes and has taken.
struct Share {
    places: usize,
    /// Seconds of a place, as they counted at a moment.
    spent: f64,
    at: Instant,
}

/// A place to decode at, until this is dropped.
pub(crate) struct Decoding {
    decoders: Arc<Decoders>,
    client: Who,
    begun: Instant,
}

impl Decoders {
    /// Waits for the turn of a client, or of the operator.
    pub(crate) async fn turn(self: &Arc<Self>, client: Who) -> crate::Result<Decoding> {
        let (go, came) = oneshot::channel();
        self.lock().waiting.push((client, go));
        self.admit();
        // Nobody throws away one that waits.
        came.await
            .map_err(|error| crate::Error::Panic(error.to_string()))
    }

    /// Gives the places that are free to those who wait.
    fn admit(self: &Arc<Self>) {
        loop {
            let now = Instant::now();
            let Some((client, go)) = self.lock().next(now) else {
                return;
            };
            let place = Decoding {
                decoders: Arc::clone(self),
                client,
                begun: now,
            };
            // Of one that has gone meanwhile the place comes back and is given to the next.
            if let Err(unused) = go.send(place) {
                drop(unused);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Takes a place for who is next, where there is one.
    fn next(&mut self, now: Instant) -> Option<(Who, oneshot::Sender<Decoding>)> {
        self.waiting.retain(|(_, go)| !go.is_closed());
        self.clients
            .retain(|_, share| share.places > 0 || share.counted(now) > FORGOTTEN);
        if self.taken >= PLACES {
            return None;
        }
        let share = |client: &Who| {
            let share = self.clients.get(client);
            share.map_or((0, 0.0), |share| (share.places, share.counted(now)))
        };
        let may = self
            .waiting
            .iter()
            .enumerate()
            .filter_map(|(at, (client, _))| {
                let (places, spent) = share(client);
                (places < OF_ONE_CLIENT).then_some((spent, places, at))
            });
        let (.., at) = may.min_by(|a, b| {
            let by_spent = a.0.total_cmp(&b.0);
            by_spent.then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        })?;
        let (client, go) = self.waiting.remove(at);
        self.taken += 1;
        let share = self.clients.entry(client).or_insert(Share {
            places: 0,
            spent: 0.0,
            at: now,
        });
        share.places += 1;
        Some((client, go))
    }

    /// Takes a place back, after so many seconds.
    fn give_back(&mut self, client: Who, seconds: f64, now: Instant) {
        self.taken -= 1;
        if let Some(share) = self.clients.get_mut(&client) {
            share.places -= 1;
            share.spent = share.counted(now) + seconds;
            share.at = now;
        }
    }
}

impl Share {
    /// What it has taken, as it counts now.
    fn counted(&self, now: Instant) -> f64 {
        let halves = now.duration_since(self.at).as_secs_f64() / HALVED_AFTER.as_secs_f64();
        self.spent * (-halves).exp2()
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.begun).as_secs_f64();
        self.decoders.lock().give_back(self.client, seconds, now);
        self.decoders.admit();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const A: Who = Some(ClientId::new(1));
    const B: Who = Some(ClientId::new(2));
    const C: Who = Some(ClientId::new(3));

    /// What has come of waiting, now.
    fn look<T>(waiting: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(come) => Some(come),
            Poll::Pending => None,
        }
    }

    fn spend(decoders: &Decoders, client: Who, seconds: f64) {
        let now = Instant::now();
        let mut places = decoders.lock();
        let share = Share {
            places: 0,
            spent: seconds,
            at: now,
        };
        places.clients.insert(client, share);
    }

    #[test]
    fn a_client_leaves_half_of_the_places_to_others() {
        let decoders = Arc::new(Decoders::default());
        let mut of_a: Vec<_> = (0..3).map(|_| Box::pin(decoders.turn(A))).collect();
        let mut come: Vec<_> = of_a.iter_mut().map(|turn| look(turn.as_mut())).collect();
        let has: Vec<bool> = come.iter().map(Option::is_some).collect();
        assert_eq!(has, [true, true, false]);
        let b = look(pin!(decoders.turn(B)));
        assert!(b.is_some());
        assert!(look(of_a[2].as_mut()).is_none());
        come[0] = None;
        assert!(look(of_a[2].as_mut()).is_some());
    }

    #[test]
    fn who_has_had_the_least_goes_next() {
        let decoders = Arc::new(Decoders::default());
        spend(&decoders, A, 30.0);
        spend(&decoders, B, 3.0);
        let others = [11, 12, 13, 14].map(|client| Some(ClientId::new(client)));
        let mut held = others.map(|client| look(pin!(decoders.turn(client))));
        assert!(held.iter().all(Option::is_some));
        let mut a = pin!(decoders.turn(A));
        let mut b = pin!(decoders.turn(B));
        let mut gone = Box::pin(decoders.turn(C));
        let mut c = pin!(decoders.turn(C));
        assert!(look(a.as_mut()).is_none() && look(b.as_mut()).is_none());
        assert!(look(gone.as_mut()).is_none() && look(c.as_mut()).is_none());
        // One that waits no more is passed over.
        drop(gone);
        held[0] = None;
        let first = look(c.as_mut());
        assert!(first.is_some());
        assert!(look(a.as_mut()).is_none() && look(b.as_mut()).is_none());
        held[1] = None;
        let second = look(b.as_mut());
        assert!(second.is_some() && look(a.as_mut()).is_none());
        drop(second);
        assert!(look(a.as_mut()).is_some());
    }

    #[test]
    fn what_was_taken_is_forgotten_by_and_by() {
        let now = Instant::now();
        let share = Share {
            places: 0,
            spent: 8.0,
            at: now,
        };
        assert!((share.counted(now + HALVED_AFTER) - 4.0).abs() < 1e-9);
        assert!((share.counted(now + 3 * HALVED_AFTER) - 1.0).abs() < 1e-9);
        let mut places = Places::default();
        places.clients.insert(A, share);
        places.next(now + HALVED_AFTER);
        assert_eq!(places.clients.len(), 1);
        places.next(now + 20 * HALVED_AFTER);
        assert!(places.clients.is_empty());
    }
}
