//! Rows at equal distances.

/// Whether rows (image, line, pixel) that begin at `image * steps[0] + line * steps[1] + pixel * steps[2]` lie `steps[2]`
/// apart within each group of `group` rows.
pub(super) fn equal_steps(shape: [usize; 3], steps: [usize; 3], group: usize) -> bool {
    let [images, lines, pixels] = shape;
    let [image_step, line_step, pixel_step] = steps;
    let across_lines = lines == 1 || line_step == pixels * pixel_step;
    let across_images = images == 1 || image_step == lines * pixels * pixel_step;
    pixels.is_multiple_of(group)
        || (across_lines && (across_images || (lines * pixels).is_multiple_of(group)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::equal_steps;

    proptest! {
        #[test]
        fn groups_have_equal_steps(shape in [1usize..4, 1usize..5, 1usize..34], gaps in [0usize..2, 0usize..2], group in 1usize..17) {
            let [images, lines, pixels] = shape;
            let line = pixels * 3 + gaps[1];
            let image = lines * line + gaps[0];
            let starts: Vec<usize> = (0..images)
                .flat_map(|i| (0..lines).flat_map(move |l| (0..pixels).map(move |p| i * image + l * line + p * 3)))
                .collect();
            let even = starts.chunks(group).all(|group| group.windows(2).all(|two| two[1] - two[0] == 3));
            // The rule may miss rows that happen to be even, but none that are not.
            prop_assert!(even || !equal_steps(shape, [image, line, 3], group));
            if lines * pixels > 1 && gaps == [0, 0] {
                prop_assert!(equal_steps(shape, [image, line, 3], group));
            }
        }
    }
}
