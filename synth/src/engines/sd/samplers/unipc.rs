//! UniPC, a multistep predictor with a corrector that costs no network call (Zhao et al. 2023, algorithms 1 and 2, for the
//! clean latents); diffusers' `UniPCMultistepScheduler`.

use std::collections::VecDeque;

use super::dpm_plus_plus_2m::preserving_course;
use super::sigmas::{
    SigmaTable, closed, karras, log_snr, refuse_other_spacings, variance_preserving,
};
use super::timesteps::Visits;
use super::{Course, DrawNoise, Solver, combine};
use crate::engines::sd::schedule::{FinalSigma, Prediction, SchedulerConfig};
use crate::{Error, Result, Sampler};

struct UniPc {
    prediction: Prediction,
    sigmas: Vec<f64>,
    variant: Variant,
    order: usize,
    lower_order_end: bool,
    /// Steps after which nothing is corrected.
    uncorrected: Vec<usize>,
    /// Clean latents seen at the steps before, the latest first.
    seen: VecDeque<Vec<f32>>,
    /// The corrected latents that the last step started from, and its order.
    last: Option<(Vec<f32>, usize)>,
}

/// B(h) in the paper.
#[derive(Clone, Copy)]
enum Variant {
    /// B(h) = h
    Bh1,
    /// B(h) = exp(h) - 1
    Bh2,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize) -> Result<Course> {
    refuse_other_spacings(config)?;
    if config.predict_x0 == Some(false) {
        return Err(Error::Spec(
            "the folder's scheduler sets predict_x0 to false, which is not offered; set it to true or use another sampler".into(),
        ));
    }
    let order = match config.solver_order.unwrap_or(2) {
        order @ 1..=3 => order,
        order => {
            return Err(Error::Spec(format!(
                "the folder's scheduler has solver_order {order}; unipc offers 1 to 3"
            )));
        }
    };
    let variant = match config.solver_type.as_deref() {
        Some("bh1") => Variant::Bh1,
        // What other classes call their solvers is the default here.
        None | Some("bh2" | "midpoint" | "heun" | "logrho") => Variant::Bh2,
        Some(other) => {
            return Err(Error::Spec(format!(
                "the folder's scheduler has solver_type {other}; bh1 and bh2 are offered"
            )));
        }
    };
    let cumprod = config.alphas_cumprod(Sampler::UniPc)?;
    let table = SigmaTable::new(&cumprod);
    let is_karras = config.use_karras_sigmas == Some(true);
    let (timesteps, sigmas): (Vec<f64>, Vec<f64>) = if is_karras {
        let greatest = config.sigma_max.unwrap_or(table.greatest());
        let sigmas = karras(greatest, config.sigma_min.unwrap_or(table.least()), steps);
        let step = |s: &f64| table.step_of(*s).round_ties_even();
        (sigmas.iter().map(step).collect(), sigmas)
    } else {
        let timesteps = Visits {
            drop_cleanest: true,
            ..Visits::of(config, Sampler::UniPc, steps, cumprod.len())
        }
        .rounded()?;
        let sigmas = timesteps.iter().map(|t| table.at(*t)).collect();
        (timesteps, sigmas)
    };
    let least = if is_karras {
        sigmas[sigmas.len() - 1]
    } else {
        table.least()
    };
    let end = config.final_sigmas_type.unwrap_or(FinalSigma::Zero);
    let sigmas = closed(sigmas, end, least);
    let solver = UniPc {
        prediction: config.prediction(),
        sigmas: sigmas.clone(),
        variant,
        order,
        lower_order_end: config.lower_order_final.unwrap_or(true),
        uncorrected: config.disable_corrector.clone().unwrap_or_default(),
        seen: VecDeque::new(),
        last: None,
    };
    Ok(preserving_course(timesteps, &sigmas, Box::new(solver)))
}

/// The coefficients of one step from noise level `from` to `to`.
struct Update {
    /// Of the latents at `from`.
    keep: f64,
    /// Of the clean latents at `from`.
    gain: f64,
    /// Of the sum of the weighted differences.
    slope: f64,
    /// Places of the clean latents before `from`, in units of the step; negative.
    places: Vec<f64>,
    /// Right-hand side of the equations for the weights.
    rhs: Vec<f64>,
}

impl UniPc {
    /// `index` is the step's, `order` the number of conditions that the weights meet.
    fn update(&self, index: usize, order: usize) -> Update {
        let (from, to) = (self.sigmas[index], self.sigmas[index + 1]);
        let (_, sigma_from) = variance_preserving(from);
        let (alpha_to, sigma_to) = variance_preserving(to);
        let start = log_snr(from);
        let h = log_snr(to) - start;
        let phi = (-h).exp_m1();
        let b = match self.variant {
            Variant::Bh1 => -h,
            Variant::Bh2 => phi,
        };
        let mut rhs = Vec::with_capacity(order);
        let (mut term, mut factorial) = (phi / -h - 1.0, 1.0);
        for i in 1..=order {
            rhs.push(term * factorial / b);
            factorial *= (i + 1) as f64;
            term = term / -h - 1.0 / factorial;
        }
        Update {
            keep: sigma_to / sigma_from,
            gain: -alpha_to * phi,
            slope: -alpha_to * b,
            places: (1..order)
                .map(|i| (log_snr(self.sigmas[index - i]) - start) / h)
                .collect(),
            rhs,
        }
    }

    /// Latents after the step: the predictor's from `latents` and the clean latents in `seen`.
    fn predict(&self, index: usize, order: usize, latents: &[f32]) -> Vec<f32> {
        let update = self.update(index, order);
        let weights = match order {
            1 => Vec::new(),
            // As published: exact for no kernel, good for all.
            2 => vec![0.5],
            _ => solve(&update.places, &update.rhs[..order - 1]),
        };
        self.advance(&update, &weights, latents, None)
    }

    /// Latents before step `index`, again, now that the network has seen them as `clean`.
    fn correct(&self, index: usize, order: usize, started: &[f32], clean: &[f32]) -> Vec<f32> {
        let update = self.update(index - 1, order);
        let weights = if order == 1 {
            vec![0.5]
        } else {
            let places = [&update.places[..], &[1.0]].concat();
            solve(&places, &update.rhs)
        };
        self.advance(&update, &weights, started, Some(clean))
    }

    fn advance(
        &self,
        update: &Update,
        weights: &[f64],
        latents: &[f32],
        arrived: Option<&[f32]>,
    ) -> Vec<f32> {
        let here = &self.seen[0];
        let mut from_here = update.gain;
        let mut moved = combine([(update.keep, latents)]);
        let earlier = self.seen.iter().skip(1).zip(&update.places);
        let ends = arrived.map(|clean| (clean, 1.0));
        let differences = earlier
            .map(|(clean, place)| (clean.as_slice(), *place))
            .chain(ends);
        for ((clean, place), weight) in differences.zip(weights) {
            let weight = update.slope * weight / place;
            from_here -= weight;
            moved = combine([(1.0, &moved), (weight, clean)]);
        }
        combine([(1.0, &moved), (from_here, here)])
    }
}

impl Solver for UniPc {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], _: DrawNoise<'_>) {
        let (alpha, sigma) = variance_preserving(self.sigmas[index]);
        let (x, o) = self.prediction.clean(alpha, sigma);
        let clean = combine([(x, latents), (o, output)]);
        if let Some((started, order)) = &self.last
            && !self.uncorrected.contains(&(index - 1))
        {
            let corrected = self.correct(index, *order, started, &clean);
            latents.copy_from_slice(&corrected);
        }
        self.seen.push_front(clean);
        self.seen.truncate(self.order);
        let left = self.sigmas.len() - 1 - index;
        let mut order = self.order.min(self.seen.len());
        // Without noise at its end a step has no weights of higher order.
        if self.lower_order_end || self.sigmas[index + 1] == 0.0 {
            order = order.min(left);
        }
        let moved = self.predict(index, order, latents);
        self.last = Some((latents.to_vec(), order));
        latents.copy_from_slice(&moved);
    }
}

/// Weights w with sum_k w_k places_k^i = rhs_i for i = 0, 1, ..: Gaussian elimination with row exchange.
fn solve(places: &[f64], rhs: &[f64]) -> Vec<f64> {
    let n = places.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let powers = places.iter().map(|p| p.powi(i as i32));
            powers.chain([rhs[i]]).collect()
        })
        .collect();
    for column in 0..n {
        let largest = (column..n)
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))
            .unwrap_or(column);
        rows.swap(column, largest);
        let pivot = rows[column].clone();
        for (i, row) in rows.iter_mut().enumerate() {
            if i != column {
                let factor = row[column] / pivot[column];
                for (value, p) in row.iter_mut().zip(&pivot) {
                    *value -= factor * p;
                }
            }
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}
