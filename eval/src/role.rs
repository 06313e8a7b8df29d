//! What each method is in the comparison: a contender, the mark to reach, or the floor.

/// What a method stands for in the comparison, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
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
    pub(crate) fn of(name: &str) -> Self {
        // What a method was told makes it no other.
        let method = name.split(':').next().unwrap_or(name);
        match method {
            "chance" | "majority" => Self::Floor,
            "local" => Self::Alone,
            "centralised" => Self::Ceiling,
            "fgl" | "fused" | "zero-upload" => Self::Generative,
            _ if method.starts_with("fgl-") => Self::Generative,
            _ => Self::Federated,
        }
    }
}

/// What a step of a method's training is called.
pub(crate) fn step_of(method: &str) -> &'static str {
    let name = method.split(':').next().unwrap_or(method);
    if Role::of(method) == Role::Federated || name == "fgl-rounds" {
        "round"
    } else {
        "epoch"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_do_not_change_what_a_method_is() {
        assert_eq!(Role::of("fgl:level=class"), Role::Generative);
        assert_eq!(Role::of("fgl-rounds:rounds=2"), Role::Generative);
        assert_eq!(Role::of("centralised:learning-rate=0.1"), Role::Ceiling);
        assert_eq!(Role::of("fedprox:mu=1"), Role::Federated);
        assert_eq!(step_of("fgl-rounds:rounds=2"), "round");
        assert_eq!((step_of("fgl"), step_of("fedavg")), ("epoch", "round"));
    }
}
