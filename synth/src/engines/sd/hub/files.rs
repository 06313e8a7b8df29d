//! Which of a model's files are downloaded.

use std::collections::BTreeSet;

use promptfed_nn::Precision;
use promptfed_nn::load::folder::Preferred;

/// The components of a folder that are used.
const COMPONENTS: [&str; 7] = [
    "scheduler",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "unet",
    "vae",
];

/// The files of a model that are used, or why it cannot be.
pub(super) fn wanted(all: &BTreeSet<String>, precision: Precision) -> Result<Vec<String>, String> {
    const INDEX: &str = "model_index.json";
    if !all.contains(INDEX) {
        return Err(format!(
            "it has no {INDEX} and is no folder in diffusers' layout; choose a model that is"
        ));
    }
    let mut files = vec![INDEX.to_owned()];
    for component in COMPONENTS {
        let inside: Vec<&str> = all
            .iter()
            .filter_map(|file| file.strip_prefix(component)?.strip_prefix('/'))
            .filter(|file| !file.contains(['/', '\\']))
            .collect();
        let settings = inside.iter().filter(|file| {
            (file.ends_with(".json") || file.ends_with(".txt")) && !file.contains(".index.")
        });
        let mut chosen: Vec<&str> = settings.copied().collect();
        let has_weights = inside.contains(&"config.json");
        if has_weights {
            chosen.extend(weights(&inside, precision).ok_or_else(|| {
                format!("its {component} has no safetensors weights; choose a model that has")
            })?);
        }
        files.extend(chosen.into_iter().map(|file| format!("{component}/{file}")));
    }
    Ok(files)
}

/// The weights of a component, in one file or several with their index.
fn weights<'a>(inside: &[&'a str], precision: Precision) -> Option<Vec<&'a str>> {
    let of = |variant: Preferred| {
        let (single, indices) = variant.endings();
        ["diffusion_pytorch_model", "model"]
            .into_iter()
            .find_map(|stem| {
                let named = |ending: &str| {
                    let mut files = inside.iter().copied();
                    files.find(|file| file.strip_prefix(stem) == Some(&format!(".{ending}")))
                };
                if let Some(file) = named(single) {
                    return Some(vec![file]);
                }
                let index = indices.iter().find_map(|index| named(index))?;
                let is_part = |file: &&str| {
                    let rest = file.strip_prefix(stem).unwrap_or_default();
                    let is_f16 = rest.contains(".fp16");
                    (rest.starts_with('-') || rest.starts_with(".fp16-"))
                        && rest.ends_with(".safetensors")
                        && is_f16 == (variant == Preferred::F16)
                };
                let parts = inside.iter().copied().filter(is_part);
                Some(parts.chain([index]).collect())
            })
    };
    let preferred = Preferred::for_precision(precision);
    preferred.in_turn().into_iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str], precision: Precision) -> Result<Vec<String>, String> {
        wanted(&files.iter().map(|f| (*f).to_owned()).collect(), precision)
    }

    #[test]
    fn only_what_is_used_is_downloaded() {
        let files = [
            "README.md",
            "model_index.json",
            "v1-5-pruned.ckpt",
            "scheduler/scheduler_config.json",
            "safety_checker/config.json",
            "safety_checker/model.safetensors",
            "text_encoder/config.json",
            "text_encoder/model.fp16.safetensors",
            "text_encoder/model.safetensors",
            "text_encoder/pytorch_model.bin",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.non_ema.safetensors",
            "unet/diffusion_pytorch_model.non_ema.safetensors.index.json",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/../../etc/x.json",
            "vae/config.json",
            "vae/diffusion_pytorch_model.bin",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        let full = chosen(&files, Precision::F32).unwrap();
        assert_eq!(
            full,
            [
                "model_index.json",
                "scheduler/scheduler_config.json",
                "text_encoder/config.json",
                "text_encoder/model.safetensors",
                "tokenizer/merges.txt",
                "tokenizer/vocab.json",
                "unet/config.json",
                "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
                "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
                "unet/diffusion_pytorch_model.safetensors.index.json",
                "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors",
            ]
        );
        let half = chosen(&files, Precision::F16).unwrap();
        assert!(half.contains(&"unet/diffusion_pytorch_model.fp16.safetensors".to_owned()));
        assert!(half.contains(&"text_encoder/model.fp16.safetensors".to_owned()));
        assert!(half.contains(&"vae/diffusion_pytorch_model.safetensors".to_owned()));
        assert_eq!(half.len(), full.len() - 2);
    }

    #[test]
    fn models_that_cannot_be_used_are_told_so_before_the_download() {
        let error = chosen(&["model.ckpt"], Precision::F32).unwrap_err();
        assert!(error.contains("model_index.json"), "{error}");
        let pickled = [
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.bin",
        ];
        let error = chosen(&pickled, Precision::F32).unwrap_err();
        assert!(error.contains("its unet has no safetensors"), "{error}");
    }
}
