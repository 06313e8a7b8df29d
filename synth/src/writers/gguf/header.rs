//! The head of a GGUF file, read with the care that a stranger's file asks for.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};

use crate::Result;
use crate::error::model_fault;

/// Most bytes of a file's head that are searched for its alignment.
const MAX_HEAD: u64 = 64 << 20;

/// The name of the alignment of tensors; behind it stand the kind of the number in four bytes, and the number.
const ALIGNMENT: &[u8] = b"general.alignment";

/// Opens a GGUF file and reads its head.
///
/// # Errors
/// A file that cannot be read or is no whole GGUF file.
pub(super) fn open(file: &Path) -> Result<(Content, BufReader<fs_err::File>)> {
    let fault = |reason: String| model_fault(file, reason);
    let mut reader = BufReader::new(promptfed_files::open_regular(file)?);
    let mut head = Vec::new();
    (&mut reader).take(MAX_HEAD).read_to_end(&mut head)?;
    if !head.starts_with(b"GGUF") {
        return Err(fault(
            "it is no GGUF file; give the .gguf file of a language model, as SmolLM2-135M-Instruct"
                .to_owned(),
        ));
    }
    // The reader divides by it.
    if alignment_is_zero(&head) {
        return Err(fault(
            "its tensors are aligned to 0 bytes; fetch it again".to_owned(),
        ));
    }
    drop(head);
    reader.rewind()?;
    let content = Content::read(&mut reader)
        .map_err(|e| fault(format!("the file is damaged ({e}); fetch it again")))?;
    Ok((content, reader))
}

fn alignment_is_zero(head: &[u8]) -> bool {
    let names = head.windows(ALIGNMENT.len()).enumerate();
    names.filter(|(_, name)| *name == ALIGNMENT).any(|(at, _)| {
        let rest = &head[at + ALIGNMENT.len()..];
        let width = match rest.first() {
            Some(0 | 1) => 1,
            Some(2 | 3) => 2,
            _ => 4,
        };
        let value = rest.get(4..4 + width);
        value.is_some_and(|value| value.iter().all(|&byte| byte == 0))
    })
}

/// A number of the head.
///
/// # Errors
/// A number that is missing or of another kind.
pub(super) fn number(file: &Path, content: &Content, name: &str) -> Result<u64> {
    let value = content.metadata.get(name);
    let number = value.and_then(|value| match value {
        Value::U8(n) => Some(u64::from(*n)),
        Value::U16(n) => Some(u64::from(*n)),
        Value::U32(n) => Some(u64::from(*n)),
        Value::U64(n) => Some(*n),
        Value::I8(n) => u64::try_from(*n).ok(),
        Value::I16(n) => u64::try_from(*n).ok(),
        Value::I32(n) => u64::try_from(*n).ok(),
        Value::I64(n) => u64::try_from(*n).ok(),
        _ => None,
    });
    number.ok_or_else(|| {
        model_fault(
            file,
            format!("it does not say its {name}; fetch it again, or use another model"),
        )
    })
}

/// A text of the head; none where it is missing or of another kind.
pub(super) fn text<'c>(content: &'c Content, name: &str) -> Option<&'c str> {
    match content.metadata.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A list of texts of the head; none where it is missing or of another kind.
pub(super) fn texts<'c>(content: &'c Content, name: &str) -> Option<Vec<&'c str>> {
    let Some(Value::Array(values)) = content.metadata.get(name) else {
        return None;
    };
    let texts = values.iter().map(|value| match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
