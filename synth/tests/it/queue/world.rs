//! Simulated workers, messages and failures around a [`Server`]; nothing but its seed decides what happens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use promptfed_prompts::ContentHash;
use promptfed_synth::queue::{Fence, Moment, Policy, ShardId, State, WorkerId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::server::{Answer, Message, Server, content};

/// How often things go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// A message, or an answer, does not arrive.
    pub(super) lost: f64,
    /// One arrives twice.
    pub(super) twice: f64,
    /// A worker crashes while it draws a shard.
    pub(super) crash: f64,
    /// A worker is stopped while it draws a shard, for half a lease to three leases, and goes on.
    pub(super) stall: f64,
    /// The server crashes after it has heard a message and before it answers, and is down for 5 s.
    pub(super) server: f64,
    /// The server's memory is lost, and made again from its ledger.
    pub(super) queue: f64,
}

/// The rates under which at most 1.05 times the images are drawn; docs/scale-out.md has them.
pub(super) const RATES: Rates = Rates {
    lost: 0.01,
    twice: 0.01,
    crash: 0.03,
    stall: 0.01,
    server: 0.001,
    queue: 0.002,
};

/// A shard that cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poison {
    /// Workers say so.
    Told,
    /// It ends them.
    Deadly,
}

pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) rates: Rates,
    /// What each worker draws (0 or 1), and how long an image takes it.
    pub(super) workers: Vec<(usize, Duration)>,
    /// Names, kinds and images.
    pub(super) shards: Vec<(ShardId, usize, u32)>,
    pub(super) poison: BTreeMap<ShardId, Poison>,
}

/// What a simulation came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Images of the result.
    pub(super) images: u64,
    /// Images drawn, those that were thrown away among them; without those of poison.
    pub(super) drawn: u64,
    pub(super) set_aside: usize,
    pub(super) seconds: f64,
    pub(super) messages: u64,
    pub(super) writes: u64,
    pub(super) objects: u64,
    /// The most messages in one second.
    pub(super) peak: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Ask,
    Beat(ShardId, Fence),
    Drawn(ShardId, Fence),
    Fails(ShardId, Fence),
    Tell(ShardId, Fence),
    Crash,
    Begin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A message of a worker arrives.
    Heard(usize, WorkerId, Message),
    /// An answer arrives at a worker of this life.
    Answered(usize, WorkerId, Answer),
    /// A worker of this life does what it meant to do.
    Timer(usize, WorkerId, Timer),
    ServerStarts,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Dead,
    Asking,
    Drawing {
        shard: ShardId,
        fence: Fence,
        since: Moment,
    },
    /// It has drawn, or could not draw, and has not heard that this is known.
    Telling {
        shard: ShardId,
        fence: Fence,
        message: Message,
    },
}

struct Worker {
    kind: usize,
    per_image: Duration,
    /// Another one after each crash.
    id: WorkerId,
    doing: Doing,
    /// It is stopped until then.
    asleep: Moment,
    /// The last lease that it was given: an answer that comes twice is heeded once.
    last: Option<(ShardId, Fence)>,
}

/// How long until a message without an answer is sent again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a crashed worker or server is away.
const AWAY: Duration = Duration::from_secs(30);

/// Nothing takes longer.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

struct World<'a> {
    settings: &'a Settings,
    rng: ChaCha8Rng,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    /// Events so far, which orders those of one moment.
    numbered: u64,
    lives: u64,
    server: Server,
    workers: Vec<Worker>,
    objects: BTreeMap<(ShardId, Fence), ContentHash>,
    images: BTreeMap<ShardId, u32>,
    outcome: Outcome,
    /// The second in work, and the messages in it.
    second: (u64, u64),
}

/// Runs a simulation to its end.
///
/// # Errors
/// What must not happen, in words.
pub(super) fn simulate(settings: &Settings, seed: u64) -> Result<Outcome, String> {
    let workers = settings.workers.iter().map(|&(kind, per_image)| Worker {
        kind,
        per_image,
        id: WorkerId(0),
        doing: Doing::Dead,
        asleep: Moment::ZERO,
        last: None,
    });
    let mut world = World {
        settings,
        rng: ChaCha8Rng::seed_from_u64(seed),
        now: Moment::ZERO,
        events: BinaryHeap::new(),
        numbered: 0,
        lives: 0,
        server: Server::new(settings.policy, &settings.shards),
        workers: workers.collect(),
        objects: BTreeMap::new(),
        images: settings.shards.iter().map(|s| (s.0, s.2)).collect(),
        outcome: Outcome::default(),
        second: (0, 0),
    };
    for worker in 0..world.workers.len() {
        world.set_timer(worker, Duration::ZERO, Timer::Begin);
    }
    while world.server.open > 0 {
        let Some(Reverse((at, _, event))) = world.events.pop() else {
            return Err(format!(
                "{} shards wait and nothing happens",
                world.server.open
            ));
        };
        if at > LONGEST {
            return Err(format!("{} shards wait for ever", world.server.open));
        }
        world.now = at;
        world.happen(event)?;
    }
    world.judge()
}

impl World<'_> {
    fn at(&mut self, after: Duration, event: Event) {
        self.numbered += 1;
        let at = self.now + after;
        self.events.push(Reverse((at, self.numbered, event)));
    }

    fn set_timer(&mut self, worker: usize, after: Duration, timer: Timer) {
        let id = self.workers[worker].id;
        self.at(after, Event::Timer(worker, id, timer));
    }

    fn chance(&mut self, rate: f64) -> bool {
        self.rng.random_bool(rate)
    }

    /// Sends something through a network that loses, doubles and delays.
    fn send(&mut self, event: Event) {
        let copies = 1 + usize::from(self.chance(self.settings.rates.twice));
        for _ in 0..copies {
            if !self.chance(self.settings.rates.lost) {
                let delay = Duration::from_millis(self.rng.random_range(1..200));
                self.at(delay, event);
            }
        }
    }

    fn say(&mut self, worker: usize, message: Message) {
        self.send(Event::Heard(worker, self.workers[worker].id, message));
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::ServerStarts => self.server.start(self.now),
            Event::Heard(worker, id, message) => self.hear(worker, id, message)?,
            Event::Answered(worker, id, _) | Event::Timer(worker, id, _)
                if self.workers[worker].id != id => {}
            Event::Answered(worker, ..) | Event::Timer(worker, ..)
                if self.workers[worker].asleep > self.now =>
            {
                let left = self.workers[worker].asleep - self.now;
                self.at(left, event);
            }
            Event::Answered(worker, _, answer) => self.answered(worker, answer),
            Event::Timer(worker, _, timer) => self.act(worker, timer)?,
        }
        Ok(())
    }

    fn hear(&mut self, worker: usize, id: WorkerId, message: Message) -> Result<(), String> {
        let second = self.now.as_secs();
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.outcome.peak = self.outcome.peak.max(self.second.1);
        let kind = self.workers[worker].kind;
        let answer = self.server.hear(id, kind, message, self.now)?;
        if self.chance(self.settings.rates.queue) && answer.is_some() {
            self.server.stop();
            self.server.start(self.now);
        }
        let Some(answer) = answer else {
            return Ok(());
        };
        if self.chance(self.settings.rates.server) {
            self.server.stop();
            self.at(AGAIN, Event::ServerStarts);
            return Ok(());
        }
        self.send(Event::Answered(worker, id, answer));
        Ok(())
    }

    fn answered(&mut self, worker: usize, answer: Answer) {
        let now = self.now;
        let Worker { doing, last, .. } = &mut self.workers[worker];
        match (answer, *doing) {
            (Answer::Granted(shard, fence), Doing::Asking) if *last != Some((shard, fence)) => {
                *last = Some((shard, fence));
                *doing = Doing::Drawing {
                    shard,
                    fence,
                    since: now,
                };
                self.begin(worker, shard, fence);
            }
            (
                Answer::Stale(id, of),
                Doing::Drawing {
                    shard,
                    fence,
                    since,
                },
            ) if (id, of) == (shard, fence) => {
                self.count(worker, shard, since);
                self.ask(worker);
            }
            (
                Answer::Stale(id, of) | Answer::Taken(id, of),
                Doing::Telling { shard, fence, .. },
            ) if (id, of) == (shard, fence) => self.ask(worker),
            _ => {}
        }
    }

    fn ask(&mut self, worker: usize) {
        self.workers[worker].doing = Doing::Asking;
        self.set_timer(worker, Duration::ZERO, Timer::Ask);
    }

    /// Decides how the drawing of a shard will go.
    fn begin(&mut self, worker: usize, shard: ShardId, fence: Fence) {
        let whole = self.workers[worker].per_image * self.images[&shard];
        let part = whole.mul_f64(self.rng.random_range(0.05..1.0));
        self.set_timer(
            worker,
            self.settings.policy.heartbeat(),
            Timer::Beat(shard, fence),
        );
        let poison = self.settings.poison.get(&shard).copied();
        if poison == Some(Poison::Deadly) || self.chance(self.settings.rates.crash) {
            return self.set_timer(worker, part, Timer::Crash);
        }
        if poison == Some(Poison::Told) {
            return self.set_timer(worker, part, Timer::Fails(shard, fence));
        }
        let mut stopped = Duration::ZERO;
        if self.chance(self.settings.rates.stall) {
            stopped = self
                .settings
                .policy
                .lease
                .mul_f64(self.rng.random_range(0.5..3.0));
            self.workers[worker].asleep = self.now + stopped;
        }
        self.set_timer(worker, stopped + whole, Timer::Drawn(shard, fence));
    }

    /// Counts what a worker has drawn of a shard since then.
    fn count(&mut self, worker: usize, shard: ShardId, since: Moment) {
        if self.settings.poison.contains_key(&shard) {
            return;
        }
        let per_image = self.workers[worker].per_image.as_secs_f64();
        let drawn = ((self.now - since).as_secs_f64() / per_image).round() as u64;
        self.outcome.drawn += drawn.min(u64::from(self.images[&shard]));
    }

    fn act(&mut self, worker: usize, timer: Timer) -> Result<(), String> {
        let doing = self.workers[worker].doing;
        match (timer, doing) {
            (Timer::Begin, Doing::Dead) => {
                self.lives += 1;
                self.workers[worker].id = WorkerId(self.lives);
                self.ask(worker);
            }
            (Timer::Ask, Doing::Asking) => {
                self.say(worker, Message::Ask);
                self.set_timer(worker, AGAIN, Timer::Ask);
            }
            (Timer::Beat(id, of), Doing::Drawing { shard, fence, .. })
                if (id, of) == (shard, fence) =>
            {
                self.say(worker, Message::Extend(shard, fence));
                self.set_timer(worker, self.settings.policy.heartbeat(), timer);
            }
            (
                Timer::Drawn(id, of),
                Doing::Drawing {
                    shard,
                    fence,
                    since,
                },
            ) if (id, of) == (shard, fence) => {
                self.count(worker, shard, since);
                self.outcome.objects += 1;
                if self
                    .objects
                    .insert((shard, fence), content(shard))
                    .is_some()
                {
                    return Err(format!("the object {shard}-{fence} was put twice"));
                }
                self.tell(worker, shard, fence, Message::Complete(shard, fence));
            }
            (Timer::Fails(id, of), Doing::Drawing { shard, fence, .. })
                if (id, of) == (shard, fence) =>
            {
                self.tell(worker, shard, fence, Message::Fail(shard, fence));
            }
            (
                Timer::Tell(id, of),
                Doing::Telling {
                    shard,
                    fence,
                    message,
                },
            ) if (id, of) == (shard, fence) => {
                self.say(worker, message);
                self.set_timer(worker, AGAIN, timer);
            }
            (Timer::Crash, Doing::Drawing { shard, since, .. }) => {
                self.count(worker, shard, since);
                self.workers[worker].doing = Doing::Dead;
                self.set_timer(worker, AWAY, Timer::Begin);
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&mut self, worker: usize, shard: ShardId, fence: Fence, message: Message) {
        self.workers[worker].doing = Doing::Telling {
            shard,
            fence,
            message,
        };
        self.set_timer(worker, Duration::ZERO, Timer::Tell(shard, fence));
    }

    /// Whether every image is in the result once, and nothing was drawn again without a cause.
    fn judge(mut self) -> Result<Outcome, String> {
        let mut bound = 0;
        for (id, (_, shard)) in &self.server.ledger {
            let images = u64::from(shard.images);
            let causes = u64::from(shard.losses) + shard.failures.len() as u64;
            let leases = shard.fence - shard.failures.len() as u64;
            if leases > 1 + causes {
                return Err(format!(
                    "shard {id} was leased {leases} times for {causes} causes"
                ));
            }
            match (shard.state, self.settings.poison.contains_key(id)) {
                (State::SetAside, true) => {
                    if shard.reasons().is_empty() {
                        return Err(format!("shard {id} was set aside without a reason"));
                    }
                    self.outcome.set_aside += 1;
                }
                (State::Done(made), false) => {
                    if self.objects.get(&(*id, made.fence)) != Some(&made.hash) {
                        return Err(format!("the object of shard {id} is not there"));
                    }
                    self.outcome.images += images;
                    bound += images * (1 + causes);
                }
                (state, is_poison) => {
                    return Err(format!("shard {id}, poison {is_poison}, ended {state:?}"));
                }
            }
        }
        if self.outcome.drawn > bound {
            let drawn = self.outcome.drawn;
            return Err(format!(
                "{drawn} images were drawn, with causes for {bound}"
            ));
        }
        self.outcome.seconds = self.now.as_secs_f64();
        self.outcome.messages = self.server.messages;
        self.outcome.writes = self.server.writes;
        Ok(self.outcome)
    }
}
