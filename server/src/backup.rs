//! Copies of a server's data folder: made while the server works, checked file by file when they are brought back.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use promptfed_files::{FolderKind, OwnFolder, SCRATCH, write_secret};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::RoundId;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::data_folder::{
    DATABASE, DataFolder, KEYS, MODELS, ROUNDS, close_to_others, key_name, round_of,
};
use crate::{Error, Result};

/// The list of a backup's files, written last: without it there is no backup.
const LIST: &str = "backup.txt";
/// The list's first line.
const HEAD: &str = "promptfed backup 1";
/// Longest line of the list in bytes.
const LONGEST_LINE: u64 = 16 << 10;
/// How often a database that others write to is tried again.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// How a backup's folder is known.
const BACKUP_FOLDER: FolderKind = FolderKind {
    what: "a backup of a server's data folder",
    mark: LIST,
    lock: ".promptfed/backup.lock",
};

/// Whether a backup holds the private keys of rounds, with which whoever has it can open the prompts in its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundKeys {
    /// They are kept elsewhere. A server that is given the copy can hand out what is done, and go on with nothing that needs prompts.
    LeftOut,
    /// The copy has them too.
    Copied,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Files, the database among them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rounds that have sealed prompts, or take them, and whose private key is not in the copy.
    pub rounds_without_key: Vec<RoundId>,
}

impl BackupReport {
    fn new() -> Self {
        Self {
            files: 0,
            bytes: 0,
            rounds_without_key: Vec::new(),
        }
    }

    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Copies the data folder of a server, which may be working, into the folder `to`: the database as it is at one moment, then the images and models
/// of its rounds. An image of a job in work that is not in the copy is made again by the job when the copy is served.
///
/// # Errors
/// When `data_dir` is no server's, `to` is not empty or lies in it, or a file cannot be copied.
pub fn backup(data_dir: &Path, to: &Path, keys: RoundKeys) -> Result<BackupReport> {
    let source = data_dir.join(DATABASE);
    if !source.is_file() {
        return Err(refused(data_dir, "is no data folder of a server"));
    }
    if to.join(LIST).exists() {
        return Err(refused(to, "holds a backup already; choose another folder"));
    }
    if is_within(to, data_dir)? {
        let reason = "lies in the data folder itself; choose a folder beside it";
        return Err(refused(to, reason));
    }
    let folder = OwnFolder::claim(to, BACKUP_FOLDER)?;
    close_to_others(to);
    let rounds = copy_database(&source, &to.join(DATABASE))?;
    let mut copy = Copy {
        from: data_dir,
        to,
        list: format!("{HEAD}\n"),
        report: BackupReport::new(),
        keys,
    };
    copy.enter(Path::new(DATABASE), hash_of(&to.join(DATABASE))?)?;
    copy.top(&rounds)?;
    copy.report.rounds_without_key = rounds_without_key(to)?;
    copy.list.push_str(&format!("end {}\n", copy.report.files));
    write_secret(&to.join(LIST), copy.list.as_bytes())?;
    drop(folder);
    Ok(copy.report)
}

/// Puts a backup into the folder `data_dir`, which a server can then use. Each file is compared with the list, and the database is checked.
///
/// # Errors
/// When `from` is no whole backup, a file differs from its list, or `data_dir` is not empty.
pub fn restore(from: &Path, data_dir: &Path) -> Result<BackupReport> {
    let list = from.join(LIST);
    if !list.is_file() {
        return Err(refused(from, "is no backup, or one that was not finished"));
    }
    if data_dir.join(DATABASE).exists() {
        let reason =
            "holds the data of a server already; choose another folder, or move it away first";
        return Err(refused(data_dir, reason));
    }
    // Nothing is written before the whole list has been compared.
    let files = read_list(from, &list)?;
    let mut report = BackupReport::new();
    for Listed { path, bytes, hash } in &files {
        let (found, length) = hash_of(&from.join(path))?;
        if (found, length) != (*hash, *bytes) {
            let reason = format!(
                "{} is not what the backup's list says; take another backup",
                path.display()
            );
            return Err(refused(from, reason));
        }
        report.add(*bytes);
    }
    let folder = DataFolder::lock(data_dir)?;
    for Listed { path, .. } in files.iter().filter(|file| file.path != Path::new(DATABASE)) {
        copy_file(&from.join(path), &data_dir.join(path))?;
    }
    // The folder is a server's from here on.
    let partial = folder.database().with_extension("partial");
    copy_file(&from.join(DATABASE), &partial)?;
    let checked = check_database(&Connection::open_with_flags(
        &partial,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    )?);
    if let Err(error) = checked {
        let _ = fs_err::remove_file(&partial);
        return Err(error);
    }
    fs_err::rename(&partial, folder.database())?;
    report.rounds_without_key = rounds_without_key(data_dir)?;
    Ok(report)
}

/// A copy that is being made.
struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    list: String,
    report: BackupReport,
    keys: RoundKeys,
}

impl Copy<'_> {
    /// Copies all but the database, what does not stay, and files of rounds that the database does not know.
    fn top(&mut self, rounds: &[RoundId]) -> Result<()> {
        let is_of_round = |name: &str| round_of(name).is_some_and(|round| rounds.contains(&round));
        for entry in sorted(self.from)? {
            let name = entry.to_string_lossy().into_owned();
            match name.as_str() {
                SCRATCH => {}
                name if name.starts_with(DATABASE) => {}
                KEYS if self.keys == RoundKeys::LeftOut => {}
                ROUNDS | MODELS | KEYS => {
                    let entries = unless_gone(sorted(&self.from.join(&name)))?;
                    for entry in entries.unwrap_or_default() {
                        let text = entry.to_string_lossy();
                        if is_of_round(&text) {
                            self.tree(&Path::new(&name).join(&entry))?;
                        }
                    }
                }
                _ => self.tree(Path::new(&entry))?,
            }
        }
        Ok(())
    }

    /// Copies a file, or a folder with its files before its folders: the rows of a manifest before the images that they tell of, so that each row
    /// has its image.
    fn tree(&mut self, path: &Path) -> Result<()> {
        let from = self.from.join(path);
        // What a job in work throws away, and rounds that are deleted meanwhile, are gone at any step.
        let found = fs_err::symlink_metadata(&from).map_err(Error::from);
        let Some(kind) = unless_gone(found)?.map(|found| found.file_type()) else {
            return Ok(());
        };
        if kind.is_dir() {
            let entries = unless_gone(sorted(&from))?.unwrap_or_default();
            let (folders, files): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|name| from.join(name).is_dir());
            for name in files.into_iter().chain(folders) {
                if name != SCRATCH {
                    self.tree(&path.join(name))?;
                }
            }
        } else if kind.is_file()
            && let Some(copied) = unless_gone(copy_file(&from, &self.to.join(path)))?
        {
            self.enter(path, copied)?;
        }
        Ok(())
    }

    /// Writes a copied file into the list.
    fn enter(&mut self, path: &Path, (hash, bytes): (ContentHash, u64)) -> Result<()> {
        let Some(text) = path.to_str().filter(|text| !text.contains(['\n', '\r'])) else {
            let reason = format!("{} has a name that no list can hold", path.display());
            return Err(refused(self.from, reason));
        };
        self.list.push_str(&format!("{hash} {bytes} {text}\n"));
        self.report.add(bytes);
        Ok(())
    }
}

/// Copies the database as it is at one moment; says which rounds it has.
fn copy_database(from: &Path, to: &Path) -> Result<Vec<RoundId>> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    fs_err::File::create_new(to)?;
    close_to_others(to);
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut copy)?;
        for attempt in 1.. {
            // All pages in one step, so that nothing is written between them.
            match backup.step(-1)? {
                StepResult::Done => break,
                _ if attempt >= TRIES => {
                    let folder = from.parent().unwrap_or(from);
                    return Err(refused(
                        folder,
                        "its database is written to without a pause; try again",
                    ));
                }
                _ => sleep(PAUSE),
            }
        }
    }
    // One file, without a journal beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
        row.get::<_, String>(0)
    })?;
    check_database(&copy)?;
    let mut statement = copy.prepare("SELECT id FROM rounds")?;
    let ids = statement.query_map([], |row| Ok(RoundId::new(row.get(0)?)))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// The rounds of a data folder or a copy of one whose prompts need a private key that is not there.
fn rounds_without_key(folder: &Path) -> Result<Vec<RoundId>> {
    let database = folder.join(DATABASE);
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A copy may be of a version that knew of no keys.
    let sql =
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('rounds') WHERE name = 'sealing_key')";
    let has_keys: bool = connection.query_row(sql, [], |row| row.get(0))?;
    if !has_keys {
        return Ok(Vec::new());
    }
    let sql = "SELECT id FROM rounds WHERE sealing_key IS NOT NULL AND (state = 'open' OR submitted > 0) ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let ids = statement.query_map([], |row| Ok(RoundId::new(row.get(0)?)))?;
    let mut rounds: Vec<RoundId> = ids.collect::<rusqlite::Result<_>>()?;
    rounds.retain(|round| !folder.join(KEYS).join(key_name(*round)).exists());
    Ok(rounds)
}

fn check_database(connection: &Connection) -> Result<()> {
    let told: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if told == "ok" {
        return Ok(());
    }
    let file = connection.path().unwrap_or(DATABASE);
    Err(refused(
        Path::new(file),
        format!("the database is damaged ({told}); take another backup"),
    ))
}

/// A line of the list.
struct Listed {
    path: PathBuf,
    bytes: u64,
    hash: ContentHash,
}

fn read_list(from: &Path, list: &Path) -> Result<Vec<Listed>> {
    let mut lines = BufReader::new(fs_err::File::open(list)?);
    let mut files = Vec::new();
    let mut line = String::new();
    for number in 1.. {
        let damaged = || {
            let reason = format!("line {number} of {LIST} cannot be read; take another backup");
            refused(from, reason)
        };
        line.clear();
        // A line that is cut has no end, and what is no text is none.
        let read = lines.by_ref().take(LONGEST_LINE).read_line(&mut line);
        let text = line.strip_suffix('\n').filter(|_| read.is_ok());
        let text = text.ok_or_else(damaged)?;
        match (number, text.strip_prefix("end ")) {
            (1, _) if text == HEAD => {}
            (1, _) => return Err(damaged()),
            (_, Some(count)) if count.parse::<usize>() == Ok(files.len()) => break,
            (_, Some(_)) => return Err(damaged()),
            (_, None) => files.push(listed(text).ok_or_else(damaged)?),
        }
    }
    if !files.iter().any(|file| file.path == Path::new(DATABASE)) {
        return Err(refused(
            from,
            "its list names no database; take another backup",
        ));
    }
    Ok(files)
}

fn listed(text: &str) -> Option<Listed> {
    let (hash, rest) = text.split_once(' ')?;
    let (bytes, path) = rest.split_once(' ')?;
    let path = PathBuf::from(path);
    // Nothing outside the folder.
    let mut parts = path.components();
    let is_inside = parts.all(|part| matches!(part, Component::Normal(_)));
    is_inside.then_some(())?;
    Some(Listed {
        bytes: bytes.parse().ok()?,
        hash: hash.parse().ok()?,
        path,
    })
}

/// Nothing where what was looked for is not there.
fn unless_gone<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a path that may not be there yet lies in a folder, or is it.
fn is_within(path: &Path, folder: &Path) -> Result<bool> {
    let path = std::path::absolute(path)?;
    let nearest = path.ancestors().find_map(|there| there.canonicalize().ok());
    let folder = fs_err::canonicalize(folder)?;
    Ok(nearest.is_some_and(|nearest| nearest.starts_with(folder)))
}

fn sorted(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let entries = fs_err::read_dir(folder)?;
    let names: std::io::Result<Vec<_>> = entries.map(|e| Ok(e?.file_name())).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

/// Copies a file to where none is, for its user alone, and waits for the disk; says what was copied.
fn copy_file(from: &Path, to: &Path) -> Result<(ContentHash, u64)> {
    let mut source = fs_err::File::open(from)?;
    if let Some(folder) = to.parent() {
        fs_err::create_dir_all(folder)?;
        close_to_others(folder);
    }
    let mut target = fs_err::File::create_new(to)?;
    close_to_others(to);
    let copied = pour(&mut source, &mut target)?;
    target.sync_all()?;
    Ok(copied)
}

/// Hash and length of a file.
pub(crate) fn hash_of(file: &Path) -> Result<(ContentHash, u64)> {
    pour(&mut fs_err::File::open(file)?, &mut std::io::sink())
}

fn pour(from: &mut impl Read, to: &mut impl Write) -> Result<(ContentHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    let hash = ContentHash::from_bytes(*hasher.finalize().as_bytes());
    Ok((hash, bytes))
}

fn refused(folder: &Path, reason: impl Into<String>) -> Error {
    Error::Backup {
        folder: folder.to_owned(),
        reason: reason.into(),
    }
}
