//! Small sets of images for the tests.

use promptfed_data::LabelledImages;

/// Images whose class is the place of a bright square on noise.
pub(crate) fn squares(n: usize, size: usize, classes: usize) -> LabelledImages {
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for i in 0..n {
        let class = i % classes;
        labels.push(class as u32);
        let (top, left) = ((class / 2) * size / 2, (class % 2) * size / 2);
        for y in 0..size {
            for x in 0..size {
                let inside =
                    (top..top + size / 2).contains(&y) && (left..left + size / 2).contains(&x);
                let noise = blake3::hash(&[i as u8, y as u8, x as u8]).as_bytes()[0] / 3;
                let value = if inside { 200 } else { 40 } + noise % 50;
                pixels.extend([value, value / 2, noise]);
            }
        }
    }
    LabelledImages {
        size,
        pixels,
        labels,
        domains: (0..n).map(|i| (i % 3) as u32).collect(),
        class_names: (0..classes).map(|i| i.to_string()).collect(),
        domain_names: vec!["a".into(), "b".into(), "c".into(), "unused".into()],
    }
}
