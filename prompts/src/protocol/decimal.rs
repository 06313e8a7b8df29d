//! Numbers of single precision as people wrote them.

/// The shortest decimal that reads as `value`: 0.1 and not 0.10000000149011612. Read as f32 it is `value` again.
pub fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_written_comes_back() {
        assert_eq!(decimal(0.1), 0.1);
        assert_eq!(decimal(2.2).to_string(), "2.2");
        assert_eq!(decimal(f32::MIN_POSITIVE) as f32, f32::MIN_POSITIVE);
        assert!(decimal(f32::NAN).is_nan() && decimal(f32::INFINITY).is_infinite());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(value in any::<f32>()) {
            prop_assert_eq!(decimal(value) as f32, value);
        }
    }
}
