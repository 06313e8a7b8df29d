//! Runs a workload once for every line on standard input, a name and its arguments, and answers with a
//! line of JSON: the seconds it took. `compare_torch.py` asks in turn with PyTorch.
//!
//! The first run of a workload prepares it and is timed too: leave it out.

mod models;
mod operations;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use promptfed_kernels::Kernels;
use serde_json::json;

/// What is timed.
type Workload = Box<dyn FnMut() -> Result<()>>;

fn prepare(kernels: Kernels, words: &[&str]) -> Result<Workload> {
    let number = |i: usize| -> Result<usize> {
        let word = words.get(i).context("an argument is missing")?;
        word.parse()
            .with_context(|| format!("{word:?} is not a number"))
    };
    match words[0] {
        "convolution" => operations::convolution(kernels, number(1)?, number(2)?),
        "linear" => operations::linear(kernels, number(1)?, number(2)?, number(3)?),
        "attention" => operations::attention(kernels, number(1)?, number(2)?, number(3)?),
        "pocket" => models::pocket(words[1], number(2)?, number(3)?),
        "training" => models::training(words[1], number(2)?),
        "unet" => models::unet(words[1]),
        other => bail!("{other:?} is no workload"),
    }
}

fn main() -> Result<()> {
    let kernels = Kernels::chosen()?;
    let mut workloads: HashMap<String, Workload> = HashMap::new();
    let set = kernels.instruction_set().to_string();
    println!("{}", json!({ "instruction_set": set }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        if words[0] == "forget" {
            // Large models give way to the next ones.
            workloads.clear();
            println!("{}", json!({}));
            continue;
        }
        if !workloads.contains_key(&line) {
            workloads.insert(line.clone(), prepare(kernels, &words)?);
        }
        let Some(workload) = workloads.get_mut(&line) else {
            continue;
        };
        let start = Instant::now();
        workload()?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{}", json!({ "seconds": seconds }));
        std::io::stdout().flush()?;
    }
    Ok(())
}
