//! Files as every room reads and writes them: regular ones alone unless a pipe is asked for, read up to a limit; text in UTF-8 or, with its mark, in
//! UTF-16; written under another name and moved into place, so that whatever goes wrong leaves the whole old file or the
//! whole new one.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod kind;
#[cfg(test)]
mod names_in;
mod own_folder;
mod read;
mod text;
mod write;

pub use error::{FileError, Result};
pub use kind::ErrorKind;
pub use own_folder::{FolderKind, OwnFolder, SCRATCH, is_locked};
pub use read::{metadata, open_regular, read, read_or_pipe, read_text, read_text_or_pipe};
pub use text::{NotText, decode_text, unmarked_utf16};
pub use write::{prove_writable, write_secret, write_whole};
