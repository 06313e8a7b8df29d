//! Settings from a TOML file, placed under the flags of the command line and over the built-in defaults.
//!
//! Each table of the file is named after a command and its keys after the command's long flags:
//!
//! ```toml
//! [synth]
//! steps = 12
//! guidance = "1.5..3"
//!
//! [round.open]
//! server = "http://127.0.0.1:7878"
//! ```
//!
//! Engines with settings of their own stand in `[[backends]]` tables: `name`, `engine` (as of `--engine`), and the options of
//! [`EngineOptions`]. Commands find them by name.
//!
//! A key becomes the flag of the same name unless the command line already gives that flag, so that there is one
//! definition, one validation and one help text for each setting.

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, Command};
use promptfed_synth::registry::{Backend, EngineOptions, EngineRef};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// File read from the current folder when `--config` is not given.
pub(crate) const DEFAULT_FILE: &str = "promptfed.toml";

/// The longest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What the configuration and the command line come to.
pub(crate) struct Settings {
    /// The command line with the settings of the file.
    pub(crate) args: Vec<OsString>,
    /// The engines of the file.
    pub(crate) backends: Vec<Backend>,
    /// The flags that the file gave.
    pub(crate) taken: Vec<Taken>,
}

/// A flag that a configuration file gave.
pub(crate) struct Taken {
    /// The flag, with its dashes.
    flag: String,
    file: PathBuf,
    /// Of the file, from 1.
    line: usize,
}

impl Taken {
    /// Whether it is the flag that an argument is named after: `--steps <N>`.
    pub(crate) fn is(&self, argument: &str) -> bool {
        argument.split([' ', '=']).next() == Some(self.flag.as_str())
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flag, file, line } = self;
        write!(f, "{flag} stands in {}, line {line}", file.display())
    }
}

impl Settings {
    fn of(args: Vec<OsString>) -> Self {
        Self {
            args,
            backends: Vec::new(),
            taken: Vec::new(),
        }
    }
}

/// Returns `args` of the built command `root` with the settings of the configuration file inserted behind the subcommand.
///
/// # Errors
/// If the file cannot be read or parsed, or names a command or a flag that does not exist.
pub(crate) fn merge(args: Vec<OsString>, root: &Command) -> Result<Settings> {
    if asks_for_help(&args) {
        return Ok(Settings::of(args));
    }
    let Some(file) = file_of(&args) else {
        return Ok(Settings::of(args));
    };
    let text = promptfed_files::read_text(&file, MAX_BYTES)?;
    let mut table: Table = text
        .parse()
        .with_context(|| format!("{} is not valid TOML", file.display()))?;
    let backends = match table.remove("backends") {
        Some(entries) => backends(entries).with_context(|| file.display().to_string())?,
        None => Vec::new(),
    };
    let source = Source { file, text };
    check_commands(&table, root, &source)?;
    let (args, taken) = fill_in(args, root, table, &source)?;
    Ok(Settings {
        args,
        backends,
        taken,
    })
}

/// The configuration file that is read for a command line, if any.
pub(crate) fn file_of(args: &[OsString]) -> Option<PathBuf> {
    if args.iter().any(|arg| arg == "--no-config") {
        return None;
    }
    let default = || {
        Path::new(DEFAULT_FILE)
            .is_file()
            .then(|| DEFAULT_FILE.into())
    };
    given_file(args).or_else(default)
}

/// The settings of a configuration file, each as its table and key, with its line. Values are not told: some are secrets.
///
/// # Errors
/// A file that cannot be read, or is not valid TOML.
pub(crate) fn settings_in(file: &Path) -> Result<Vec<(String, usize)>> {
    let text = promptfed_files::read_text(file, MAX_BYTES)?;
    let table: Table = text
        .parse()
        .with_context(|| format!("{} is not valid TOML", file.display()))?;
    let source = Source {
        file: file.to_owned(),
        text,
    };
    let mut found = Vec::new();
    list_settings(&table, &mut Vec::new(), &source, &mut found);
    Ok(found)
}

fn list_settings<'a>(
    table: &'a Table,
    path: &mut Vec<&'a str>,
    source: &Source,
    found: &mut Vec<(String, usize)>,
) {
    for (key, value) in table {
        path.push(key);
        match value {
            Value::Table(inner) => list_settings(inner, path, source, found),
            _ => found.push((path.join("."), source.line(path))),
        }
        path.pop();
    }
}

/// The text of a configuration file.
struct Source {
    file: PathBuf,
    text: String,
}

impl Source {
    /// The line of a key in nested tables, from 1; the first where it is not found.
    fn line(&self, path: &[&str]) -> usize {
        let found = DeTable::parse(&self.text).ok().and_then(|whole| {
            let (mut table, mut at) = (whole.get_ref(), 0);
            for (depth, name) in path.iter().enumerate() {
                let mut keys = table.iter();
                let (key, value) = keys.find(|(key, _)| key.get_ref() == name)?;
                at = key.span().start;
                if depth + 1 < path.len() {
                    match value.get_ref() {
                        DeValue::Table(inner) => table = inner,
                        _ => return None,
                    }
                }
            }
            Some(at)
        });
        let before = self.text.get(..found.unwrap_or(0)).unwrap_or_default();
        1 + before.matches('\n').count()
    }

    /// The file and the line of a key.
    fn place(&self, path: &[&str]) -> String {
        format!("{}, line {}", self.file.display(), self.line(path))
    }
}

/// The command line with the settings of a file's table.
fn fill_in(
    args: Vec<OsString>,
    root: &Command,
    mut table: Table,
    source: &Source,
) -> Result<(Vec<OsString>, Vec<Taken>)> {
    let (mut command, mut at) = (root, 1);
    let mut names: Vec<&str> = Vec::new();
    while let Some((index, sub)) = next_subcommand(&args, at, command) {
        (command, at) = (sub, index + 1);
        names.push(sub.get_name());
        table = match table.remove(sub.get_name()) {
            Some(Value::Table(inner)) => inner,
            _ => return Ok((args, Vec::new())),
        };
    }
    if at == 1 {
        return Ok((args, Vec::new()));
    }
    let path = names.join(" ");
    let (mut inserted, mut taken) = (Vec::new(), Vec::new());
    for (key, value) in &table {
        if ["config", "no-config"].contains(&key.as_str()) {
            bail!(
                "{}: `{key}` says which file is read, and stands on the command line alone",
                source.place(&[&names[..], &[key]].concat())
            );
        }
        let Some(arg) = command.get_arguments().find(|a| a.get_long() == Some(key)) else {
            if command.find_subcommand(key).is_some() {
                continue;
            }
            bail!(
                "{}: `{key}` is no flag of `promptfed {path}`; `promptfed {path} --help` lists them",
                source.place(&[&names[..], &[key]].concat())
            );
        };
        let opposite = opposite(command, key);
        let overruled = command
            .get_arguments()
            .filter(|other| {
                other.get_id() == arg.get_id()
                    || exclude_each_other(command, arg, other)
                    || other.get_long() == opposite.as_deref() && opposite.is_some()
            })
            .any(|other| is_given(&args, other) || is_in_environment(other));
        if !overruled {
            let line = source.line(&[&names[..], &[key]].concat());
            taken.push(Taken {
                flag: format!("--{key}"),
                file: source.file.clone(),
                line,
            });
            if let (Value::Boolean(false), Some(other)) = (value, opposite) {
                inserted.push(format!("--{other}").into());
                continue;
            }
            inserted.extend(as_flags(arg, key, value).with_context(|| {
                let file = source.file.display();
                format!("{file}, line {line}: `{key}` of `promptfed {path}`")
            })?);
        }
    }
    let mut merged = args;
    merged.splice(at..at, inserted);
    Ok((merged, taken))
}

/// The engines of `[[backends]]`.
fn backends(entries: Value) -> Result<Vec<Backend>> {
    let Value::Array(entries) = entries else {
        bail!("`backends` is a list of tables: write [[backends]] with two brackets on each side");
    };
    let mut backends: Vec<Backend> = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        let Value::Table(mut table) = entry else {
            bail!(
                "entry {number} of `backends` is no table: write [[backends]] and its keys below it"
            );
        };
        let mut text = |key: &str| match table.remove(key) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => bail!("`{key}` of [[backends]] {number} is no text; write it in quotes"),
            None => {
                bail!("[[backends]] {number} has no `{key}`; every one has `name` and `engine`")
            }
        };
        let (name, engine) = (text("name")?, text("engine")?);
        let place = || format!("[[backends]] {name}");
        let engine: EngineRef = engine
            .parse()
            .map_err(anyhow::Error::msg)
            .with_context(place)?;
        let options: EngineOptions = table.try_into().with_context(place)?;
        let backend = Backend::named(&name, engine, options).with_context(place)?;
        if backends.iter().any(|other| other.name() == name) {
            bail!("two [[backends]] are called {name}; give each a name of its own");
        }
        backends.push(backend);
    }
    Ok(backends)
}

fn given_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|a| a.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

fn check_commands(table: &Table, root: &Command, source: &Source) -> Result<()> {
    for (name, value) in table {
        if root.find_subcommand(name).is_none() || !value.is_table() {
            let known: Vec<_> = root.get_subcommands().map(Command::get_name).collect();
            bail!(
                "{}: `{name}` stands at the top, where only [[backends]] and the tables of commands may stand: {}",
                source.place(&[name]),
                known.join(", ")
            );
        }
    }
    Ok(())
}

/// The first argument from `from` on that names a subcommand of `command`.
fn next_subcommand<'a>(
    args: &[OsString],
    from: usize,
    command: &'a Command,
) -> Option<(usize, &'a Command)> {
    let mut index = from;
    while let Some(arg) = args.get(index) {
        let text = arg.to_str()?;
        if text.starts_with('-') {
            index += if takes_the_next(command, text) { 2 } else { 1 };
        } else {
            return command.find_subcommand(text).map(|sub| (index, sub));
        }
    }
    None
}

/// Whether the value of a flag is the argument behind it.
fn takes_the_next(command: &Command, flag: &str) -> bool {
    let is_it = |arg: &&Arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        [long, short].into_iter().flatten().any(|name| name == flag)
    };
    let found = command.get_arguments().find(is_it);
    found.is_some_and(|arg| arg.get_action().takes_values())
}

fn exclude_each_other(command: &Command, one: &Arg, other: &Arg) -> bool {
    let excludes = |a: &Arg, b: &Arg| {
        let excluded = command.get_arg_conflicts_with(a);
        excluded.iter().any(|e| e.get_id() == b.get_id())
    };
    excludes(one, other) || excludes(other, one)
}

fn is_given(args: &[OsString], arg: &Arg) -> bool {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    args.iter().filter_map(|a| a.to_str()).any(|a| {
        let rest = long.as_ref().and_then(|long| a.strip_prefix(long.as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            || short.as_ref().is_some_and(|short| a == short)
    })
}

/// Whether an environment variable gives the flag, which wins over a file.
fn is_in_environment(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| !value.is_empty())
}

/// Whether only words about the program are asked for, which no configuration can change.
fn asks_for_help(args: &[OsString]) -> bool {
    args.iter()
        .any(|a| a == "--help" || a == "-h" || a == "--version" || a == "-V")
        || args.get(1).is_some_and(|a| a == "help")
}

/// The flag that says of a switch that is off what `--no-KEY` (or `--KEY` for it) says, where there is such a pair.
fn opposite(command: &Command, key: &str) -> Option<String> {
    let other = key
        .strip_prefix("no-")
        .map_or_else(|| format!("no-{key}"), str::to_owned);
    let is_there = |arg: &Arg| arg.get_long() == Some(other.as_str());
    command.get_arguments().any(is_there).then_some(other)
}

/// The flags of a built command that a key and its value stand for.
///
/// # Errors
/// If the command has no such flag, or the flag takes no such value.
pub(crate) fn flags_of(command: &Command, key: &str, value: &Value) -> Result<Vec<OsString>> {
    let name = command.get_name();
    let found = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(key));
    let Some(arg) = found else {
        bail!("`{key}` is no flag of `promptfed {name}`; `promptfed {name} --help` lists them");
    };
    if let (Value::Boolean(false), Some(other)) = (value, opposite(command, key)) {
        return Ok(vec![format!("--{other}").into()]);
    }
    as_flags(arg, key, value).with_context(|| format!("`{key}`"))
}

fn as_flags(arg: &Arg, key: &str, value: &Value) -> Result<Vec<OsString>> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            other => bail!("is a switch: give true or false, not {other}"),
        };
    }
    let one = |value: &Value| -> Result<OsString> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
            other => bail!("cannot take {other}"),
        };
        Ok(format!("--{key}={text}").into())
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let mut root = Command::new("promptfed")
            .arg(Arg::new("config").long("config").global(true))
            .arg(Arg::new("precision").long("precision").global(true))
            .arg(
                Arg::new("json")
                    .long("json")
                    .global(true)
                    .action(ArgAction::SetTrue),
            )
            .subcommand(
                Command::new("train")
                    .arg(
                        Arg::new("flip")
                            .long("flip")
                            .action(ArgAction::SetTrue)
                            .overrides_with("no_flip"),
                    )
                    .arg(
                        Arg::new("no_flip")
                            .long("no-flip")
                            .action(ArgAction::SetTrue)
                            .overrides_with("flip"),
                    ),
            )
            .subcommand(
                Command::new("synth")
                    .arg(Arg::new("steps").long("steps"))
                    .arg(Arg::new("path").long("path").env("PATH"))
                    .arg(
                        Arg::new("token")
                            .long("token")
                            .env("PROMPTFED_NO_SUCH_VARIABLE"),
                    )
                    .arg(Arg::new("seed").long("seed").action(ArgAction::Append))
                    .arg(Arg::new("images").long("images").conflicts_with("steps")),
            )
            .subcommand(
                Command::new("round")
                    .subcommand(Command::new("open").arg(Arg::new("server").long("server"))),
            );
        root.build();
        root
    }

    fn merged(toml: &str, args: &[&str]) -> Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs_err::write(&file, toml).unwrap();
        let mut all: Vec<OsString> = vec!["promptfed".into(), "--config".into(), file.into()];
        all.extend(args.iter().map(OsString::from));
        let out = merge(all, &root())?.args;
        Ok(out[3..]
            .iter()
            .map(|a| a.to_str().unwrap().to_owned())
            .collect())
    }

    #[test]
    fn file_fills_in_and_flags_win() {
        let toml = "[synth]\nsteps = 8\nseed = [1, 2]\njson = true";
        assert_eq!(
            merged(toml, &["synth"]).unwrap(),
            ["synth", "--json", "--seed=1", "--seed=2", "--steps=8"]
        );
        assert_eq!(
            merged(toml, &["synth", "--steps", "3", "--seed=9"]).unwrap(),
            ["synth", "--json", "--steps", "3", "--seed=9"]
        );
    }

    #[test]
    fn flags_before_the_command_do_not_hide_it() {
        let toml = "[synth]\nsteps = 8";
        for before in [
            &["--precision", "f32"][..],
            &["--precision=f32"],
            &["--json"],
        ] {
            let args = [before, &["synth"]].concat();
            let all = merged(toml, &args).unwrap();
            assert_eq!(all.last().unwrap(), "--steps=8", "{before:?}");
        }
        let args = ["--no-config", "synth"];
        assert_eq!(merged(toml, &args).unwrap(), args);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let toml = "[synth]\npath = \"of the file\"\ntoken = \"t\"";
        // There is a PATH wherever tests run.
        assert_eq!(merged(toml, &["synth"]).unwrap(), ["synth", "--token=t"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (toml, line, part) in [
            (
                "[synth]\nsteps = 8\nstep = 9\n",
                3,
                "`step` is no flag of `promptfed synth`",
            ),
            (
                "# mine\n\n[sinth]\nsteps = 8\n",
                3,
                "`sinth` stands at the top",
            ),
            ("[synth]\njson = \"yes\"\n", 2, "true or false"),
            (
                "[round]\n[round.open]\nservr = \"x\"\n",
                3,
                "`servr` is no flag of `promptfed round open`",
            ),
        ] {
            let command: &[&str] = if toml.contains("round") {
                &["round", "open"]
            } else {
                &["synth"]
            };
            let told = format!("{:#}", merged(toml, command).unwrap_err());
            assert!(
                told.contains(&format!("c.toml, line {line}: ")) && told.contains(part),
                "{told}"
            );
        }
    }

    #[test]
    fn a_flag_of_the_file_is_known_by_its_argument() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs_err::write(&file, "[synth]\n\nsteps = 8").unwrap();
        let args = ["promptfed", "--config", file.to_str().unwrap(), "synth"];
        let taken = merge(args.map(OsString::from).into(), &root())
            .unwrap()
            .taken;
        assert_eq!(taken.len(), 1);
        assert!(taken[0].is("--steps <N>") && !taken[0].is("--step <N>"));
        let told = taken[0].to_string();
        assert!(
            told.starts_with("--steps stands in ") && told.ends_with(", line 3"),
            "{told}"
        );
    }

    #[test]
    fn every_encoding_of_editors_reads_alike() {
        let toml = "[synth]\r\nsteps = 8\r\n";
        let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text = format!("\u{feff}{toml}");
            text.encode_utf16().flat_map(unit).collect()
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        for bytes in [
            toml.as_bytes().to_vec(),
            format!("\u{feff}{toml}").into_bytes(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ] {
            fs_err::write(&file, bytes).unwrap();
            let args = ["promptfed", "--config", file.to_str().unwrap(), "synth"];
            let merged = merge(args.map(OsString::from).into(), &root()).unwrap();
            assert_eq!(merged.args.last().unwrap(), "--steps=8");
        }
    }

    #[test]
    fn a_flag_overrules_the_settings_it_excludes() {
        let toml = "[synth]\nsteps = 8";
        let args = ["synth", "--images", "3"];
        assert_eq!(merged(toml, &args).unwrap(), args);
        let toml = "[synth]\nimages = 3";
        let args = ["synth", "--steps", "8"];
        assert_eq!(merged(toml, &args).unwrap(), args);
    }

    #[test]
    fn a_switch_that_is_off_is_its_opposite() {
        let toml = "[train]\nflip = false";
        assert_eq!(merged(toml, &["train"]).unwrap(), ["train", "--no-flip"]);
        for flag in ["--flip", "--no-flip"] {
            assert_eq!(merged(toml, &["train", flag]).unwrap(), ["train", flag]);
        }
        let toml = "[train]\nno-flip = true";
        assert_eq!(merged(toml, &["train"]).unwrap(), ["train", "--no-flip"]);
    }

    #[test]
    fn help_needs_no_settings() {
        let args = ["synth", "--help"];
        assert_eq!(merged("[synth", &args).unwrap(), args);
    }

    #[test]
    fn nested_commands_have_nested_tables() {
        let toml = "[round.open]\nserver = \"http://x\"";
        assert_eq!(
            merged(toml, &["round", "open"]).unwrap(),
            ["round", "open", "--server=http://x"]
        );
        assert_eq!(merged(toml, &["synth"]).unwrap(), ["synth"]);
    }

    fn named_backends(toml: &str) -> Result<Vec<Backend>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs_err::write(&file, toml).unwrap();
        let args = ["promptfed", "--config", file.to_str().unwrap(), "synth"];
        Ok(merge(args.map(OsString::from).into(), &root())?.backends)
    }

    #[test]
    fn engines_have_names_and_settings() {
        let toml = r#"
            [[backends]]
            name = "big"
            engine = "sd:models/sd15"
            device = "cuda"
            batch = 8
            [[backends]]
            name = "hosted"
            engine = "remote:https://api.example.org/v1#dall-e-2"
            key-env = "KEY"
            per-minute = 50
            tell = ["size", "seed"]
            [synth]
            steps = 3
        "#;
        let backends = named_backends(toml).unwrap();
        let names: Vec<&str> = backends.iter().map(Backend::name).collect();
        assert_eq!(names, ["big", "hosted"]);
        assert_eq!(backends[0].options().batch, Some(8));
        assert_eq!(backends[1].options().per_minute, Some(50));
        for (toml, part) in [
            ("backends = 3", "two brackets"),
            ("[backends]\nname = \"x\"", "two brackets"),
            ("[[backends]]\nname = \"x\"", "has no `engine`"),
            ("[[backends]]\nname = 3", "in quotes"),
            (
                "[[backends]]\nname = \"x\"\nengine = \"dream\"",
                "pocket:draw",
            ),
            (
                "[[backends]]\nname = \"x\"\nengine = \"pocket\"\nspeed = 3",
                "speed",
            ),
            (
                "[[backends]]\nname = \"x\"\nengine = \"pocket\"\ntries = 3",
                "has no tries",
            ),
            ("[[backends]]\nname = \"a b\"\nengine = \"pocket\"", "a b"),
        ] {
            let told = format!("{:#}", named_backends(toml).unwrap_err());
            assert!(told.contains(part), "{toml}: {told}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (toml, part) in [
            ("[synth]\nstep = 8", "`step`"),
            ("[sinth]\nsteps = 8", "`sinth`"),
            ("steps = 8", "`steps`"),
            ("[synth]\njson = 3", "switch"),
            ("[synth", "not valid TOML"),
        ] {
            let error = merged(toml, &["synth"]).unwrap_err();
            assert!(format!("{error:#}").contains(part), "{toml}: {error:#}");
        }
    }
}
