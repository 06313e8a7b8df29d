//! The thread of one engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use promptfed_synth::engines::remote::protocol::Extension;
use promptfed_synth::registry::Engines;
use promptfed_synth::{Generator, Image, ImageRequest};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::refusal::Refusal;
use crate::{Error, Result};

/// Images made together where the engine's settings do not say.
const TOGETHER: usize = 64;

/// An image that is asked for.
struct Work {
    request: ImageRequest,
    /// Closed where whoever asked has gone.
    answer: oneshot::Sender<Result<Image, Refusal>>,
}

/// An engine that works on a thread of its own, until this is dropped.
pub(super) struct EngineThread {
    pub(super) name: String,
    pub(super) about: Extension,
    queue: mpsc::Sender<Work>,
}

impl EngineThread {
    /// Loads the engine on its thread and waits until that is done.
    pub(super) fn start(engines: &Engines, name: &str, max_waiting: usize) -> Result<Self> {
        let (queue, waiting) = mpsc::channel(max_waiting.max(1));
        let (loaded, loading) = std::sync::mpsc::sync_channel(1);
        let together = engines.batch(name).unwrap_or(TOGETHER);
        let (engines, own_name) = (engines.clone(), name.to_owned());
        thread::Builder::new()
            .name(format!("promptfed-{name}"))
            .spawn(move || {
                let load = || engines.load(&own_name, &Arc::new(AtomicBool::new(false)));
                match load() {
                    Ok(engine) => {
                        let about = Extension {
                            engine: engine.describe().clone(),
                            size: engine.size(),
                            takes_negatives: engine.takes_negatives(),
                            reads_weights: engine.reads_weights(),
                        };
                        let _ = loaded.send(Ok(about));
                        work(engine, waiting, together);
                    }
                    Err(error) => drop(loaded.send(Err(error))),
                }
            })?;
        let about = loading
            .recv()
            .map_err(|_| Error::Panic(format!("the engine {name} could not be loaded")))??;
        Ok(Self {
            name: name.to_owned(),
            about,
            queue,
        })
    }

    /// Asks for images; all of them are made, or the first refusal is given.
    pub(super) async fn images(&self, requests: Vec<ImageRequest>) -> Result<Vec<Image>, Refusal> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let (answer, answered) = oneshot::channel();
            self.queue
                .try_send(Work { request, answer })
                .map_err(|error| match error {
                    TrySendError::Full(_) => Refusal::busy(),
                    TrySendError::Closed(_) => Refusal::failed(),
                })?;
            answers.push(answered);
        }
        let mut images = Vec::with_capacity(answers.len());
        for answer in answers {
            images.push(answer.await.unwrap_or_else(|_| Err(Refusal::failed()))?);
        }
        Ok(images)
    }
}

/// Makes what waits, up to `together` images at once, until nobody can ask any more.
fn work(mut engine: Box<dyn Generator>, mut waiting: mpsc::Receiver<Work>, together: usize) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < together {
            match waiting.try_recv() {
                Ok(next) => batch.push(next),
                Err(_) => break,
            }
        }
        make(&mut *engine, batch);
    }
}

fn make(engine: &mut dyn Generator, batch: Vec<Work>) {
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    for Work { request, answer } in batch {
        if answer.is_closed() {
            continue;
        }
        if let Some(fault) = engine.fault(&request) {
            let _ = answer.send(Err(Refusal::invalid(fault)));
            continue;
        }
        requests.push(request);
        answers.push(answer);
    }
    if requests.is_empty() {
        return;
    }
    // Whatever an engine does wrong, the next request gets its chance.
    let made = catch_unwind(AssertUnwindSafe(|| engine.generate(&requests)));
    let images = match made {
        Ok(Ok(images)) if images.len() == answers.len() => images,
        Ok(Ok(images)) => {
            tracing::error!(
                asked = answers.len(),
                made = images.len(),
                "the engine failed"
            );
            return;
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the engine failed");
            return;
        }
        Err(_) => {
            tracing::error!("the engine panicked");
            return;
        }
    };
    for (answer, image) in answers.into_iter().zip(images) {
        let _ = answer.send(Ok(image));
    }
}
