//! The text-to-image engines of a command.

use super::fusion::NETWORK;
use super::{data, idle};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs};
use indicatif::ProgressBar;
use promptfed_prompts::protocol::SourcePlan;
use promptfed_synth::engines::DeviceKind;
use promptfed_synth::engines::sd::Precision;
use promptfed_synth::registry::{Backend, EngineOptions, EngineRef, Engines, Prepared, Setup};
use std::ffi::OsString;
use std::path::PathBuf;

/// Which engines, and how they work.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct EngineArgs {
    /// A text-to-image engine; may be given several times. pocket, pocket:photo, pocket:draw, pocket:DIR (bundled, small);
    /// sd:DIR, sd:OWNER/NAME[@REVISION] (Stable Diffusion); remote:URL[#MODEL] (`promptfed synth serve` of another machine, or
    /// whatever speaks OpenAI's images/generations); a1111:URL[#MODEL]; or a name of a [[backends]] table in promptfed.toml
    /// [default: pocket]
    #[arg(long, value_name = "NAME[:ARG]")]
    engine: Vec<String>,
    /// Where the networks of pocket and sd run: cpu or cuda [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Images between two writes to disk, and for sd made together [default: pocket 64, sd 1, others 16]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Height and width of the images of sd, remote and a1111 in pixels [default: the model's; 512 where a server does not say]
    #[arg(long, value_name = "PIXELS")]
    size: Option<u32>,
    /// The environment variable that holds the key of remote and a1111 engines
    #[arg(long, value_name = "VARIABLE", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// The file that holds the key of remote and a1111 engines
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// The flags about engines.
pub(super) const ENGINE_FLAGS: [&str; 6] =
    ["engine", "device", "batch", "size", "key_env", "key_file"];

impl EngineArgs {
    /// These engines, as they are named.
    pub(crate) fn of(engines: Vec<String>) -> Self {
        Self {
            engine: engines,
            ..Self::default()
        }
    }

    /// Whether an engine is named.
    pub(super) fn is_named(&self) -> bool {
        !self.engine.is_empty()
    }

    /// The same settings of this engine alone.
    pub(super) fn with(&self, engine: &str) -> Self {
        Self {
            engine: vec![engine.to_owned()],
            ..self.clone()
        }
    }

    /// The flags and their values, as for the command line of another process.
    pub(super) fn flags(&self) -> Vec<OsString> {
        let mut flags = Vec::new();
        let mut add = |flag: &str, value: OsString| flags.extend([flag.into(), value]);
        for engine in &self.engine {
            add("--engine", engine.into());
        }
        if let Some(device) = self.device {
            let device = match device {
                DeviceKind::Cpu => "cpu",
                DeviceKind::Cuda => "cuda",
            };
            add("--device", device.into());
        }
        if let Some(batch) = self.batch {
            add("--batch", batch.to_string().into());
        }
        if let Some(size) = self.size {
            add("--size", size.to_string().into());
        }
        if let Some(variable) = &self.key_env {
            add("--key-env", variable.into());
        }
        if let Some(file) = &self.key_file {
            add("--key-file", file.into());
        }
        flags
    }

    /// The engines with their settings.
    pub(crate) fn backends(&self, context: &Context) -> Result<Vec<Backend>> {
        let general = EngineOptions {
            device: self.device,
            batch: self.batch,
            size: self.size,
            key_env: self.key_env.clone(),
            key_file: self.key_file.clone(),
            ..EngineOptions::default()
        };
        let named = |name: &String| -> Result<Backend> {
            if let Some(backend) = context.backends.iter().find(|b| b.name() == name) {
                return Ok(backend.clone().over(&general)?);
            }
            let engine: EngineRef = name.parse().map_err(|reason: String| {
                let names: Vec<&str> = context.backends.iter().map(Backend::name).collect();
                let own = match names.join(", ") {
                    names if names.is_empty() => String::new(),
                    names => format!("; the [[backends]] of the configuration are {names}"),
                };
                anyhow::Error::msg(format!("--engine {name}: {reason}{own}")).context(BadInput)
            })?;
            let options = EngineOptions::default().over(&general, &engine);
            Ok(Backend::new(engine, options)?)
        };
        let backends = if self.engine.is_empty() {
            let engine = EngineRef::default();
            let options = EngineOptions::default().over(&general, &engine);
            vec![Backend::new(engine, options)?]
        } else {
            self.engine.iter().map(named).collect::<Result<Vec<_>>>()?
        };
        Backend::check_names(&backends)?;
        self.refuse_idle(&backends)?;
        Ok(backends)
    }

    /// The engines, with their models downloaded and their keys read.
    pub(crate) fn prepare(&self, seed: u64, context: &Context) -> Result<Vec<Prepared>> {
        let assets = data::assets().ok();
        let mut bar: Option<ProgressBar> = None;
        let mut prepared = Vec::new();
        for backend in self.backends(context)? {
            let mut setup = Setup {
                assets: assets.as_deref(),
                precision: Precision::chosen(),
                seed,
                progress: &mut |progress| {
                    let bar = bar.get_or_insert_with(|| context.progress.bar("downloading", 1));
                    bar.set_length(progress.total);
                    bar.set_position(progress.done);
                    bar.set_message(progress.file.clone());
                },
            };
            let engine = backend.prepare(&mut setup)?;
            for warning in engine.warnings() {
                eprintln!("warning: {warning}");
            }
            prepared.push(engine);
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(prepared)
    }

    /// Refuses flags that none of the engines takes.
    fn refuse_idle(&self, backends: &[Backend]) -> Result<()> {
        let with_key: Vec<&str> = backends
            .iter()
            .filter(|b| b.engine().is_service())
            .filter(|b| {
                let options = b.options();
                options.key_env == self.key_env && options.key_file == self.key_file
            })
            .map(Backend::name)
            .collect();
        if (self.key_env.is_some() || self.key_file.is_some()) && with_key.len() > 1 {
            let text = format!(
                "one key would be sent to {}; give each its own in a [[backends]] table of promptfed.toml",
                with_key.join(" and ")
            );
            return Err(anyhow::Error::msg(text).context(BadInput));
        }
        let any = |takes: fn(&EngineRef) -> bool| backends.iter().any(|b| takes(b.engine()));
        let (services, own) = (any(EngineRef::is_service), any(|e| !e.is_service()));
        let sized = services || any(|e| matches!(e, EngineRef::Sd(_)));
        let idle = [
            ("--device", self.device.is_some() && !own, "pocket or sd"),
            (
                "--size",
                self.size.is_some() && !sized,
                "sd, remote or a1111",
            ),
            (
                "--key-env",
                self.key_env.is_some() && !services,
                "remote or a1111",
            ),
            (
                "--key-file",
                self.key_file.is_some() && !services,
                "remote or a1111",
            ),
        ];
        match idle.iter().find(|(_, is_idle, _)| *is_idle) {
            None => Ok(()),
            Some((flag, _, engines)) => {
                let text = format!(
                    "{flag} has no effect without --engine {engines}; leave it out, or name such an engine"
                );
                Err(anyhow::Error::msg(text).context(BadInput))
            }
        }
    }
}

/// The engines of a server.
pub(super) fn engines(prepared: Vec<Prepared>) -> Engines {
    let with = |engines: Engines, engine| engines.with_prepared(engine);
    let engines = prepared.into_iter().fold(Engines::new(), with);
    match data::assets() {
        Ok(assets) => engines.with_network(assets.join(NETWORK)),
        // A server without the program's assets refuses the rounds that need it.
        Err(_) => engines,
    }
}

/// The templates whose words suit the engine that a round calls so: one of the configuration, or one whose name says what it is; of another, and
/// of none, those of the bundled generator.
pub(super) fn templates_of(name: Option<&str>, context: &Context) -> &'static str {
    let Some(name) = name else {
        return EngineRef::default().templates();
    };
    match context.backends.iter().find(|b| b.name() == name) {
        Some(backend) => backend.engine().templates(),
        None => EngineRef::templates_of(name).unwrap_or(EngineRef::default().templates()),
    }
}

/// The templates whose words suit the first of these engines; of none, those of the bundled generator.
pub(super) fn templates_of_first(prepared: &[Prepared]) -> &'static str {
    let first = prepared.first().map(|engine| engine.backend().engine());
    first.map_or(EngineRef::default().templates(), EngineRef::templates)
}

/// What a round asks of engines of these names: the same of each.
pub(super) fn sources<'a>(names: impl Iterator<Item = &'a str>) -> Vec<SourcePlan> {
    names.map(SourcePlan::new).collect()
}

/// Refuses the flags about engines where none is asked; `reason` says why.
pub(super) fn refuse_all(matches: &ArgMatches, reason: &str) -> Result<()> {
    idle::refuse(matches, &ENGINE_FLAGS, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    #[test]
    fn templates_suit_the_engine_that_is_named() {
        let engine = "sd:models/sd15".parse().unwrap();
        let big = Backend::named("big", engine, EngineOptions::default()).unwrap();
        let context = Context {
            json: false,
            progress: Progress::new(true),
            backends: vec![big],
        };
        for (name, templates) in [
            (None, "pocket"),
            (Some("pocket:draw"), "pocket"),
            (Some("sd"), "photo"),
            (Some("remote"), "photo"),
            (Some("big"), "photo"),
            (Some("of-another-machine"), "pocket"),
        ] {
            assert_eq!(templates_of(name, &context), templates, "{name:?}");
        }
        assert_eq!(templates_of_first(&[]), "pocket");
    }
}
