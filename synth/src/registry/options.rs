//! How an engine works, beside what it is.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::reference::EngineRef;
use crate::engines::DeviceKind;
use crate::engines::remote::Told;
use crate::service::{ApiKey, Limits, Retry};
use crate::{Error, Result};

/// Settings of one engine; what is not given is the engine's own. The keys of a `[[backends]]` table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EngineOptions {
    /// Where its networks run. Of `pocket` and `sd`.
    pub device: Option<DeviceKind>,
    /// Images made together: in one call of `sd`'s networks, or between two writes to disk. Of every engine.
    pub batch: Option<usize>,
    /// Height and width of the images in pixels. Of `sd`, `remote` and `a1111`.
    pub size: Option<u32>,
    /// The environment variable with the service's key. This and the others that follow: of `remote` and `a1111`.
    pub key_env: Option<String>,
    /// The file with the service's key.
    pub key_file: Option<PathBuf>,
    /// Height and width that the service is asked for, where they are not those of the images; what comes is made smaller or larger.
    pub ask_size: Option<u32>,
    /// What the service is told beside the prompt; for a server of this program everything.
    pub tell: Option<Vec<Told>>,
    /// Requests begun in a minute.
    pub per_minute: Option<u32>,
    /// Requests on their way at the same time.
    pub concurrent: Option<usize>,
    /// Longest time of one request in seconds.
    pub timeout: Option<u64>,
    /// Tries of one request.
    pub tries: Option<u32>,
    /// Longest pause between tries in seconds.
    pub longest_pause: Option<u64>,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

impl KeySource {
    /// Reads the key.
    ///
    /// # Errors
    /// As [`ApiKey::from_env`] and [`ApiKey::from_file`].
    pub fn read(&self) -> Result<ApiKey> {
        match self {
            Self::Env(variable) => ApiKey::from_env(variable),
            Self::File(file) => ApiKey::from_file(file),
        }
    }
}

impl EngineOptions {
    /// These options, with those of `general` where they say nothing and the engine takes them.
    #[must_use]
    pub fn over(self, general: &Self, engine: &EngineRef) -> Self {
        let is_service = engine.is_service();
        let sized = is_service || matches!(engine, EngineRef::Sd(_));
        let no_key = self.key_env.is_none() && self.key_file.is_none();
        Self {
            device: self.device.or(general.device.filter(|_| !is_service)),
            batch: self.batch.or(general.batch),
            size: self.size.or(general.size.filter(|_| sized)),
            key_env: self
                .key_env
                .or_else(|| general.key_env.clone().filter(|_| is_service && no_key)),
            key_file: self
                .key_file
                .or_else(|| general.key_file.clone().filter(|_| is_service && no_key)),
            ..self
        }
    }

    /// Where the key is.
    ///
    /// # Errors
    /// Two places.
    pub fn key(&self) -> Result<Option<KeySource>> {
        match (&self.key_env, &self.key_file) {
            (Some(_), Some(_)) => Err(Error::Spec(
                "the key is in an environment variable and in a file; name one of them".into(),
            )),
            (Some(variable), None) => Ok(Some(KeySource::Env(variable.clone()))),
            (None, Some(file)) => Ok(Some(KeySource::File(file.clone()))),
            (None, None) => Ok(None),
        }
    }

    /// The limits of a service; `seed` decides the pauses between tries.
    pub fn limits(&self, seed: u64) -> Limits {
        let own = Limits::default();
        let whole = self.timeout.map_or(own.whole, Duration::from_secs);
        Limits {
            whole,
            silence: self.timeout.map_or(own.silence, |_| whole),
            per_minute: self.per_minute,
            concurrent: self.concurrent.unwrap_or(own.concurrent),
            retry: Retry {
                attempts: self.tries.unwrap_or(own.retry.attempts),
                longest_pause: self
                    .longest_pause
                    .map_or(own.retry.longest_pause, Duration::from_secs),
                ..own.retry
            },
            seed,
            ..own
        }
    }

    /// Refuses options that the engine does not have, and numbers that make no sense.
    ///
    /// # Errors
    /// Names the option and the remedy.
    pub(super) fn check(&self, name: &str, engine: &EngineRef) -> Result<()> {
        let is_service = engine.is_service();
        let sized = is_service || matches!(engine, EngineRef::Sd(_));
        let idle = [
            ("device", self.device.is_some() && is_service),
            ("size", self.size.is_some() && !sized),
            ("key-env", self.key_env.is_some() && !is_service),
            ("key-file", self.key_file.is_some() && !is_service),
            ("ask-size", self.ask_size.is_some() && !is_service),
            (
                "tell",
                self.tell.is_some() && !matches!(engine, EngineRef::Remote { .. }),
            ),
            ("per-minute", self.per_minute.is_some() && !is_service),
            ("concurrent", self.concurrent.is_some() && !is_service),
            ("timeout", self.timeout.is_some() && !is_service),
            ("tries", self.tries.is_some() && !is_service),
            ("longest-pause", self.longest_pause.is_some() && !is_service),
        ];
        let idle: Vec<&str> = idle
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        if !idle.is_empty() {
            return Err(Error::Spec(format!(
                "the engine {name} ({}) has no {}; leave it out",
                engine.kind(),
                idle.join(", ")
            )));
        }
        let zero = [
            ("batch", self.batch == Some(0)),
            ("size", self.size == Some(0)),
            ("ask-size", self.ask_size == Some(0)),
            ("per-minute", self.per_minute == Some(0)),
            ("concurrent", self.concurrent == Some(0)),
            ("timeout", self.timeout == Some(0)),
            ("tries", self.tries == Some(0)),
        ];
        match zero.iter().find(|(_, is)| *is) {
            Some((option, _)) => Err(Error::Spec(format!(
                "{option} of the engine {name} is 0; give 1 or more"
            ))),
            None => self.key().map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(text: &str) -> EngineRef {
        text.parse().unwrap()
    }

    #[test]
    fn an_engine_takes_what_is_general_where_it_has_it() {
        let general = EngineOptions {
            device: Some(DeviceKind::Cuda),
            size: Some(64),
            key_env: Some("KEY".into()),
            ..EngineOptions::default()
        };
        for (name, device, size, key) in [
            ("pocket", true, false, false),
            ("sd:x", true, true, false),
            ("remote:http://h/v1", false, true, true),
        ] {
            let options = EngineOptions::default().over(&general, &engine(name));
            let has = (
                options.device.is_some(),
                options.size.is_some(),
                options.key_env.is_some(),
            );
            assert_eq!(has, (device, size, key), "{name}");
            options.check(name, &engine(name)).unwrap();
        }
        let own = EngineOptions {
            key_file: Some("file".into()),
            size: Some(32),
            ..EngineOptions::default()
        };
        let options = own.over(&general, &engine("remote:http://h/v1"));
        assert_eq!((options.key_env, options.size), (None, Some(32)));
    }

    #[test]
    fn options_of_other_engines_and_impossible_ones_are_refused() {
        let check = |change: fn(&mut EngineOptions), name: &str| {
            let mut options = EngineOptions::default();
            change(&mut options);
            options.check("x", &engine(name)).unwrap_err().to_string()
        };
        assert!(check(|o| o.size = Some(64), "pocket").contains("has no size"));
        assert!(check(|o| o.concurrent = Some(2), "sd:x").contains("has no concurrent"));
        assert!(check(|o| o.device = Some(DeviceKind::Cpu), "a1111:http://h").contains("device"));
        assert!(check(|o| o.batch = Some(0), "pocket").contains("batch of the engine x is 0"));
        let two = |o: &mut EngineOptions| {
            o.key_env = Some("A".into());
            o.key_file = Some("b".into());
        };
        assert!(check(two, "remote:http://h").contains("name one of them"));
    }
}
