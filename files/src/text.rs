//! Text in the encodings that editors save.

/// Bytes that are no text that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    /// Line of the first bytes at fault, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Decodes UTF-8, with or without a byte order mark, and UTF-16 with one. The mark is no part of the text; line ends stay
/// as they are.
///
/// # Errors
/// [`NotText`] with the line for any other bytes, also for UTF-16 without a mark.
pub fn decode_text(bytes: Vec<u8>) -> Result<String, NotText> {
    if let Some(units) = bytes.strip_prefix(b"\xff\xfe") {
        return utf16(units, u16::from_le_bytes);
    }
    if let Some(units) = bytes.strip_prefix(b"\xfe\xff") {
        return utf16(units, u16::from_be_bytes);
    }
    if let Some(fault) = unmarked_utf16(&bytes) {
        return Err(fault);
    }
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
            Ok(text)
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let line = 1 + bytes[..at].iter().filter(|&&b| b == b'\n').count();
            Err(NotText {
                line,
                reason: format!(
                    "byte {:#04x} is not UTF-8 (perhaps Windows-1252 or Latin-1); save it as UTF-8",
                    bytes[at]
                ),
            })
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, NotText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| unit(pair));
    let mut text = String::with_capacity(pairs.len());
    let fault = |text: &str| NotText {
        line: 1 + text.matches('\n').count(),
        reason: "damaged UTF-16; save it as UTF-8".to_owned(),
    };
    for c in char::decode_utf16(units) {
        match c {
            Ok(c) => text.push(c),
            Err(_) => return Err(fault(&text)),
        }
    }
    if rest.is_empty() {
        Ok(text)
    } else {
        Err(fault(&text))
    }
}

/// The fault of a text whose first bytes are these, where every other is zero, as in UTF-16 of Latin text.
pub fn unmarked_utf16(bytes: &[u8]) -> Option<NotText> {
    let pairs = bytes[..bytes.len().min(64)].as_chunks::<2>().0;
    let all = |at: usize| pairs.iter().all(|pair| pair[at] == 0 && pair[1 - at] != 0);
    let is_utf16 = !pairs.is_empty() && (all(0) || all(1));
    is_utf16.then(|| NotText {
        line: 1,
        reason: "it seems to be UTF-16 without a byte order mark; save it as UTF-8".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"Caf\u{e9}\"\r\n\u{1f431}\n";

    fn utf16_bytes(unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let text = format!("\u{feff}{TEXT}");
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_form_reads_alike() {
        for bytes in [
            TEXT.as_bytes().to_vec(),
            format!("\u{feff}{TEXT}").into_bytes(),
            utf16_bytes(u16::to_le_bytes),
            utf16_bytes(u16::to_be_bytes),
        ] {
            assert_eq!(decode_text(bytes).unwrap(), TEXT);
        }
        assert_eq!(decode_text(Vec::new()).unwrap(), "");
    }

    #[test]
    fn other_bytes_are_named_with_their_line() {
        let fault = decode_text(b"cat\nCaf\xe9\n".to_vec()).unwrap_err();
        assert_eq!(fault.line, 2);
        assert!(fault.reason.contains("0xe9"), "{}", fault.reason);
        let unmarked = utf16_bytes(u16::to_le_bytes)[2..].to_vec();
        assert!(
            decode_text(unmarked[..20].to_vec())
                .unwrap_err()
                .reason
                .contains("UTF-16")
        );
        let mut torn = utf16_bytes(u16::to_be_bytes);
        torn.pop();
        assert!(decode_text(torn).is_err());
    }
}
