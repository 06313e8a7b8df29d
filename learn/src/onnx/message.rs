//! Messages of protocol buffers as they lie in a file.

/// A message under construction: its fields in the order in which they are added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

/// How a field's value is told.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Message {
    /// A whole number.
    pub(super) fn int(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FOUR_BYTES);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// A field for each of `messages`.
    pub(super) fn each(self, field: u64, messages: &[Self]) -> Self {
        messages
            .iter()
            .fold(self, |whole, m| whole.message(field, m))
    }

    /// A field for each of `texts`.
    pub(super) fn texts(self, field: u64, texts: &[&str]) -> Self {
        texts.iter().fold(self, |whole, t| whole.text(field, t))
    }

    /// A field for each of `values`.
    pub(super) fn ints(self, field: u64, values: &[usize]) -> Self {
        values
            .iter()
            .fold(self, |whole, v| whole.int(field, *v as u64))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    /// Seven bits in a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_documentation() {
        // The examples of "Encoding", protobuf.dev.
        assert_eq!(
            Message::default().int(1, 150).into_bytes(),
            [0x08, 0x96, 0x01]
        );
        let text = Message::default().text(2, "testing");
        assert_eq!(text.into_bytes(), b"\x12\x07testing");
        let nested = Message::default().message(3, &Message::default().int(1, 150));
        assert_eq!(nested.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let float = Message::default().float(1, 1.0).into_bytes();
        assert_eq!(float, [0x0d, 0, 0, 0x80, 0x3f]);
    }
}
