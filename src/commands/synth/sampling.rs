//! How images are sampled, on the command line.

use clap::Args as ClapArgs;
use promptfed_prompts::protocol::{GuidancePlan, ImageBudget, SourcePlan, SynthesisPlan};
use promptfed_synth::{Guidance, JobSpec, Sampler};

/// Sampling settings; what is not given is the engine's own.
#[derive(ClapArgs, Clone, Copy, Default)]
pub(crate) struct SamplingArgs {
    /// Integration steps [default: the engine's]
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// Guidance scale, 1 (none) to 50: a number, or LOW..HIGH to draw one for each image [default: the engine's]
    #[arg(long, value_parser = guidance)]
    pub(crate) guidance: Option<Guidance>,
    /// Sampler [default: the engine's]. pocket: euler, heun, ab2; sd: ddim, euler, euler-ancestral, dpm++2m,
    /// dpm++2m-karras, unipc, lcm, pndm
    #[arg(long)]
    pub(crate) sampler: Option<Sampler>,
}

impl SamplingArgs {
    /// What a round is told; `min_score` asks for the server's CLIP filter.
    pub(crate) fn plan(
        &self,
        sources: Vec<SourcePlan>,
        images: ImageBudget,
        min_score: Option<f32>,
        seed: u64,
    ) -> SynthesisPlan {
        SynthesisPlan {
            sources,
            images,
            steps: self.steps,
            guidance: self.guidance.map(Into::into),
            sampler: self.sampler.map(|sampler| sampler.to_string()),
            min_clip_score: min_score.map(Into::into),
            seed,
        }
    }

    /// Puts what was given in the place of the engine's own.
    pub(super) fn apply(&self, job: &mut JobSpec) {
        job.steps = self.steps.unwrap_or(job.steps);
        job.guidance = self.guidance.unwrap_or(job.guidance);
        job.sampler = self.sampler.unwrap_or(job.sampler);
    }
}

/// Reads `2.5` or `1.5..3`.
fn guidance(text: &str) -> Result<Guidance, String> {
    let number = |part: &str| {
        part.trim()
            .parse::<f32>()
            .map_err(|_| format!("`{part}` is not a number; write 2.5, or 1.5..3 for a range"))
    };
    let guidance = match text.split_once("..") {
        None => Guidance::Fixed(number(text)?),
        Some((low, high)) => Guidance::Uniform {
            low: number(low)?,
            high: number(high.trim_start_matches('='))?,
        },
    };
    match GuidancePlan::from(guidance).validate() {
        Ok(()) => Ok(guidance),
        Err(fault) => Err(format!("give {}", fault.rule())),
    }
}
