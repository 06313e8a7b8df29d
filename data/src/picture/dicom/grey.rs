//! Grey values as they are shown (PS3.3, C.11.2.1.2): rescaled, through the window, inverted where small values are white.

use super::attributes::{Attributes, Photometric, VoiFunction, Window};

/// RGB bytes of stored values.
///
/// Without a window, values of up to 8 bits are shown over their whole range, deeper ones from the smallest to the largest of
/// the picture, padding aside.
pub(super) fn shown(stored: &[u16], attributes: &Attributes) -> Vec<u8> {
    let window = attributes
        .window
        .unwrap_or_else(|| full(stored, attributes));
    let table: Vec<u8> = (0..=most(attributes))
        .map(|pattern| shade(pattern, &window, attributes))
        .collect();
    stored
        .iter()
        .flat_map(|&pattern| [table.get(usize::from(pattern)).copied().unwrap_or(0); 3])
        .collect()
}

/// The largest pattern of the stored bits.
fn most(attributes: &Attributes) -> u16 {
    (((1u32 << attributes.bits_stored) - 1) & u32::from(u16::MAX)) as u16
}

/// What a pattern of bits means, before rescaling.
fn value(pattern: u16, attributes: &Attributes) -> i32 {
    let bits = u32::from(attributes.bits_stored);
    let is_negative = attributes.signed && pattern >> (bits - 1) & 1 == 1;
    i32::from(pattern) - if is_negative { 1 << bits } else { 0 }
}

fn rescaled(pattern: u16, attributes: &Attributes) -> f64 {
    f64::from(value(pattern, attributes)) * attributes.slope + attributes.intercept
}

fn full(stored: &[u16], attributes: &Attributes) -> Window {
    let between = |lowest: f64, highest: f64| Window {
        centre: (lowest + highest) / 2.0,
        width: (highest - lowest).abs().max(f64::MIN_POSITIVE),
        function: VoiFunction::LinearExact,
    };
    if attributes.bits_stored <= 8 && !attributes.signed {
        return between(
            rescaled(0, attributes),
            rescaled(most(attributes), attributes),
        );
    }
    let padding = attributes
        .padding
        .map(|p| (p >> attributes.shift) & most(attributes));
    let shown = || stored.iter().filter(|pattern| Some(**pattern) != padding);
    let values = shown().map(|&pattern| rescaled(pattern, attributes));
    let (lowest, highest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if lowest <= highest {
        between(lowest, highest)
    } else {
        between(0.0, 0.0)
    }
}

fn shade(pattern: u16, window: &Window, attributes: &Attributes) -> u8 {
    let x = rescaled(pattern, attributes);
    let Window { centre, width, .. } = *window;
    let share = match window.function {
        VoiFunction::Linear if width > 1.0 => (x - (centre - 0.5)) / (width - 1.0) + 0.5,
        // A window of one value: below it is black, above it white.
        VoiFunction::Linear => f64::from(u8::from(x > centre - 0.5)),
        VoiFunction::LinearExact => (x - centre) / width + 0.5,
        VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - centre) / width).exp()),
    };
    let shade = (share.clamp(0.0, 1.0) * 255.0).round() as u8;
    match attributes.photometric {
        Photometric::Monochrome1 => 255 - shade,
        _ => shade,
    }
}
