//! Global average pooling.

/// `output [n, channels]`: the mean over the pixels of every image of `values [n, pixels, channels]`.
///
/// # Panics
/// If the slices do not fit each other.
pub fn global_average(values: &[f32], pixels: usize, channels: usize, output: &mut [f32]) {
    assert_eq!(values.len(), output.len() * pixels);
    let images = values.chunks_exact(pixels * channels);
    for (output, image) in output.chunks_exact_mut(channels).zip(images) {
        output.fill(0.0);
        for pixel in image.chunks_exact(channels) {
            for (sum, v) in output.iter_mut().zip(pixel) {
                *sum += v;
            }
        }
        for sum in output {
            *sum /= pixels as f32;
        }
    }
}

/// The gradient of [`global_average`]: `gradient [n, pixels, channels]`.
///
/// # Panics
/// If the slices do not fit each other.
pub fn global_average_gradient(
    output_gradient: &[f32],
    pixels: usize,
    channels: usize,
    gradient: &mut [f32],
) {
    assert_eq!(gradient.len(), output_gradient.len() * pixels);
    let images = gradient.chunks_exact_mut(pixels * channels);
    for (output, image) in output_gradient.chunks_exact(channels).zip(images) {
        for pixel in image.chunks_exact_mut(channels) {
            for (g, o) in pixel.iter_mut().zip(output) {
                *g = o / pixels as f32;
            }
        }
    }
}
