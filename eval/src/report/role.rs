//! What each method is in the comparison: a contender, the mark to reach, or the floor.

/// What a method stands for in the comparison, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Shares prompts, trains on synthetic images.
    Generative,
    /// Shares models: a federated method with another cost.
    Federated,
    /// Trains where all private images are in one place: no federated method, the mark to reach.
    Ceiling,
    /// Trains where the images are and shares nothing: no federated method, what federation is for.
    Alone,
    /// Learns nothing.
    Floor,
}

impl Role {
    pub(super) fn of(name: &str) -> Self {
        // What the method was told stands behind its name.
        match name.split(':').next().unwrap_or(name) {
            "chance" | "majority" => Self::Floor,
            "local" => Self::Alone,
            "centralised" => Self::Ceiling,
            "fgl" | "fused" | "zero-upload" => Self::Generative,
            other if other.starts_with("fgl-") => Self::Generative,
            _ => Self::Federated,
        }
    }
}
