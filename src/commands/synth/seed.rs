//! The seed of a job.

use std::hash::{BuildHasher, RandomState};

/// A seed, given or drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed {
    pub(super) value: u64,
    is_drawn: bool,
}

impl Seed {
    /// Reads a whole number; of -1, as other programs have it, one is drawn.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text == "-1" {
            return Ok(Self {
                // As JSON keeps numbers whole.
                value: RandomState::new().hash_one(text) >> 11,
                is_drawn: true,
            });
        }
        let value = text
            .parse()
            .map_err(|_| "give a whole number from 0, or -1 for one that is drawn".to_owned())?;
        Ok(Self {
            value,
            is_drawn: false,
        })
    }

    /// Says which seed was drawn.
    pub(super) fn tell(self) {
        if self.is_drawn {
            eprintln!("note: --seed {} makes these images again", self.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_drawn_for_minus_one_alone() {
        let read = |text| Seed::read(text).unwrap();
        assert_eq!(read("7").value, 7);
        assert!(!read("7").is_drawn && read("-1").is_drawn);
        assert!(read("-1").value != read("-1").value && read("-1").value < 1 << 53);
        assert!(Seed::read("-2").is_err() && Seed::read("x").is_err());
    }
}
