//! What the sd engine makes of requests: batches, number formats, images to start from, guidance, and what it refuses.

use promptfed_synth::engines::sd::{
    Configured, GivenNoise, LoadOptions, Precision, Request, Settings, StableDiffusion, Start,
};
use promptfed_synth::{Generator, Image, ImageRequest, ImageSeed};

use crate::sd_fixtures::{Golden, assert_says, copy, folder, image, load};

#[test]
fn an_image_does_not_depend_on_its_batch() {
    for (name, precision) in [
        ("sd15", Precision::F32),
        ("sd15", Precision::Bf16),
        ("sdxl", Precision::F32),
    ] {
        let options = LoadOptions {
            batch: 3,
            precision,
            ..LoadOptions::default()
        };
        let mut model = StableDiffusion::load(&folder(name), &options).unwrap();
        let requests: Vec<ImageRequest> = (0..5)
            .map(|i| ImageRequest {
                steps: 2 + i % 2,
                guidance: 1.0 + i as f32,
                negative: "blurry".repeat(i as usize % 3),
                ..ImageRequest::with_defaults(
                    &format!("a photo of {i} dogs"),
                    ImageSeed::from_u64(u64::from(i)),
                    model.describe(),
                )
            })
            .collect();
        let together = model.generate(&requests).unwrap();
        let again = model.generate(&requests[3..]).unwrap();
        assert_eq!(together[3..], again[..]);
        let alone = LoadOptions {
            batch: 1,
            ..options
        };
        let mut single = StableDiffusion::load(&folder(name), &alone).unwrap();
        for (request, image) in requests.iter().zip(&together) {
            let alone = single.generate(std::slice::from_ref(request)).unwrap();
            assert_eq!(&alone[0], image);
            assert_eq!(image.height(), model.describe().image_size);
        }
        assert_ne!(together[0], together[1]);
    }
}

#[test]
fn half_precision_stays_near_f32() {
    let golden = Golden::read("sdxl");
    let want = image(&mut load(&folder("sdxl")).unwrap());
    for precision in [Precision::Bf16, Precision::F16] {
        let options = LoadOptions {
            precision,
            ..LoadOptions::default()
        };
        let mut model = StableDiffusion::load(&folder("sdxl"), &options).unwrap();
        let decoded = model.vae().decode(&golden.nhwc("vae.latents")).unwrap();
        let off = (decoded - golden.nhwc("vae.decoded"))
            .unwrap()
            .abs()
            .unwrap();
        let off: f32 = off.max_all().unwrap().to_scalar().unwrap();
        // The configuration forces the autoencoder into f32 where the rest is f16.
        let allowed = if precision == Precision::F16 {
            1e-4
        } else {
            0.1
        };
        assert!(off < allowed, "{precision}: off by {off}");
        let image = image(&mut model);
        let off: f32 = (image.values().iter().zip(want.values()))
            .map(|(a, b)| (a - b).abs())
            .sum();
        let mean = off / want.values().len() as f32;
        println!("{precision}: off by {mean} in the mean");
        assert!(mean < 0.05, "{precision}: off by {mean} in the mean");
    }
}

#[test]
fn an_image_can_be_changed_a_little_or_much() {
    let mut model = load(&folder("sd15")).unwrap();
    let first = image(&mut model);
    let distance = |a: &Image, b: &Image| -> f32 {
        a.values()
            .iter()
            .zip(b.values())
            .map(|(a, b)| (a - b).abs())
            .sum()
    };
    let mut changed = |strength| {
        let start = Start::Image {
            image: first.clone(),
            strength,
        };
        let request = Request {
            steps: 10,
            guidance: 1.0,
            sampler: promptfed_synth::Sampler::Ddim,
            start,
            ..model.request("a photo of a church", ImageSeed::from_u64(2))
        };
        model.make(&[request])
    };
    let (little, much) = (
        changed(0.1).unwrap().remove(0),
        changed(1.0).unwrap().remove(0),
    );
    assert!(little.is_finite() && much.is_finite());
    assert_ne!(little, much);
    assert!(distance(&little, &much) > 0.0);
    assert_says(&changed(0.0).unwrap_err().to_string(), &["strength 0"]);
    assert_says(&changed(0.01).unwrap_err().to_string(), &["strength 0.01"]);
}

/// diffusers' XL pipelines give latents back the mean and deviation that some autoencoders' configurations name.
#[test]
fn latents_get_their_statistics_back() {
    let made = |keys: &str| {
        let (_dir, to) = copy("sdxl");
        let file = to.join("vae/config.json");
        let mut config: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(keys).unwrap();
        config.extend(more);
        std::fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
        load(&to).map(|mut model| {
            let first = image(&mut model);
            let start = Start::Image {
                image: Image::rectangle(
                    first.height(),
                    first.width(),
                    vec![0.3; first.values().len()],
                )
                .unwrap(),
                strength: 0.6,
            };
            let request = Request {
                steps: 5,
                start,
                ..model.request("a photo of a church", ImageSeed::from_u64(2))
            };
            [first, model.make(&[request]).unwrap().remove(0)]
        })
    };
    let apart = |a: &[Image; 2], b: &[Image; 2]| -> [f32; 2] {
        [0, 1].map(|i| {
            let pairs = a[i].values().iter().zip(b[i].values());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        })
    };
    let plain = made("{}").unwrap();
    let given = made(
        r#"{"latents_mean": [0.5, 0.5, 0.5, 0.5], "latents_std": [2, 2, 2, 2], "scaling_factor": 0.2605}"#,
    )
    .unwrap();
    let same =
        made(r#"{"latents_mean": [0.5, 0.5, 0.5, 0.5], "latents_std": [1, 1, 1, 1]}"#).unwrap();
    let (near, far) = (apart(&given, &same), apart(&given, &plain));
    assert!(near.iter().all(|d| *d < 1e-4), "{near:?}");
    assert!(far.iter().all(|d| *d > 1e-3), "{far:?}");
    let alone = made(r#"{"latents_mean": [0.5, 0.5, 0.5, 0.5], "latents_std": null}"#).unwrap();
    assert_eq!(alone, plain);
    let error = made(r#"{"latents_mean": [0.5], "latents_std": [1, 1, 1, 1]}"#).unwrap_err();
    assert_says(
        &error.to_string(),
        &["vae/config.json", "latents_mean has 1"],
    );
}

/// diffusers' `negative_prompt=""` is a text, and only without one zeros stand for it; a job's empty text is none unless told.
#[test]
fn an_empty_negative_prompt_is_a_text_where_a_job_says_so() {
    let made = |empty_negative| {
        let settings = Settings {
            empty_negative,
            ..Settings::default()
        };
        let mut model = Configured::new(load(&folder("sdxl")).unwrap(), settings);
        let told = model.describe().settings.contains_key("empty_negative");
        assert_eq!(told, empty_negative);
        let request = ImageRequest {
            steps: 2,
            guidance: 5.0,
            ..ImageRequest::with_defaults("a church", ImageSeed::from_u64(3), model.describe())
        };
        model.generate(&[request]).unwrap().remove(0)
    };
    let mut model = load(&folder("sdxl")).unwrap();
    let mut asked = |negative: Option<&str>| {
        let request = Request {
            steps: 2,
            guidance: 5.0,
            negative: negative.map(str::to_owned),
            ..model.request("a church", ImageSeed::from_u64(3))
        };
        model.make(&[request]).unwrap().remove(0)
    };
    // Twice, as what is kept of one must not be taken for the other.
    for _ in 0..2 {
        assert_eq!(made(false), asked(None));
        assert_eq!(made(true), asked(Some("")));
    }
    assert_ne!(asked(None), asked(Some("")));
}

/// diffusers takes the switch as on where `model_index.json` has no word of it.
#[test]
fn no_negative_prompt_of_xl_is_zeros_unless_told_otherwise() {
    let made = |switch: Option<bool>| {
        let (_dir, to) = copy("sdxl");
        let file = to.join("model_index.json");
        let mut index: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        index.remove("force_zeros_for_empty_prompt");
        if let Some(on) = switch {
            index.insert("force_zeros_for_empty_prompt".into(), on.into());
        }
        std::fs::write(&file, serde_json::to_vec(&index).unwrap()).unwrap();
        let mut model = load(&to).unwrap();
        let request = Request {
            steps: 2,
            guidance: 5.0,
            ..model.request("a photo of a church", ImageSeed::from_u64(3))
        };
        model.make(&[request]).unwrap().remove(0)
    };
    assert_eq!(made(None), made(Some(true)));
    assert_ne!(made(None), made(Some(false)));
}

#[test]
fn guidance_acts_within_its_interval() {
    let mut model = load(&folder("sd15")).unwrap();
    let mut made = |guidance, guidance_interval| {
        let request = Request {
            steps: 4,
            guidance,
            guidance_interval,
            ..model.request("a photo of a church", ImageSeed::from_u64(3))
        };
        model.make(&[request]).unwrap().remove(0)
    };
    let (off, on) = (made(1.0, [0.0, 1.0]), made(6.0, [0.0, 1.0]));
    let part = made(6.0, [0.3, 0.6]);
    assert!(off != on && part != on && part != off);
    // No timestep lies there.
    assert_eq!(made(6.0, [0.9999, 0.99991]), off);
}

#[test]
fn requests_outside_the_model_are_refused() {
    let golden = Golden::read("sd15");
    let mut model = load(&folder("sd15")).unwrap();
    let good = Request {
        noise: Some(GivenNoise {
            latents: golden.values("latents"),
            steps: Vec::new(),
        }),
        steps: 1,
        ..model.request("x", ImageSeed::from_u64(0))
    };
    type Spoil = fn(&mut Request);
    let cases: [(Spoil, &str); 6] = [
        (|r| r.height = 60, "multiples of 8"),
        (|r| r.width = 0, "multiples of 8"),
        (|r| r.height = 128, "begins with 512"),
        (|r| r.steps = 0, "0 steps"),
        (|r| r.guidance = f32::NAN, "guidance NaN"),
        (|r| r.guidance_interval = [0.5, 0.2], "interval"),
    ];
    for (spoil, message) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = model.make(&[good.clone(), bad]).unwrap_err().to_string();
        assert_says(&error, &["request 1", message]);
    }
}
