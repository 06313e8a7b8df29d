//! `promptfed predict`: what a classifier takes pictures for.

use super::data;
use super::model::Model;
use super::out_file::{refuse_other, refuse_to_replace};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{
    Adjustment, Dataset, DatasetWarning, DecodeOptions, DecodeReport, Fit, LabelledImages, Skipped,
    decode_map, open_unlabelled, resize_square,
};
use promptfed_files::{prove_writable, write_whole};
use promptfed_learn::Classifier;
use promptfed_prompts::ContentHash;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Pictures that are looked at together.
const AT_ONCE: usize = 512;

/// Name what pictures show with a trained classifier.
///
/// A picture always gets one of the model's classes, with the probability that the model gives it: how sure a model is of a picture that shows none
/// of its classes means nothing.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Model file of `promptfed train` or of a round
    model: PathBuf,
    /// Pictures, and folders of pictures, those below them included; what folders are called is not read
    #[arg(required = true, value_name = "PICTURES")]
    pictures: Vec<PathBuf>,
    /// Most probable classes that are told of each picture
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Write a CSV file too: picture, class, probability, and the probability of every class
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Replace a file of other content at --csv
    #[arg(long, requires = "csv")]
    force: bool,
    /// How pictures that are not square become so: crop (the middle), pad (bars) or squash [default: as in training]
    #[arg(long, value_name = "crop|pad|squash")]
    fit: Option<Fit>,
    /// Make the first unreadable picture an error instead of skipping it
    #[arg(long)]
    strict: bool,
}

/// A picture and the probability of every class.
struct Answer {
    picture: String,
    probabilities: Vec<f32>,
}

/// What `--json` prints. Types of their own: `json!` writes an f32 with all digits of an f64.
#[derive(Serialize)]
struct Shown<'a> {
    model_hash: ContentHash,
    classes: &'a [String],
    fit: Fit,
    predictions: Vec<Told<'a>>,
    skipped: &'a [Skipped],
    adjusted: &'a BTreeMap<Adjustment, usize>,
    warnings: Vec<String>,
}

/// A picture and the most probable classes.
#[derive(Serialize)]
struct Told<'a> {
    picture: &'a str,
    classes: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    class: &'a str,
    probability: f32,
}

impl Answer {
    /// The most probable classes, the first first; of equals the one that comes first.
    fn ranked(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.probabilities.len()).collect();
        classes.sort_by(|a, b| self.probabilities[*b].total_cmp(&self.probabilities[*a]));
        classes
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let model = Model::read(&args.model)?;
    let dataset = open_unlabelled(args.pictures.iter().map(PathBuf::as_path))?;
    if let Some(csv) = &args.csv {
        for pictures in &args.pictures {
            refuse_to_replace(csv, pictures, &dataset, &[&args.model])?;
        }
        prove_writable(csv)?;
    }
    let fit = model.fit(args.fit);
    let (answers, report) = answers(&args, &dataset, &model, fit, context)?;
    data::tell_decoded(&report);
    if answers.is_empty() {
        let text = "none of the pictures can be read";
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let classes = model.classifier.class_names();
    if let Some(csv) = &args.csv {
        let table = table_of_all(&answers, classes)?;
        refuse_other("--csv", csv, ContentHash::of(&table), args.force)?;
        write_whole(csv, &table)?;
    }
    if context.json {
        let rows = answers.iter().map(|answer| told(answer, classes, args.top));
        let shown = Shown {
            model_hash: model.hash,
            classes,
            fit,
            predictions: rows.collect(),
            skipped: &report.skipped,
            adjusted: &report.adjusted,
            warnings: data::warnings(&dataset, &report),
        };
        println!("{}", serde_json::to_string(&shown)?);
    } else {
        println!("{}", table(&answers, classes, args.top));
    }
    Ok(())
}

/// Looks at the pictures a few at a time.
fn answers(
    args: &Args,
    dataset: &Dataset,
    model: &Model,
    fit: Fit,
    context: &Context,
) -> Result<(Vec<Answer>, DecodeReport)> {
    for warning in DatasetWarning::by_kind(&dataset.warnings) {
        eprintln!("warning: {warning}");
    }
    let options = DecodeOptions {
        strict: args.strict,
        ..DecodeOptions::default()
    };
    let size = model.classifier.config().image_size;
    let bar = context.progress.bar("pictures", dataset.len() as u64);
    let mut looking = Looking {
        classifier: &model.classifier,
        waiting: Vec::new(),
        pixels: Vec::new(),
        answers: Vec::with_capacity(dataset.len()),
    };
    let mut failure = None;
    let report = decode_map(
        dataset,
        &options,
        |_, picture| resize_square(&picture, size, fit),
        |index, resized| {
            if failure.is_some() {
                return;
            }
            let picture = dataset.samples[index].source.to_string();
            let looked = resized.map_err(Into::into);
            failure = looked
                .and_then(|pixels| looking.add(picture, &pixels))
                .err();
            bar.set_position(index as u64 + 1);
        },
    )?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    looking.look()?;
    bar.finish_and_clear();
    Ok((looking.answers, report))
}

/// Pictures that wait to be looked at together, and what was seen in those before.
struct Looking<'a> {
    classifier: &'a Classifier,
    waiting: Vec<String>,
    /// `[waiting, size, size, 3]`
    pixels: Vec<u8>,
    answers: Vec<Answer>,
}

impl Looking<'_> {
    fn add(&mut self, picture: String, pixels: &[u8]) -> Result<()> {
        self.waiting.push(picture);
        self.pixels.extend_from_slice(pixels);
        if self.waiting.len() < AT_ONCE {
            return Ok(());
        }
        self.look()
    }

    fn look(&mut self) -> Result<()> {
        let pictures = std::mem::take(&mut self.waiting);
        if pictures.is_empty() {
            return Ok(());
        }
        let config = self.classifier.config();
        let images = LabelledImages {
            size: config.image_size,
            pixels: std::mem::take(&mut self.pixels),
            labels: vec![0; pictures.len()],
            domains: vec![0; pictures.len()],
            class_names: self.classifier.class_names().to_vec(),
            domain_names: Vec::new(),
        };
        let probabilities = self.classifier.probabilities(&images)?;
        let rows = probabilities.chunks_exact(config.classes);
        let seen = pictures.into_iter().zip(rows);
        self.answers.extend(seen.map(|(picture, row)| Answer {
            picture,
            probabilities: row.to_vec(),
        }));
        Ok(())
    }
}

fn table(answers: &[Answer], classes: &[String], top: u16) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["picture", "class", "probability"]);
    for answer in answers {
        for (place, class) in answer.ranked().into_iter().take(top.into()).enumerate() {
            let picture = if place == 0 {
                answer.picture.as_str()
            } else {
                ""
            };
            let probability = format!("{:.1} %", 100.0 * answer.probabilities[class]);
            table.add_row([picture, &classes[class], &probability]);
        }
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn told<'a>(answer: &'a Answer, classes: &'a [String], top: u16) -> Told<'a> {
    let ranked = answer.ranked().into_iter().take(top.into());
    let classes = ranked.map(|class| Named {
        class: &classes[class],
        probability: answer.probabilities[class],
    });
    Told {
        picture: &answer.picture,
        classes: classes.collect(),
    }
}

/// Every picture with the probability of every class.
fn table_of_all(answers: &[Answer], classes: &[String]) -> Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    let names = classes.iter().map(String::as_str);
    rows.write_record(["picture", "class", "probability"].into_iter().chain(names))?;
    for answer in answers {
        let best = answer.ranked().first().copied().unwrap_or(0);
        let of = |class: usize| answer.probabilities[class].to_string();
        let first = [answer.picture.clone(), classes[best].clone(), of(best)];
        rows.write_record(first.into_iter().chain((0..classes.len()).map(of)))?;
    }
    Ok(rows.into_inner()?)
}
