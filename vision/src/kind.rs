//! The two kinds of model that have folders of the transformers library here.

/// CLIP or BLIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Scores images against texts.
    Clip,
    /// Writes captions.
    Blip,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Clip, Self::Blip];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clip => "CLIP",
            Self::Blip => "BLIP",
        }
    }

    /// `model_type` of its `config.json`.
    pub(crate) fn model_type(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Blip => "blip",
        }
    }

    /// The class of transformers whose weights it takes.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Clip => "CLIPModel",
            Self::Blip => "BlipForConditionalGeneration",
        }
    }

    /// A model of the kind on the Hugging Face hub.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Clip => "openai/clip-vit-base-patch32",
            Self::Blip => "Salesforce/blip-image-captioning-base",
        }
    }

    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Clip => "scores images against texts",
            Self::Blip => "writes captions",
        }
    }
}
