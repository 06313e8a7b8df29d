//! Naming the colour of a pixel.

use std::fmt;

/// The eleven basic colour terms (Berlin and Kay, 1969).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Colour {
    /// Value below 0.2.
    Black,
    /// Saturation below 0.15, value above 0.85.
    White,
    /// Saturation below 0.15, value in between.
    Gray,
    /// Hue from 345 to 15 degrees.
    Red,
    /// Hue from 15 to 45 degrees, value from 0.6.
    Orange,
    /// Hue from 15 to 45 degrees, value below 0.6.
    Brown,
    /// Hue from 45 to 70 degrees.
    Yellow,
    /// Hue from 70 to 165 degrees.
    Green,
    /// Hue from 165 to 255 degrees.
    Blue,
    /// Hue from 255 to 290 degrees.
    Purple,
    /// Hue from 290 to 345 degrees.
    Pink,
}

impl Colour {
    /// All colours; where two are equally frequent, the earlier one counts.
    pub const ALL: [Self; 11] = [
        Self::Black,
        Self::White,
        Self::Gray,
        Self::Red,
        Self::Orange,
        Self::Brown,
        Self::Yellow,
        Self::Green,
        Self::Blue,
        Self::Purple,
        Self::Pink,
    ];

    /// The colour's name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::White => "white",
            Self::Gray => "gray",
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Brown => "brown",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
        }
    }

    /// The colour of an RGB pixel, by hue, saturation and value (Smith, 1978) in 32-bit floats.
    ///
    /// Every step rounds as numpy does for `float32` arrays, so that pixels on a boundary fall on the
    /// same side as in the captions that the generator was trained with.
    pub fn of(rgb: [u8; 3]) -> Self {
        let [r, g, b] = rgb.map(|channel| f32::from(channel) / 255.0);
        let value = r.max(g).max(b);
        let chroma = value - r.min(g).min(b);
        let saturation = if value > 0.0 {
            chroma / value.max(1e-6)
        } else {
            0.0
        };
        if value < 0.2 {
            return Self::Black;
        }
        if saturation < 0.15 {
            return if value > 0.85 {
                Self::White
            } else {
                Self::Gray
            };
        }
        let divisor = chroma.max(1e-6);
        let sextant = if value == r {
            ((g - b) / divisor).rem_euclid(6.0)
        } else if value == g {
            (b - r) / divisor + 2.0
        } else {
            (r - g) / divisor + 4.0
        };
        match sextant * 60.0 {
            hue if !(15.0..345.0).contains(&hue) => Self::Red,
            hue if hue < 45.0 && value < 0.6 => Self::Brown,
            hue if hue < 45.0 => Self::Orange,
            hue if hue < 70.0 => Self::Yellow,
            hue if hue < 165.0 => Self::Green,
            hue if hue < 255.0 => Self::Blue,
            hue if hue < 290.0 => Self::Purple,
            _ => Self::Pink,
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
