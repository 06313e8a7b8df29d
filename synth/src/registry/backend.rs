//! An engine under a name, with its settings.

use super::options::EngineOptions;
use super::reference::EngineRef;
use crate::service::Address;
use crate::{Error, Result};

/// Longest name in bytes: it becomes the name of a folder.
const LONGEST: usize = 64;

/// An engine as a program is told to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    name: String,
    engine: EngineRef,
    options: EngineOptions,
}

impl Backend {
    /// An engine under its own name.
    ///
    /// # Errors
    /// Options that the engine does not have.
    pub fn new(engine: EngineRef, options: EngineOptions) -> Result<Self> {
        check_address(&engine)?;
        let name = engine.own_name();
        options.check(&name, &engine)?;
        Ok(Self {
            name,
            engine,
            options,
        })
    }

    /// An engine under a name that somebody gave it: letters, digits and `-_.`, the first of them a letter or digit. The name of a
    /// kind of engine is for engines of that kind.
    ///
    /// # Errors
    /// Another name, or options that the engine does not have.
    pub fn named(name: &str, engine: EngineRef, options: EngineOptions) -> Result<Self> {
        check_address(&engine)?;
        let fits = (1..=LONGEST).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !fits {
            return Err(Error::EngineSetting(format!(
                "an engine cannot be called {name:?}; use up to {LONGEST} letters, digits and -_. after a letter or digit"
            )));
        }
        let is_taken = EngineRef::KINDS.contains(&name) && name != engine.kind();
        if is_taken {
            return Err(Error::EngineSetting(format!(
                "the name {name} is for an engine {name}:.., and {engine} is another; choose another name"
            )));
        }
        options.check(name, &engine)?;
        Ok(Self {
            name: name.to_owned(),
            engine,
            options,
        })
    }

    /// The same with the options of `general` where its own say nothing and the engine takes them.
    ///
    /// # Errors
    /// Options that the engine does not have.
    pub fn over(self, general: &EngineOptions) -> Result<Self> {
        let options = self.options.over(general, &self.engine);
        options.check(&self.name, &self.engine)?;
        Ok(Self { options, ..self })
    }

    /// Its name: what rounds and records call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The engine.
    pub fn engine(&self) -> &EngineRef {
        &self.engine
    }

    /// Its settings.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Refuses two engines of one name, or of names that differ in case or punctuation alone, which would share a folder.
    ///
    /// # Errors
    /// Names both.
    pub fn check_names(backends: &[Self]) -> Result<()> {
        for (i, backend) in backends.iter().enumerate() {
            let folder = folder_name(&backend.name);
            let before = backends[..i].iter();
            if let Some(other) = before.rev().find(|b| folder_name(&b.name) == folder) {
                return Err(Error::EngineSetting(format!(
                    "two engines are called {} ({} and {}); give one of them another name in a [[backends]] table of promptfed.toml",
                    backend.name, other.engine, backend.engine
                )));
            }
        }
        Ok(())
    }
}

/// Refuses an address that holds a password, before any message repeats it.
fn check_address(engine: &EngineRef) -> Result<()> {
    if let EngineRef::Remote { address, .. } | EngineRef::A1111 { address, .. } = engine {
        Address::parse(address)?;
    }
    Ok(())
}

/// The folder of a backend of this name among others.
pub(crate) fn folder_name(name: &str) -> String {
    name.replace(':', "-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, engine: &str) -> Result<Backend> {
        Backend::named(name, engine.parse().unwrap(), EngineOptions::default())
    }

    #[test]
    fn names_are_safe_and_mean_what_they_say() {
        for name in ["big", "sd-1.5_x", "9", "sd"] {
            assert_eq!(named(name, "sd:x").unwrap().name(), name);
        }
        for name in [
            "", ".hidden", "-x", "a/b", "a b", "pocket", "remote", "\u{e9}",
        ] {
            assert!(named(name, "sd:x").is_err(), "{name}");
        }
        assert!(named(&"x".repeat(65), "sd:x").is_err());
    }

    #[test]
    fn engines_of_one_name_are_refused() {
        let own =
            |text: &str| Backend::new(text.parse().unwrap(), EngineOptions::default()).unwrap();
        Backend::check_names(&[own("pocket"), own("pocket:draw"), own("sd:x")]).unwrap();
        for (one, other) in [
            (own("sd:a"), own("sd:b")),
            (own("pocket"), own("pocket")),
            (named("X", "sd:a").unwrap(), named("x", "sd:b").unwrap()),
            (own("pocket:draw"), named("pocket-draw", "sd:b").unwrap()),
        ] {
            let told = Backend::check_names(&[one, other]).unwrap_err().to_string();
            assert!(told.contains("[[backends]]"), "{told}");
        }
    }
}
