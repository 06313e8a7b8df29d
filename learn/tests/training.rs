//! Training, files and measures on small sets of images.
#![allow(clippy::unwrap_used)]

mod common;

use common::squares;
use promptfed_learn::{
    Augmentation, Classifier, ClassifierConfig, Error, HeldOut, Recipe, Supervision, TrainConfig,
    evaluate, train, train_weighted,
};

fn classifier(seed: u64) -> Classifier {
    let config = ClassifierConfig::new(4, 16).with_width(6);
    Classifier::new(config, seed).unwrap()
}

fn short() -> TrainConfig {
    TrainConfig {
        epochs: 3,
        batch_size: 8,
        ..TrainConfig::default()
    }
}

#[test]
fn the_same_seed_gives_the_same_weights_on_any_number_of_threads() {
    let images = squares(37, 16, 4);
    let run = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut model = classifier(1);
            let config = TrainConfig { seed, ..short() };
            train(&mut model, &images, None, &config, &mut |_| ()).unwrap();
            model.to_safetensors().unwrap()
        })
    };
    assert!(run(1, 5) == run(3, 5));
    assert!(run(2, 5) == run(2, 5));
    assert!(run(1, 5) != run(1, 6));
}

#[test]
fn learns_from_eight_images() {
    let images = squares(8, 16, 4);
    let mut model = classifier(0);
    let config = TrainConfig {
        epochs: 40,
        augmentation: promptfed_learn::Augmentation::NONE,
        ..TrainConfig::default()
    };
    let mut seen = 0;
    let report = train(&mut model, &images, None, &config, &mut |_| seen += 1).unwrap();
    assert_eq!(
        (report.curve.len(), seen, report.selected_epoch),
        (40, 40, 39)
    );
    let evaluation = evaluate(&model, &squares(40, 16, 4)).unwrap();
    assert!(evaluation.accuracy > 0.9, "{evaluation:?}");
    assert_eq!(evaluation.per_domain.len(), 3);
    assert_eq!(evaluation.confusion.iter().flatten().sum::<u64>(), 40);
}

/// One value per channel is its own mean: PyTorch refuses it too.
#[test]
fn a_batch_of_one_value_per_channel_is_refused_and_two_train() {
    for config in [
        ClassifierConfig::new(2, 8).with_width(2),
        ClassifierConfig::resnet18(2, 8).with_width(2),
    ] {
        let start = Classifier::new(config, 0).unwrap();
        let fit = |n: usize, batch_size| {
            let mut model = start.clone();
            let config = TrainConfig {
                batch_size,
                ..short()
            };
            let result = train(&mut model, &squares(n, 8, 2), None, &config, &mut |_| ());
            (result, model.weights().unwrap())
        };
        for (n, batch) in [(1, 64), (4, 1)] {
            let (refused, weights) = fit(n, batch);
            assert!(matches!(refused, Err(Error::OneValue { image_size: 8 })));
            let told = refused.unwrap_err().to_string();
            assert!(told.contains("batches of 2 or more"), "{told}");
            assert!(weights == start.weights().unwrap());
        }
        // Three images in batches of two leave one out of each epoch.
        for (n, batch) in [(2, 64), (3, 2)] {
            let (trained, weights) = fit(n, batch);
            trained.unwrap();
            assert!(weights != start.weights().unwrap());
        }
        // The remedy that the error names.
        let larger = ClassifierConfig {
            image_size: 9,
            ..config
        };
        let mut model = Classifier::new(larger, 0).unwrap();
        train(&mut model, &squares(1, 9, 1), None, &short(), &mut |_| ()).unwrap();
    }
}

#[test]
fn the_latest_of_the_best_epochs_on_enough_validation_images_is_kept() {
    let (images, validation) = (squares(24, 16, 4), squares(60, 16, 4));
    let mut model = classifier(0);
    let config = TrainConfig {
        epochs: 6,
        ..short()
    };
    let report = train(&mut model, &images, Some(&validation), &config, &mut |_| ()).unwrap();
    assert!(report.selection.is_by_validation(), "{}", report.selection);
    let accuracies: Vec<f32> = report
        .curve
        .iter()
        .map(|e| e.validation_balanced_accuracy.unwrap())
        .collect();
    let best = accuracies.iter().copied().fold(0.0, f32::max);
    assert_eq!(
        accuracies.iter().rposition(|a| *a == best),
        Some(report.selected_epoch)
    );
    let tally = evaluate(&model, &validation).unwrap().tally();
    assert_eq!(tally.balanced_accuracy() as f32, best);
}

#[test]
fn too_few_validation_images_keep_the_last_epoch() {
    let images = squares(24, 16, 4);
    let run = |validation: Option<&_>| {
        let mut model = classifier(0);
        let report = train(&mut model, &images, validation, &short(), &mut |_| ()).unwrap();
        (report, model.weights().unwrap())
    };
    let (report, weights) = run(Some(&squares(40, 16, 4)));
    assert_eq!(report.selected_epoch, 2);
    let told = report.selection.to_string();
    assert!(
        told.starts_with("last: only 40 validation images"),
        "{told}"
    );
    assert!(report.curve[0].validation_accuracy.is_some());
    assert!(weights == run(None).1);
}

/// The majority class wins plain accuracy from the first epoch on; it must not be what is kept.
#[test]
fn a_majority_class_does_not_choose_the_epoch() {
    let skewed = |n: usize| {
        let all = squares(4 * n, 16, 4);
        let common = (0..4 * n).filter(|i| i % 4 == 0);
        let rare = (0..4 * n).filter(|i| i % 4 != 0).take(18);
        all.subset(&common.chain(rare).collect::<Vec<_>>())
    };
    let mut model = classifier(0);
    let config = TrainConfig {
        epochs: 12,
        ..short()
    };
    let (images, validation) = (skewed(150), skewed(150));
    let report = train(&mut model, &images, Some(&validation), &config, &mut |_| ()).unwrap();
    assert!(report.selection.is_by_validation(), "{}", report.selection);
    let kept = &report.curve[report.selected_epoch];
    let best = report
        .curve
        .iter()
        .filter_map(|e| e.validation_balanced_accuracy);
    assert_eq!(
        kept.validation_balanced_accuracy,
        best.reduce(f32::max),
        "{:?}",
        report.curve
    );
    // The majority alone scores a quarter.
    assert!(kept.validation_balanced_accuracy > Some(0.3), "{kept:?}");
}

#[test]
fn what_the_classes_are_told_apart_by_survives_without_flips() {
    // Left half or right half bright.
    let images = squares(40, 16, 2);
    let accuracy = |flip| {
        let recipe = Recipe {
            image_size: 16,
            width: 6,
            training: TrainConfig {
                epochs: 30,
                augmentation: Augmentation {
                    flip,
                    ..Augmentation::default()
                },
                ..TrainConfig::default()
            },
            ..Recipe::default()
        };
        let mut model = recipe.start(2).unwrap();
        let held_out = recipe.hold_out(&images);
        let report = recipe
            .train(&mut model, &held_out, None, &mut |_| ())
            .unwrap();
        assert_eq!(model.recipe(), Some(&recipe));
        // Of the images as mirrored, which is what flips leave nothing of.
        report.curve[29].train_accuracy
    };
    assert!(accuracy(false) > 0.95);
    let with = accuracy(true);
    assert!((0.2..0.8).contains(&with), "{with}");
}

#[test]
fn training_does_not_change_a_clone() {
    let mut model = classifier(0);
    let clone = model.clone();
    let before = clone.weights().unwrap();
    train(&mut model, &squares(9, 16, 4), None, &short(), &mut |_| ()).unwrap();
    assert!(clone.weights().unwrap() == before);
    assert!(model.weights().unwrap() != before);
}

#[test]
fn samples_of_weight_zero_teach_nothing() {
    let images = squares(8, 16, 4);
    let mut relabelled = images.clone();
    relabelled.labels[7] = 0;
    let weights = [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
    let run = |images| {
        let mut model = classifier(0);
        train_weighted(&mut model, images, &weights, None, &short(), &mut |_| ()).unwrap();
        model.weights().unwrap()
    };
    assert!(run(&images) == run(&relabelled));
}

#[test]
fn weights_that_are_all_the_same_change_no_bit() {
    let images = squares(40, 16, 4);
    let config = TrainConfig {
        batch_size: 8,
        ..short()
    };
    let mut plain = classifier(0);
    let curve = train(&mut plain, &images, None, &config, &mut |_| ()).unwrap();
    for weight in [1.0, 0.5, 3.0] {
        let mut model = classifier(0);
        let weights = vec![weight; images.len()];
        let report =
            train_weighted(&mut model, &images, &weights, None, &config, &mut |_| ()).unwrap();
        assert!(model.weights().unwrap() == plain.weights().unwrap());
        assert_eq!(report.curve, curve.curve);
    }
}

#[test]
fn weights_follow_their_images_through_a_recipe_that_holds_some_out() {
    // Two of three labels of every class are wrong, and weigh nothing.
    let mut images = squares(600, 16, 4);
    let right: Vec<bool> = (0..images.len()).map(|i| i / 4 % 3 == 0).collect();
    for (label, right) in images.labels.iter_mut().zip(&right) {
        *label = if *right { *label } else { (*label + 1) % 4 };
    }
    let recipe = Recipe {
        image_size: 16,
        width: 6,
        training: TrainConfig {
            batch_size: 32,
            augmentation: Augmentation {
                flip: false,
                shift: 0.05,
            },
            ..TrainConfig::default()
        },
        ..Recipe::default()
    }
    .with(8, 0);
    let weights: Vec<f32> = right
        .iter()
        .map(|right| f32::from(u8::from(*right)))
        .collect();
    let accuracy = |held: &HeldOut| {
        let mut model = recipe.start(4).unwrap();
        recipe.train(&mut model, held, None, &mut |_| ()).unwrap();
        evaluate(&model, &squares(80, 16, 4)).unwrap().accuracy
    };
    let supervised = |weights: &[f32]| Supervision {
        weights: Some(weights.to_vec()),
        ..Supervision::default()
    };
    let held = recipe
        .hold_out_supervised(&images, &supervised(&weights))
        .unwrap();
    let kept = held.supervision.weights.as_ref().unwrap();
    assert_eq!(kept.len(), held.training.len());
    assert!(!held.validation.is_empty());
    // The held-out images have wrong labels too, and would choose the epoch by them.
    let weighted = HeldOut {
        validation: images.subset(&[]),
        ..held
    };
    let plain = HeldOut {
        supervision: Supervision::default(),
        ..weighted.clone()
    };
    let (weighted, plain) = (accuracy(&weighted), accuracy(&plain));
    assert!(weighted > 0.95, "{weighted}");
    assert!(plain < 0.3, "{plain}");
    let short = supervised(&weights[1..]);
    assert!(recipe.hold_out_supervised(&images, &short).is_err());
}

#[test]
fn soft_labels_teach_in_place_of_labels() {
    // All labels are wrong; the soft labels know better, with a tenth of doubt.
    let right = squares(400, 16, 4);
    let mut images = right.clone();
    images.labels.iter_mut().for_each(|l| *l = (*l + 1) % 4);
    let targets = right
        .labels
        .iter()
        .flat_map(|label| (0..4).map(move |class| if class == *label { 0.9 } else { 0.1 / 3.0 }));
    let supervision = Supervision {
        targets: Some(targets.collect()),
        ..Supervision::default()
    };
    let recipe = Recipe {
        image_size: 16,
        width: 6,
        training: TrainConfig {
            batch_size: 32,
            augmentation: Augmentation {
                flip: false,
                shift: 0.05,
            },
            ..TrainConfig::default()
        },
        validation_fraction: 0.0,
        ..Recipe::default()
    }
    .with(10, 0);
    let held = recipe.hold_out_supervised(&images, &supervision).unwrap();
    let mut model = recipe.start(4).unwrap();
    recipe.train(&mut model, &held, None, &mut |_| ()).unwrap();
    let accuracy = evaluate(&model, &squares(80, 16, 4)).unwrap().accuracy;
    assert!(accuracy > 0.9, "{accuracy}");
    let short = Supervision {
        targets: supervision.targets.map(|targets| targets[4..].to_vec()),
        ..Supervision::default()
    };
    assert!(recipe.hold_out_supervised(&images, &short).is_err());
}

#[test]
fn features_and_the_head_give_the_probabilities() {
    let mut model = classifier(0);
    let images = squares(9, 16, 4);
    train(&mut model, &images, None, &short(), &mut |_| ()).unwrap();
    let features = model.features(&images).unwrap();
    let weights = model.weights().unwrap();
    let (head, bias) = (&weights["head.weight"], &weights["head.bias"]);
    assert_eq!(head.shape, [4, model.channels()]);
    let expected = model.probabilities(&images).unwrap();
    for (row, expected) in features.chunks(model.channels()).zip(expected.chunks(4)) {
        let logits = head.values.chunks(model.channels()).zip(&bias.values);
        let logits: Vec<f32> = logits
            .map(|(w, b)| w.iter().zip(row).map(|(w, v)| w * v).sum::<f32>() + b)
            .collect();
        let sum: f32 = logits.iter().map(|l| l.exp()).sum();
        for (logit, p) in logits.iter().zip(expected) {
            assert!((logit.exp() / sum - p).abs() < 1e-5, "{logit} {p}");
        }
    }
}

#[test]
fn files_and_weights_round_trip() {
    let mut model = classifier(3);
    train(&mut model, &squares(9, 16, 4), None, &short(), &mut |_| ()).unwrap();
    assert_eq!(model.recipe(), None);
    let plain = model.to_safetensors().unwrap();
    assert_eq!(Classifier::from_safetensors(&plain).unwrap().recipe(), None);
    let recipe = Recipe {
        image_size: 16,
        width: 6,
        training: short(),
        ..Recipe::default()
    };
    model.set_recipe(recipe.clone());
    let bytes = model.to_safetensors().unwrap();
    let back = Classifier::from_safetensors(&bytes).unwrap();
    assert_eq!(back.recipe(), Some(&recipe));
    assert!(back.weights().unwrap() == model.weights().unwrap());
    assert_eq!(back.config(), model.config());
    assert!(back.to_safetensors().unwrap() == bytes);
    let trained: usize = model
        .weights()
        .unwrap()
        .iter()
        .filter(|(name, _)| !name.contains("running"))
        .map(|(_, t)| t.values.len())
        .sum();
    assert_eq!(trained, model.num_parameters());
}

#[test]
fn every_misfit_of_weights_is_named() {
    let mut model = classifier(0);
    let mut weights = model.weights().unwrap();
    weights.remove("stem.0.weight");
    weights.get_mut("head.bias").unwrap().shape = vec![5];
    weights.get_mut("blocks.0.na.weight").unwrap().values[0] = f32::NAN;
    weights.insert("extra".into(), weights["head.weight"].clone());
    let before = model.weights().unwrap();
    let message = model.load_weights(&weights).unwrap_err().to_string();
    for name in ["stem.0.weight", "head.bias", "blocks.0.na.weight", "extra"] {
        assert!(message.contains(name), "{message}");
    }
    assert!(model.weights().unwrap() == before);
}

#[test]
fn damaged_files_are_errors() {
    let bytes = classifier(0).to_safetensors().unwrap();
    for end in [0, 7, 8, 100, bytes.len() - 1] {
        assert!(Classifier::from_safetensors(&bytes[..end]).is_err());
    }
}

#[test]
fn unfit_input_is_refused_and_changes_nothing() {
    let mut model = classifier(0);
    let before = model.weights().unwrap();
    let images = squares(8, 16, 4);
    let mut fit = |images: &_, config: &_| train(&mut model, images, None, config, &mut |_| ());
    assert!(matches!(
        fit(&squares(8, 32, 4), &short()),
        Err(Error::ImageSize { .. })
    ));
    assert!(matches!(
        fit(&squares(8, 16, 5), &short()),
        Err(Error::Label { index: 4, .. })
    ));
    assert!(matches!(
        fit(&squares(0, 16, 4), &short()),
        Err(Error::NoImages { .. })
    ));
    let mut ragged = images.clone();
    ragged.pixels.pop();
    assert!(matches!(
        fit(&ragged, &short()),
        Err(Error::Inconsistent { .. })
    ));
    let wild = TrainConfig {
        learning_rate: 1e30,
        ..short()
    };
    assert!(matches!(fit(&images, &wild), Err(Error::Diverged { .. })));
    let wrong = TrainConfig {
        momentum: 1.0,
        ..short()
    };
    assert!(matches!(
        fit(&images, &wrong),
        Err(Error::Config {
            field: "momentum",
            ..
        })
    ));
    let negative = [1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let refused = train_weighted(&mut model, &images, &negative, None, &short(), &mut |_| ());
    assert!(matches!(refused, Err(Error::SampleWeight { index: 1, .. })));
    assert!(model.weights().unwrap() == before);
}

#[test]
fn resnet18_has_its_parameters_and_trains() {
    let config = ClassifierConfig::resnet18(10, 32);
    // 11,173,962 with a 3x3 stem and ten classes, less the normalisation of three shortcuts, which have none here.
    assert_eq!(
        Classifier::new(config, 0).unwrap().num_parameters(),
        11_173_962 - 2 * (128 + 256 + 512)
    );
    let narrow = ClassifierConfig {
        width: 2,
        ..ClassifierConfig::resnet18(4, 16)
    };
    let mut model = Classifier::new(narrow, 0).unwrap();
    train(&mut model, &squares(8, 16, 4), None, &short(), &mut |_| ()).unwrap();
    let again = Classifier::from_safetensors(&model.to_safetensors().unwrap()).unwrap();
    assert_eq!(again.config(), &narrow);
}
