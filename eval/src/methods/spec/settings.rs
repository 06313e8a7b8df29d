//! What each method may be told.

use super::{MethodName, SettingOf};
use crate::methods::Held;
use promptfed_synth::fuse::select::Mode;

/// The names of [`Level::ALL`].
pub(super) const LEVELS: &[&str] = &["class", "domain", "instance"];

/// The clients' peak learning rate, of every method of rounds.
pub(super) const RATE: SettingOf = SettingOf::new(
    "learning-rate",
    None,
    "the clients' peak learning rate, in place of --learning-rate",
)
.above_zero();

const ADAPTIVE: [SettingOf; 5] = [
    SettingOf::new("server-rate", Some(0.01), "the server's learning rate").above_zero(),
    SettingOf::new("beta1", Some(0.9), "decay of the first moment").below(1.0),
    SettingOf::new("beta2", Some(0.99), "decay of the second moment").below(1.0),
    SettingOf::new("tau", Some(1e-3), "least root of the second moment").above_zero(),
    RATE,
];

impl MethodName {
    /// What it may be told.
    pub fn settings(self) -> &'static [SettingOf] {
        const PROXIMAL: [SettingOf; 2] = [
            SettingOf::new(
                "mu",
                Some(0.01),
                "weight of the distance to the global model",
            ),
            RATE,
        ];
        const CONTRAST: [SettingOf; 3] = [
            SettingOf::new("mu", Some(1.0), "weight of the contrast"),
            SettingOf::new("temperature", Some(0.5), "temperature of the contrast").above_zero(),
            RATE,
        ];
        const PROTOTYPES: [SettingOf; 2] = [
            SettingOf::new("lambda", Some(1.0), "weight of the distance to prototypes"),
            RATE,
        ];
        const PUBLIC: SettingOf = SettingOf::new(
            "public-images",
            Some(1000.0),
            "public images of a round, drawn anew each time",
        )
        .above_zero()
        .whole();
        const SOFT: SettingOf = SettingOf::new(
            "temperature",
            Some(1.0),
            "at which probabilities are softened in learning from them",
        )
        .above_zero();
        const ANSWERS: [SettingOf; 3] = [PUBLIC, SOFT, RATE];
        const HIERARCHY: [SettingOf; 4] = [
            SettingOf::new("clusters", Some(2.0), "clusters of similar clients")
                .above_zero()
                .whole(),
            PUBLIC,
            SOFT,
            RATE,
        ];
        const REPRESENTATIONS: [SettingOf; 9] = [
            SettingOf::new(
                "clients",
                None,
                "what clients hold: images with classes (where nothing is said), pairs of an image and a caption, or these and captions with classes in turn",
            )
            .words(Held::WORDS),
            PUBLIC,
            SettingOf::new("width", Some(256.0), "numbers in a representation")
                .above_zero()
                .below(65_537.0)
                .whole(),
            SettingOf::new("temperature", Some(0.5), "temperature of the clients' contrasts")
                .above_zero(),
            SettingOf::new("contrast", Some(0.5), "weight of the clients' contrasts"),
            SettingOf::new(
                "distillation",
                Some(0.3),
                "weight of what clients say in the server's training",
            ),
            SettingOf::new(
                "pair-temperature",
                Some(0.1),
                "temperature at which images and captions are paired",
            )
            .above_zero(),
            SettingOf::new(
                "text-rate",
                Some(0.002),
                "peak learning rate of the networks of captions",
            )
            .above_zero(),
            RATE,
        ];
        const LEVEL: SettingOf = SettingOf::new(
            "level",
            None,
            "how much a prompt tells, in place of --level",
        )
        .words(LEVELS);
        const ONE_SHOT: [SettingOf; 2] = [
            LEVEL,
            SettingOf::new(
                "engine",
                Some(1.0),
                "which of the engines it has alone, counted from 1",
            )
            .above_zero()
            .below(65.0)
            .whole(),
        ];
        const CHOSEN: [SettingOf; 7] = [
            LEVEL,
            SettingOf::new("select", None, "how images are chosen, in place of --fuse")
                .words(&Mode::NAMES),
            SettingOf::new(
                "quotas",
                None,
                "what each engine's share follows, in place of --quotas",
            )
            .words(&["none", "transfer"]),
            SettingOf::new(
                "adjust-weights",
                None,
                "times that weights are adjusted, in place of --adjust-weights; 0 for none",
            )
            .below(1001.0)
            .whole(),
            SettingOf::new(
                "soft-labels",
                None,
                "part of the other engines' votes in labels, in place of --soft-labels; 0 for none",
            )
            .below(1.0),
            SettingOf::new(
                "budget",
                None,
                "what is as many as fgl's --images: the images trained on, chosen of --generated, or those generated, of which some are trained on",
            )
            .words(&["trained-on", "generated"]),
            SettingOf::new(
                "keep",
                Some(0.5),
                "share that is trained on, of images generated with budget=generated",
            )
            .above_zero()
            .below(1.0),
        ];
        const FOLLOWED: [SettingOf; 5] = [
            LEVEL,
            SettingOf::new(
                "rounds",
                Some(5.0),
                "rounds after the one shot, in place of --rounds",
            )
            .above_zero()
            .below(1e6)
            .whole(),
            SettingOf::new(
                "server-epochs",
                Some(0.0),
                "passes over the synthetic images at the server after each round",
            )
            .below(1e6)
            .whole(),
            SettingOf::new(
                "statistics",
                None,
                "whose images' running statistics the model has after them: those of the server's, or of the clients'",
            )
            .words(&["server", "clients"]),
            RATE,
        ];
        const MIXTURES: [SettingOf; 1] = [SettingOf::new(
            "components",
            Some(10.0),
            "Gaussians in the mixture of a class at most; fewer where it has less than two images for each",
        )
        .above_zero()
        .whole()];
        match self {
            Self::Fgl => &ONE_SHOT,
            Self::Fused => &CHOSEN,
            Self::FglRounds => &FOLLOWED,
            Self::ZeroUpload | Self::Centralised | Self::Local | Self::Majority | Self::Chance => {
                &[]
            }
            Self::Fedpft => &MIXTURES,
            Self::Fedmd => &ANSWERS,
            Self::Fedhkt => &HIERARCHY,
            Self::Creamfl => &REPRESENTATIONS,
            Self::Fedavg | Self::Scaffold => &[RATE],
            Self::Fedprox => &PROXIMAL,
            Self::Fedadam | Self::Fedyogi => &ADAPTIVE,
            Self::Moon => &CONTRAST,
            Self::Fedproto | Self::Fedtgp => &PROTOTYPES,
        }
    }
}
