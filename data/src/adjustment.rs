//! What was done to pictures on the way to RGB that a person who looks at the result might not expect.

use serde::Serialize;

/// A change that the report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Adjustment {
    /// [`Fit::Crop`](crate::Fit::Crop) cut off more than [`MUCH`](Self::MUCH) of the picture's area.
    EndsCut,
    /// Transparency was blended on white.
    Blended,
    /// Only the first frame of an animation was taken.
    FirstFrame,
    /// Print colours (CMYK or YCCK) were converted by formula, without a colour profile.
    PrintColours,
    /// Channels of 16 bits were scaled to 8.
    DeepChannels,
    /// Channels of 16 bits in which no value reaches 4096, a sixteenth of the range, so that the picture is almost black.
    DarkDeepChannels,
}

impl Adjustment {
    /// Share of a picture's area from which on its loss is told: less than 16:9 loses (44 %), more than the other usual
    /// shapes of photographs (3:2, 4:3) do.
    pub const MUCH: f64 = 0.4;

    /// What happened to `count` of `pictures`, and what to do where that is not wanted.
    pub fn told(self, count: usize, pictures: usize) -> String {
        let of = format!("{count} of {pictures} pictures");
        match self {
            Adjustment::EndsCut => format!(
                "{of} lose more than {} % of their area at their ends (they are longer than 5:3); --fit pad or --fit squash keeps it",
                100.0 * Self::MUCH
            ),
            Adjustment::Blended => format!("{of} have transparent parts: blended on white"),
            Adjustment::FirstFrame => format!(
                "{of} are animated: the first frame is used; save other frames as pictures of their own"
            ),
            Adjustment::PrintColours => format!(
                "{of} have print colours (CMYK): converted without a colour profile, so that shades may differ from print"
            ),
            Adjustment::DeepChannels => {
                format!("{of} have 16 bits per channel: 0-65535 is scaled to 0-255")
            }
            Adjustment::DarkDeepChannels => format!(
                "{of} have 16 bits per channel but no value from 4096 up, so that they are almost black; stretch their values to 0-65535 first if they are 10- or 12-bit"
            ),
        }
    }
}
