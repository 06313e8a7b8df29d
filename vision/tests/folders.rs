//! How the folders of models are read, against transformers where it computes numbers (`golden/folders.py`), and what is said of
//! those that are not.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use promptfed_data::{DecodeLimits, DecodedImage, decode_bytes};
use promptfed_vision::{Blip, Clip, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

use support::{changed, golden, values};

fn picture(name: &str) -> DecodedImage {
    let bytes = fs::read(golden().join("folders").join(format!("{name}.png"))).unwrap();
    decode_bytes(&bytes, name, &DecodeLimits::default()).unwrap()
}

fn told(name: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(golden().join("folders").join(name)).unwrap()).unwrap()
}

fn copy(model: &str) -> TempDir {
    changed(model, "none", |bytes| bytes)
}

/// Changes a JSON file of a folder.
fn edit(folder: &TempDir, file: &str, change: impl Fn(&mut Value)) {
    let file = folder.path().join(file);
    let mut json = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut json);
    fs::write(file, json.to_string()).unwrap();
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// What is said of a folder that is no CLIP model.
fn clip_fault(folder: &Path) -> String {
    match Clip::load(folder) {
        Err(error) => plain(&error),
        Ok(_) => panic!("{} was loaded", folder.display()),
    }
}

/// What is said of a folder that is no BLIP model.
fn blip_fault(folder: &Path) -> String {
    match Blip::load(folder) {
        Err(error) => plain(&error),
        Ok(_) => panic!("{} was loaded", folder.display()),
    }
}

/// A message, without words that only programmers know.
fn plain(error: &Error) -> String {
    let text = error.to_string();
    for word in ["Some(", "untagged", "index-select", "variant of"] {
        assert!(!text.contains(word), "{text}");
    }
    text
}

#[test]
fn token_ids_are_those_of_transformers() {
    let folder = copy("clip");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(
            golden().join("folders").join(name),
            folder.path().join(name),
        )
        .unwrap();
    }
    let clip = Clip::load(folder.path()).unwrap();
    for case in told("tokens.json") {
        let text = case["text"].as_str().unwrap();
        assert_eq!(clip.text_ids(text).unwrap(), ids(&case["ids"]), "{text:?}");
    }
    let names: Vec<_> = clip
        .files()
        .iter()
        .map(|f| f.file_name().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "config.json",
            "preprocessor_config.json",
            "vocab.json",
            "merges.txt",
            "model.safetensors"
        ]
    );
    fs::remove_file(folder.path().join("merges.txt")).unwrap();
    assert!(clip_fault(folder.path()).contains("no merges.txt"));
}

#[test]
fn texts_begin_and_end_without_a_post_processor() {
    let whole = Clip::load(&golden().join("clip")).unwrap();
    let folder = copy("clip");
    for own in [
        Value::Null,
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
    ] {
        edit(&folder, "tokenizer.json", |json| {
            json["post_processor"] = own.clone()
        });
        let bare = Clip::load(folder.path()).unwrap();
        for text in ["a photo of a church", ""] {
            let ids = bare.text_ids(text).unwrap();
            assert_eq!((ids[0], ids[ids.len() - 1]), (0, 1));
            assert_eq!(ids, whole.text_ids(text).unwrap());
        }
    }
}

#[test]
fn captions_are_those_of_transformers() {
    for case in told("captions.json") {
        let folder = copy("blip");
        let settings = case["settings"].as_object().unwrap();
        match case["where"].as_str() {
            Some("generation_config") => {
                let file = folder.path().join("generation_config.json");
                fs::write(file, case["settings"].to_string()).unwrap();
            }
            Some(place) => edit(&folder, "config.json", |json| {
                let section = match place {
                    "config" => json,
                    inner => &mut json[inner],
                };
                section.as_object_mut().unwrap().extend(settings.clone());
            }),
            None => {}
        }
        let blip = Blip::load(folder.path()).unwrap();
        let image = picture(case["picture"].as_str().unwrap());
        assert_eq!(
            blip.caption_ids(&image).unwrap(),
            ids(&case["ids"]),
            "{case}"
        );
    }
}

#[test]
fn settings_nested_in_processor_config_are_the_same() {
    let (clip, blip) = (copy("clip"), copy("blip"));
    for folder in [&clip, &blip] {
        let own = folder.path().join("preprocessor_config.json");
        let settings: Value = serde_json::from_slice(&fs::read(&own).unwrap()).unwrap();
        let whole = json!({"image_processor": settings, "processor_class": "Processor"});
        fs::write(
            folder.path().join("processor_config.json"),
            whole.to_string(),
        )
        .unwrap();
        fs::remove_file(own).unwrap();
    }
    let image = picture("odd");
    let nested = Clip::load(clip.path()).unwrap();
    assert!(nested.files()[1].ends_with("processor_config.json"));
    let own = Clip::load(&golden().join("clip")).unwrap();
    let features = |clip: &Clip| values(&clip.image_features(&[(&image).into()]).unwrap());
    assert_eq!(features(&nested), features(&own));
    let nested = Blip::load(blip.path()).unwrap();
    let own = Blip::load(&golden().join("blip")).unwrap();
    assert_eq!(
        nested.caption_ids(&image).unwrap(),
        own.caption_ids(&image).unwrap()
    );
}

#[test]
fn old_sections_stand_for_the_others() {
    let folder = copy("clip");
    edit(&folder, "config.json", |json| {
        for name in ["text_config", "vision_config"] {
            json[format!("{name}_dict")] = json[name].clone();
            json[name] =
                json!({"hidden_size": 12345, "num_attention_heads": 7, "hidden_act": "gelu"});
        }
    });
    let texts = ["a photo of a church"];
    let features =
        |folder: &Path| values(&Clip::load(folder).unwrap().text_features(&texts).unwrap());
    assert_eq!(features(folder.path()), features(&golden().join("clip")));
    // With their defaults too.
    edit(&folder, "config.json", |json| {
        json["vision_config"] = json["vision_config_dict"].take();
        json["vision_config_dict"] = json!({"hidden_size": 32, "num_attention_heads": 4});
    });
    assert!(clip_fault(folder.path()).contains("squares of 224"));
}

#[test]
fn the_wrong_place_is_told_with_the_right_one() {
    for (place, said) in [
        (
            "openai/clip-vit-base-patch32",
            "hf download openai/clip-vit-base-patch32",
        ),
        ("nowhere", "there is no such folder"),
        ("./openai/clip", "there is no such folder"),
    ] {
        let error = clip_fault(Path::new(place));
        assert!(error.contains(place) && error.contains(said), "{error}");
        assert!(blip_fault(Path::new(place)).contains(said));
    }
    let file = golden().join("clip/model.safetensors");
    assert!(clip_fault(&file).contains("it is a file"));
    let error = clip_fault(&golden());
    assert!(
        error.contains("no config.json; give") && error.contains("blip"),
        "{error}"
    );
    let cache = tempfile::tempdir().unwrap();
    let inner = cache.path().join("snapshots/abc");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("config.json"), "{}").unwrap();
    assert!(clip_fault(cache.path()).contains("snapshots/abc"));
}

#[test]
fn the_other_model_is_told() {
    let error = clip_fault(&golden().join("blip"));
    assert!(
        error.contains("it is a BLIP model, which writes captions"),
        "{error}"
    );
    assert!(
        error.contains("config.json") && error.contains("openai/clip"),
        "{error}"
    );
    let error = blip_fault(&golden().join("clip"));
    assert!(
        error.contains("it is a CLIP model") && error.contains("blip-image-captioning"),
        "{error}"
    );
    let other = copy("clip");
    edit(&other, "config.json", |json| {
        json["model_type"] = "siglip".into()
    });
    let error = clip_fault(other.path());
    assert!(
        error.contains("\"siglip\"") && error.contains("another kind"),
        "{error}"
    );
    let questions = copy("blip");
    edit(&questions, "config.json", |json| {
        json["architectures"] = json!(["BlipForQuestionAnswering"])
    });
    let error = blip_fault(questions.path());
    assert!(
        error.contains("BlipForQuestionAnswering")
            && error.contains("BlipForConditionalGeneration"),
        "{error}"
    );
}

#[test]
fn weights_of_other_formats_are_told_with_the_remedy() {
    let folder = copy("blip");
    let (own, pickled) = (
        folder.path().join("model.safetensors"),
        folder.path().join("pytorch_model.bin"),
    );
    fs::rename(&own, &pickled).unwrap();
    let error = blip_fault(folder.path());
    assert!(
        error.contains("pytorch_model.bin") && error.contains("save_pretrained"),
        "{error}"
    );
    fs::remove_file(pickled).unwrap();
    assert!(blip_fault(folder.path()).contains("model.safetensors"));
}

#[test]
fn many_faults_are_the_first_and_a_number() {
    let folder = copy("clip");
    edit(&folder, "config.json", |json| {
        json["text_config"]["num_hidden_layers"] = 3.into()
    });
    match Clip::load(folder.path()) {
        Err(error @ Error::Weights { .. }) => {
            let text = plain(&error);
            assert!(
                text.contains("text_model.encoder.layers.2.") && text.contains("and 13 more"),
                "{text}"
            );
            assert!(text.len() < 600, "{text}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was loaded"),
    }
}

#[test]
fn tokens_that_the_model_does_not_know_are_told() {
    let folder = copy("clip");
    edit(&folder, "tokenizer.json", |json| {
        json["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": 320, "content": "zebra", "special": false, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        }));
    });
    let clip = Clip::load(folder.path()).unwrap();
    let error = plain(&clip.text_features(&["a zebra"]).unwrap_err());
    assert!(
        error.contains("\"zebra\"") && error.contains("knows 320 tokens"),
        "{error}"
    );
    assert!(plain(&clip.text_features(&[]).unwrap_err()).contains("no text"));
    edit(&folder, "config.json", |json| {
        json["text_config"]["eos_token_id"] = 7.into()
    });
    let error = clip_fault(folder.path());
    assert!(
        error.contains("eos_token_id 7") && error.contains("tokenizer.json"),
        "{error}"
    );
}
