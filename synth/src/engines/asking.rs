//! What engines behind a service have in common: asking for the images of a batch, together, and losing none that came.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_prompts::ContentHash;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::service::{ApiKey, Fault, Limits, Service, ServiceError};
use crate::{Error, Image, ImageRequest, Result};

/// A service that makes images, as a program is told to use it.
#[derive(Clone, Debug)]
pub struct ServiceEngine<'a> {
    /// What the engine is called in messages.
    pub name: &'a str,
    /// Where the service is.
    pub address: &'a str,
    /// The model it is asked for.
    pub model: Option<&'a str>,
    /// Its key.
    pub key: Option<ApiKey>,
    /// How much is asked of it.
    pub limits: Limits,
    /// Height and width of the images in pixels; the service's own, or 512, where `None`.
    pub size: Option<u32>,
    /// Height and width that the service is asked for; those of the images where `None`.
    pub ask_size: Option<u32>,
}

/// Height and width in pixels where nobody says them.
pub(super) const USUAL_SIZE: u32 = 512;

/// A service that is asked for images.
pub(super) struct Asking {
    pub(super) service: Service,
    name: String,
    cancel: Arc<AtomicBool>,
    /// Images of a batch that failed as a whole: the same batch, asked for again, has them already.
    come: HashMap<ContentHash, Image>,
}

impl Asking {
    pub(super) fn new(name: &str, service: Service, cancel: &Arc<AtomicBool>) -> Self {
        Self {
            service,
            name: name.to_owned(),
            cancel: Arc::clone(cancel),
            come: HashMap::new(),
        }
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ServiceError> {
        self.service.get(path, &self.cancel)
    }

    /// Posts what is answered by nothing that is needed.
    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> Result<()> {
        let answer: Result<Value, ServiceError> = self.service.post(path, body, &self.cancel);
        answer.map(drop).map_err(|error| self.failed(error))
    }

    pub(super) fn fetch(&self, address: &str) -> Result<Vec<u8>> {
        let bytes = self.service.fetch(address, &self.cancel);
        bytes.map_err(|error| self.failed(error))
    }

    /// The images of requests, each posted to `path` as `body` and taken out of its answer by `read`.
    pub(super) fn images<T: DeserializeOwned>(
        &mut self,
        path: &str,
        requests: &[ImageRequest],
        body: impl Fn(&ImageRequest) -> Value,
        read: impl Fn(&Self, &ImageRequest, T) -> Result<Image>,
    ) -> Result<Vec<Image>> {
        let missing: Vec<&ImageRequest> = requests
            .iter()
            .filter(|request| !self.come.contains_key(&key(request)))
            .collect();
        let bodies: Vec<Value> = missing.iter().map(|request| body(request)).collect();
        let answers = self.service.post_each::<T>(path, &bodies, &self.cancel);
        let mut fault = None;
        for (request, answer) in missing.into_iter().zip(answers) {
            let image = answer
                .map_err(|error| self.failed(error))
                .and_then(|answer| read(self, request, answer));
            match image {
                Ok(image) => drop(self.come.insert(key(request), image)),
                Err(error) => fault = Some(graver(fault, error)),
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        let mut come = std::mem::take(&mut self.come);
        // Two requests of a batch may be the same.
        let images = requests.iter().enumerate().map(|(i, request)| {
            let key = key(request);
            let again = requests[i + 1..].contains(request);
            let image = if again {
                come.get(&key).cloned()
            } else {
                come.remove(&key)
            };
            image.ok_or_else(|| self.fault("gave no image for a request".into()))
        });
        images.collect()
    }

    /// A service's failure as that of this engine.
    pub(super) fn failed(&self, error: ServiceError) -> Error {
        if error.is_cancelled() {
            return Error::Cancelled;
        }
        Error::Backend {
            engine: self.name.clone(),
            transient: error.is_transient(),
            reason: format!("failed: {error}"),
        }
    }

    /// An answer that cannot be used.
    pub(super) fn fault(&self, reason: String) -> Error {
        Error::Backend {
            engine: self.name.clone(),
            reason,
            transient: false,
        }
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("name", &self.name)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// Whether nothing is known at the path that was asked.
pub(super) fn is_missing(error: &ServiceError) -> bool {
    matches!(
        error.fault,
        Fault::Status {
            status: 404 | 405 | 501,
            ..
        }
    )
}

/// A cancelled batch is cancelled whatever else went wrong, and one that cannot succeed is not tried again.
fn graver(one: Option<Error>, other: Error) -> Error {
    let gravity = |error: &Error| match error {
        Error::Cancelled => 2,
        Error::Backend {
            transient: true, ..
        } => 0,
        _ => 1,
    };
    match one {
        Some(one) if gravity(&one) >= gravity(&other) => one,
        _ => other,
    }
}

fn key(request: &ImageRequest) -> ContentHash {
    ContentHash::of(format!("{request:?}").as_bytes())
}
