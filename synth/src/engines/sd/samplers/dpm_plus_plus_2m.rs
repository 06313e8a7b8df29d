//! DPM-Solver++(2M), the multistep solver of second order for the clean latents (Lu et al. 2022, "DPM-Solver++", algorithm 2),
//! with the training schedule's noise levels or Karras et al.'s; diffusers' `DPMSolverMultistepScheduler`.

use super::sigmas::{
    SigmaTable, closed, karras, log_snr, refuse_other_spacings, variance_preserving,
};
use super::timesteps::Visits;
use super::{Course, DrawNoise, Level, Solver, combine};
use crate::engines::sd::schedule::{BetaSchedule, FinalSigma, Prediction, SchedulerConfig};
use crate::{Error, Result, Sampler};

/// Runs of fewer steps end with steps of lower order.
const SHORT_RUN: usize = 15;

struct DpmPlusPlus2m {
    prediction: Prediction,
    sigmas: Vec<f64>,
    correction: Correction,
    order: usize,
    /// Whether the last step is of first order.
    first_order_end: bool,
    /// The clean latents seen at the step before.
    before: Option<Vec<f32>>,
}

/// How the second-order term is integrated.
#[derive(Clone, Copy, PartialEq)]
enum Correction {
    Midpoint,
    Heun,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize, is_karras: bool) -> Result<Course> {
    refuse_other_spacings(config)?;
    let sampler = if is_karras {
        Sampler::DpmPlusPlus2mKarras
    } else {
        Sampler::DpmPlusPlus2m
    };
    let cumprod = config.alphas_cumprod(sampler)?;
    let table = SigmaTable::new(&cumprod);
    let train = cumprod.len();
    let (timesteps, sigmas) = if is_karras {
        let greatest = config.sigma_max.unwrap_or(table.greatest());
        let sigmas = karras(greatest, config.sigma_min.unwrap_or(table.least()), steps);
        // Between training steps only where the schedule's class leaves them there; whole in any case.
        let whole = |t: f64| match config.beta_schedule {
            Some(BetaSchedule::SquaredcosCapV2) => t.trunc(),
            _ => t.round_ties_even(),
        };
        let timesteps = sigmas.iter().map(|s| whole(table.step_of(*s))).collect();
        (timesteps, sigmas)
    } else {
        let clipped = config.lambda_min_clipped.unwrap_or(f64::NEG_INFINITY);
        let last = (0..train)
            .filter(|t| log_snr(table.at(*t as f64)) >= clipped)
            .count();
        let timesteps = Visits {
            last,
            drop_cleanest: true,
            ..Visits::of(config, sampler, steps, train)
        }
        .rounded()?;
        let sigmas = timesteps.iter().map(|t| table.at(*t)).collect();
        (timesteps, sigmas)
    };
    let end = config.final_sigmas_type.unwrap_or(FinalSigma::Zero);
    let count = timesteps.len();
    let lower = config.lower_order_final.unwrap_or(true) && count < SHORT_RUN;
    let solver = DpmPlusPlus2m {
        prediction: config.prediction(),
        sigmas: closed(sigmas, end, table.least()),
        correction: correction(config)?,
        order: order(config)?,
        first_order_end: lower || end == FinalSigma::Zero || config.euler_at_final == Some(true),
        before: None,
    };
    Ok(preserving_course(
        timesteps,
        &solver.sigmas.clone(),
        Box::new(solver),
    ))
}

/// A course in latents that keep their variance.
pub(super) fn preserving_course(
    timesteps: Vec<f64>,
    sigmas: &[f64],
    solver: Box<dyn Solver>,
) -> Course {
    let level = |sigma: &f64| {
        let (image, noise) = variance_preserving(*sigma);
        Level::variance_preserving(image, noise)
    };
    Course {
        levels: sigmas[..timesteps.len()].iter().map(level).collect(),
        timesteps,
        initial_sigma: 1.0,
        solver,
    }
}

fn correction(config: &SchedulerConfig) -> Result<Correction> {
    match config.algorithm_type.as_deref() {
        // diffusers takes `deis` for `dpmsolver++` here.
        None | Some("dpmsolver++" | "deis") => {}
        Some(other) => {
            return Err(Error::Spec(format!(
                "the folder's scheduler has algorithm_type {other}; only dpmsolver++ is offered"
            )));
        }
    }
    match config.solver_type.as_deref() {
        Some("heun") => Ok(Correction::Heun),
        // What other classes call their solvers is the default here.
        None | Some("midpoint" | "logrho" | "bh1" | "bh2") => Ok(Correction::Midpoint),
        Some(other) => Err(Error::Spec(format!(
            "the folder's scheduler has solver_type {other}; midpoint and heun are offered"
        ))),
    }
}

fn order(config: &SchedulerConfig) -> Result<usize> {
    match config.solver_order.unwrap_or(2) {
        order @ 1..=2 => Ok(order),
        order => Err(Error::Spec(format!(
            "the folder's scheduler has solver_order {order}; dpm++2m offers 1 and 2, unipc up to 3"
        ))),
    }
}

impl Solver for DpmPlusPlus2m {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], _: DrawNoise<'_>) {
        let (now, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let (alpha, sigma) = variance_preserving(now);
        let (x, o) = self.prediction.clean(alpha, sigma);
        let clean = combine([(x, latents), (o, output)]);

        let (alpha_next, sigma_next) = variance_preserving(next);
        let h = log_snr(next) - log_snr(now);
        let keep = sigma_next / sigma;
        let gain = -alpha_next * (-h).exp_m1();
        let is_last = index + 2 == self.sigmas.len();
        let before = self.before.as_deref();
        let moved = match before.filter(|_| self.order > 1 && !(is_last && self.first_order_end)) {
            None => combine([(keep, latents), (gain, &clean)]),
            Some(before) => {
                let r = (log_snr(now) - log_snr(self.sigmas[index - 1])) / h;
                let slope = match self.correction {
                    Correction::Midpoint => 0.5 * gain,
                    Correction::Heun => alpha_next * ((-h).exp_m1() / h + 1.0),
                } / r;
                combine([(keep, latents), (gain + slope, &clean), (-slope, before)])
            }
        };
        self.before = Some(clean);
        latents.copy_from_slice(&moved);
    }
}
