//! Integration of the velocity field from noise to image.

use crate::{Result, Sampler};

/// How the images of one group are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Schedule {
    pub(super) sampler: Sampler,
    pub(super) steps: u32,
    /// Whether any image is guided at all.
    pub(super) guided: bool,
    /// Times from and to which guidance acts, both included.
    pub(super) interval: [f64; 2],
    /// Above 1, the steps near the noise are smaller.
    pub(super) shift: f32,
}

impl Schedule {
    /// The times 0 = t_0 < .. < t_steps = 1, in f32 as `torch.linspace` makes them, shifted: u / (u + shift (1 - u)).
    fn times(&self) -> Vec<f32> {
        let points = self.steps as usize + 1;
        let step = 1.0 / self.steps as f32;
        (0..points)
            .map(|i| {
                let u = if i < points / 2 {
                    i as f32 * step
                } else {
                    1.0 - step * (points - 1 - i) as f32
                };
                if self.shift == 1.0 {
                    u
                } else {
                    u / (u + self.shift * (1.0 - u))
                }
            })
            .collect()
    }

    fn guides_at(&self, t: f32) -> bool {
        self.guided && (self.interval[0]..=self.interval[1]).contains(&f64::from(t))
    }

    /// Carries `z` from noise to image. `predict(z, t, guided)` gives the clean image the network sees in `z` at
    /// time `t`; the velocity there is (x - z) / max(1 - t, 0.05).
    pub(super) fn integrate(
        &self,
        mut z: Vec<f32>,
        mut predict: impl FnMut(&[f32], f32, bool) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let mut velocity = |z: &[f32], t: f32| -> Result<Vec<f32>> {
            let mut v = predict(z, t, self.guides_at(t))?;
            let rest = (1.0 - t).max(0.05);
            for (v, z) in v.iter_mut().zip(z) {
                *v = (*v - z) / rest;
            }
            Ok(v)
        };
        let times = self.times();
        let mut before: Option<(f32, Vec<f32>)> = None;
        for (i, pair) in times.windows(2).enumerate() {
            let (t, next) = (pair[0], pair[1]);
            let v = velocity(&z, t)?;
            let euler: Vec<f32> = z.iter().zip(&v).map(|(z, v)| z + (next - t) * v).collect();
            let last = i + 2 == times.len();
            z = match self.sampler {
                Sampler::Heun if !last => {
                    let w = velocity(&euler, next)?;
                    let mean = v.iter().zip(&w).map(|(v, w)| v + w);
                    z.iter()
                        .zip(mean)
                        .map(|(z, m)| z + (next - t) * 0.5 * m)
                        .collect()
                }
                // v + h / (2 h_before) (v - v_before), the first step Euler's (Hairer, Norsett and Wanner, III.5).
                Sampler::Ab2 => match &before {
                    None => euler,
                    Some((earlier, w)) => {
                        let ratio = (next - t) / (2.0 * (t - earlier));
                        let bent = v.iter().zip(w).map(|(v, w)| v + ratio * (v - w));
                        z.iter()
                            .zip(bent)
                            .map(|(z, v)| z + (next - t) * v)
                            .collect()
                    }
                },
                _ => euler,
            };
            before = Some((t, v));
        }
        for z in &mut z {
            // `clamp` keeps a NaN, which the job's screening must see.
            *z = z.clamp(-1.0, 1.0);
        }
        Ok(z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(sampler: Sampler, steps: u32) -> Schedule {
        Schedule {
            sampler,
            steps,
            guided: true,
            interval: [0.1, 1.0],
            shift: 1.0,
        }
    }

    #[test]
    fn shifted_times_are_denser_near_the_noise() {
        let mut few = schedule(Sampler::Ab2, 8);
        let even = few.times();
        few.shift = 3.0;
        let shifted = few.times();
        assert_eq!((shifted[0], shifted[8]), (0.0, 1.0));
        assert!(shifted.windows(2).all(|w| w[0] < w[1]));
        assert!((1..8).all(|i| shifted[i] < even[i]));
        few.shift = 2.5;
        // `pocket.times(8, 2.5)`
        let torch = [
            0.0,
            0.054054055,
            0.11764706,
            0.19354838,
            0.2857143,
            0.4,
            0.54545456,
            0.7368421,
            1.0,
        ];
        for (t, want) in few.times().iter().zip(torch) {
            assert!((t - want).abs() < 1e-7, "{t} {want}");
        }
    }

    #[test]
    fn two_steps_of_memory_follow_a_curve_better_than_one() {
        // Where the network sees x = z + (1 - t) 2t, the velocity is 2t and z(1) = z(0) + 1.
        let error = |sampler| {
            let mut few = schedule(sampler, 8);
            few.shift = 2.0;
            let predict = |z: &[f32], t: f32, _| Ok(vec![z[0] + (1.0 - t).max(0.05) * 2.0 * t]);
            (few.integrate(vec![-0.5], predict).unwrap()[0] - 0.5).abs()
        };
        assert!(error(Sampler::Ab2) < 0.2 * error(Sampler::Euler));
    }

    #[test]
    fn a_straight_path_is_exact_whatever_the_steps() {
        // A network that always sees the same image makes the path from noise to image a straight line.
        for &sampler in Sampler::FLOW {
            for steps in [1, 2, 3, 8, 20] {
                let out = schedule(sampler, steps)
                    .integrate(vec![2.0, -3.0], |_, _, _| Ok(vec![0.25, -0.5]))
                    .unwrap();
                assert!(
                    (out[0] - 0.25).abs() < 1e-5 && (out[1] + 0.5).abs() < 1e-5,
                    "{out:?}"
                );
            }
        }
    }

    #[test]
    fn calls_and_guidance_follow_the_schedule() {
        for (sampler, steps) in [
            (Sampler::Euler, 8),
            (Sampler::Heun, 8),
            (Sampler::Heun, 20),
            (Sampler::Heun, 1),
            (Sampler::Ab2, 8),
        ] {
            let mut calls = Vec::new();
            schedule(sampler, steps)
                .integrate(vec![0.0], |_, t, guided| {
                    calls.push((t, guided));
                    Ok(vec![0.0])
                })
                .unwrap();
            assert_eq!(calls.len() as u32, sampler.network_calls(steps));
            assert!(
                calls
                    .iter()
                    .all(|(t, guided)| *guided == (f64::from(*t) >= 0.1))
            );
        }
    }

    #[test]
    fn a_nan_survives() {
        let out = schedule(Sampler::Heun, 2)
            .integrate(vec![0.0], |_, _, _| Ok(vec![f32::NAN]))
            .unwrap();
        assert!(out[0].is_nan());
    }
}
