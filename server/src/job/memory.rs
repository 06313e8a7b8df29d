//! What a round's training takes of memory, so that a round that cannot end is refused when it is opened and not found by a server that ends.

use std::path::Path;

use promptfed_learn::Architecture;
use promptfed_prompts::protocol::{ImageBudget, RoundSpec};

/// Bytes of a value of a feature map, in bf16.
const MAP_BYTES: u64 = 2;
/// Bytes of a parameter: its value, its gradient, its momentum.
const PARAMETER_BYTES: u64 = 3 * 4;

/// Bytes that the training of a round takes at least, where `prompts` are pooled: the images, the classifier with gradients and momenta, and the
/// feature maps of a batch.
pub(crate) fn needed(spec: &RoundSpec, prompts: u64) -> u64 {
    let (plan, training) = (&spec.synthesis, &spec.training);
    let made = match plan.images {
        ImageBudget::Total(images) => images,
        ImageBudget::PerPrompt(images) => {
            let each = u64::from(images).saturating_mul(plan.sources.len() as u64);
            each.saturating_mul(prompts)
        }
    };
    let chosen = plan.fuse.as_ref().and_then(|fuse| fuse.keep);
    let images = chosen.map_or(made, |keep| keep.min(made));
    let side = u64::from(training.image_size);
    let (parameters, maps) = classifier(training.architecture.into(), side, training.width.into());
    let batch = u64::from(training.batch_size).min(images);
    images
        .saturating_mul(3 * side * side)
        .saturating_add(parameters * PARAMETER_BYTES)
        .saturating_add(batch.saturating_mul(maps * MAP_BYTES))
}

/// Parameters of the convolutions of a classifier, and the values of the feature maps that they make of an image.
fn classifier(architecture: Architecture, side: u64, width: u64) -> (u64, u64) {
    let (mut side, mut before) = (side, width);
    let (mut parameters, mut maps) = (9 * 3 * width, side * side * width);
    for &(multiple, stride) in architecture.blocks() {
        let channels = multiple as u64 * width;
        side = side.div_ceil(stride as u64);
        parameters += 9 * channels * (before + channels);
        maps += 2 * side * side * channels;
        before = channels;
    }
    (parameters, maps)
}

/// Bytes of memory that this process can have at most, where the machine says so: its own, or what its control group is given.
pub(crate) fn most() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_of(&text));
    let group = group_limit(Path::new("/sys/fs/cgroup"));
    [machine, group].into_iter().flatten().min()
}

/// `MemTotal` of the kernel's table.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The limit of a container, whose own group stands at the root.
fn group_limit(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("memory.max")).ok()?;
    text.trim().parse().ok()
}

/// Bytes for people.
pub(crate) fn in_gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use promptfed_learn::{Classifier, ClassifierConfig};

    use super::*;

    #[test]
    fn a_classifier_is_known_by_its_convolutions() {
        // 3 x 3: the stem 3 x 4, then 4 x 4 twice, 4 x 8 and 8 x 8, 8 x 16 and 16 x 16, 16 x 16 twice.
        let convolutions = 9 * (12 + 32 + 96 + 384 + 512);
        // Maps of 16, 8, 4, 2 and 2 pixels.
        let maps = 256 * 4 + 2 * (64 * 4 + 16 * 8 + 4 * 16 + 4 * 16);
        let small = classifier(Architecture::Small, 16, 4);
        assert_eq!(small, (convolutions, maps));
        for architecture in [Architecture::Small, Architecture::Resnet18] {
            let config = ClassifierConfig {
                architecture,
                ..ClassifierConfig::new(3, 16).with_width(4)
            };
            let real = Classifier::new(config, 0).unwrap().num_parameters() as u64;
            let (least, _) = classifier(architecture, 16, 4);
            // Without shortcuts, normalisation and head.
            assert!(least <= real && real < least * 5 / 4, "{least} {real}");
        }
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "MemTotal:       16318480 kB\nMemFree:          903536 kB\n";
        assert_eq!(total_of(table), Some(16_318_480 * 1024));
        assert_eq!(total_of("nothing"), None);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(group_limit(folder.path()), None);
        fs_err::write(folder.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(group_limit(folder.path()), None);
        fs_err::write(folder.path().join("memory.max"), "1048576\n").unwrap();
        assert_eq!(group_limit(folder.path()), Some(1 << 20));
    }
}
