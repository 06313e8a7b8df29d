//! Runs a workload once for every line on standard input, a name and its arguments, and answers with a
//! line of JSON: the seconds it took and, for `peak f32` and `peak bf16`, its floating-point operations. `compare_torch.py` and
//! `compare_diffusers.py` ask in turn with PyTorch and diffusers.
//!
//! `times N` before a workload runs it N times and answers with the seconds of one.
//!
//! The first run of a workload prepares it and is timed too: leave it out.

mod models;
mod operations;
mod peak;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use promptfed_kernels::Kernels;
use promptfed_nn::{Precision, on_pool_thread};
use serde_json::{Value, json};

// The allocator of the promptfed program.
#[global_allocator]
static ALLOCATOR: promptfed_allocator::MiMalloc = promptfed_allocator::MiMalloc;

/// What is timed.
type Workload = Box<dyn FnMut() -> Result<()> + Send>;

fn prepare(kernels: Kernels, words: &[&str]) -> Result<Workload> {
    let word = |i: usize| words.get(i).copied().context("an argument is missing");
    let number = |i: usize| -> Result<usize> {
        let word = word(i)?;
        word.parse()
            .with_context(|| format!("{word:?} is not a number"))
    };
    match words.first().copied().unwrap_or_default() {
        "convolution" => operations::convolution(kernels, number(1)?, number(2)?),
        "linear" => operations::linear(kernels, number(1)?, number(2)?, number(3)?),
        "attention" => operations::attention(kernels, number(1)?, number(2)?, number(3)?),
        "pocket" => models::pocket(word(1)?, number(2)?, number(3)?),
        "training" => models::training(word(1)?, number(2)?),
        "unet" => models::unet(word(1)?),
        "stable-diffusion" => models::stable_diffusion(word(1)?, number(2)?, number(3)?),
        other => bail!("{other:?} is no workload"),
    }
}

/// The workloads prepared so far, by the line that asks for them.
struct Workloads {
    kernels: Kernels,
    prepared: HashMap<String, Workload>,
}

impl Workloads {
    fn answer(&mut self, line: &str) -> Result<Value> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line == "forget" {
            // Large models give way to the next ones.
            self.prepared.clear();
            return Ok(json!({}));
        }
        if let ["peak", precision] = words[..] {
            let start = Instant::now();
            let flops = match precision {
                "bf16" => peak::bf16_products(self.kernels),
                "f32" => peak::multiply_adds(),
                other => bail!("{other:?} is no precision"),
            };
            return Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "flops": flops }));
        }
        let (times, line) = match words[..] {
            ["times", times, ..] => {
                let times: u32 = times.parse().context("how many times")?;
                (times.max(1), words[2..].join(" "))
            }
            _ => (1, line.to_owned()),
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let workload = match self.prepared.entry(line.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(prepare(self.kernels, &words)?),
        };
        let start = Instant::now();
        on_pool_thread(|| (0..times).try_for_each(|_| workload()))?;
        let seconds = start.elapsed().as_secs_f64() / f64::from(times);
        Ok(json!({ "seconds": seconds }))
    }
}

fn main() -> Result<()> {
    promptfed_allocator::keep_freed_memory();
    let kernels = Kernels::chosen()?;
    let mut workloads = Workloads {
        kernels,
        prepared: HashMap::new(),
    };
    println!(
        "{}",
        json!({
            "instruction_set": kernels.instruction_set().to_string(),
            "precision": Precision::chosen().to_string(),
        })
    );
    for line in std::io::stdin().lock().lines() {
        println!("{}", workloads.answer(line?.trim())?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
