//! One method beside each of the others: is the difference in accuracy more than chance?

use maud::{Markup, html};

use super::format::{self, count, p_value, points, points_interval};
use super::plots::swatch;
use super::role::Role;
use crate::comparison::Comparison;
use crate::pairs::{Pair, Test};
use crate::statistics::RESAMPLES;

pub(super) fn differences(comparison: &Comparison) -> Markup {
    let pairs = &comparison.pairs;
    let Some(one) = pairs.first() else {
        return html! {
            p.note {
                "Nothing was tested: no two methods, one of them federated, have predictions of the same test images with the same seed. "
                "Runs that were kept by an earlier version have none; they are run again with --force."
            }
        };
    };
    html! {
        div.scroll {
            table.differences {
                caption { (method(one)) }
                thead {
                    tr {
                        th scope="col" { (one.first) " less" }
                        th.n scope="col" { "Difference" }
                        th.n scope="col" { "95 % interval" }
                        th.n scope="col" { "p" }
                        th.n scope="col" { "p, corrected" }
                        th.n scope="col" { "Seeds" }
                        th scope="col" { "More than chance?" }
                    }
                }
                tbody { @for pair in pairs { (row(comparison, pair)) } }
            }
        }
        @for note in notes(comparison, one) { p.note { (note) } }
    }
}

fn method(pair: &Pair) -> String {
    let draws = count(RESAMPLES as u64);
    format!(
        "The accuracy of {} less that of each other method on the same {} test images with the same seeds. The interval is of \
         {draws} bootstrap samples of both the test images and the seeds; with one seed it knows of the images alone. p asks how often the \
         two methods' names, swapped at random on each image, would give as large a difference: McNemar's exact test of one seed, {draws} \
         draws of signs of several; it takes the trained models as they are. It is corrected for the number of pairs by Holm's method. A \
         difference is called more than chance where the interval excludes 0 and the corrected p is at most 0.05.",
        pair.first,
        count(pair.images as u64)
    )
}

fn row(comparison: &Comparison, pair: &Pair) -> Markup {
    let place = comparison
        .methods
        .iter()
        .position(|m| m.name == pair.second);
    let test = match pair.test {
        Test::McNemar => "McNemar's test",
        Test::SignFlip => "sign-flip test",
    };
    html! {
        tr {
            th scope="row" {
                @if let Some(place) = place { (swatch(place)) " " }
                (pair.second)
            }
            td.n.strong { (format::figure(pair.difference, &points(pair.difference))) }
            td.n { (points_interval(pair.interval)) }
            td.n title=(test) { (p_value(pair.p)) }
            td.n { (format::figure(pair.p_corrected, &p_value(pair.p_corrected))) }
            td.n { (pair.seeds) }
            td { (answer(pair)) }
        }
    }
}

fn answer(pair: &Pair) -> String {
    let side = if pair.difference > 0.0 {
        "better"
    } else {
        "worse"
    };
    match pair.is_clear() {
        true => format!("yes, {} is {side}", pair.first),
        false => "not shown".to_owned(),
    }
}

/// What a reader has to know of these figures.
fn notes(comparison: &Comparison, one: &Pair) -> Vec<String> {
    let mut notes = Vec::new();
    if comparison.pairs.iter().any(|pair| pair.seeds == 1) {
        notes.push(
            "Where there is one seed, nothing is known of other seeds: the difference is that of two models, not of two methods."
                .to_owned(),
        );
    }
    let alike = comparison.methods.iter();
    let alike = alike.filter(|m| Role::of(&m.name) == Role::of(&one.first));
    if alike.count() > 1 {
        notes.push(format!(
            "{} stands here because it is the best of its kind on these test images, which flatters it a little.",
            one.first
        ));
    }
    let level = |name: &str| {
        let method = comparison.methods.iter().find(|m| m.name == name);
        method.map_or(f64::NAN, |m| m.accuracy().mean)
    };
    let passed_over: Vec<&str> = comparison
        .methods
        .iter()
        .map(|m| m.name.as_str())
        .filter(|name| Role::of(name) == Role::of(&one.first) && level(name) > level(&one.first))
        .filter(|name| !comparison.predictions.has(name))
        .collect();
    if !passed_over.is_empty() {
        notes.push(format!(
            "{} stands here though {} reached more: nothing that is known of it says what it takes each test image for.",
            one.first,
            passed_over.join(", ")
        ));
    }
    let is_in = |name: &str| comparison.pairs.iter().any(|pair| pair.second == name);
    let left_out: Vec<&str> = comparison
        .methods
        .iter()
        .map(|m| m.name.as_str())
        .filter(|name| *name != one.first && !is_in(name))
        .collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "Not tested, having no predictions with a seed of {}: {}.",
            one.first,
            left_out.join(", ")
        ));
    }
    notes.push(
        "What every model says of every test image, and how sure it is, stands in predictions.csv beside this file."
            .to_owned(),
    );
    notes
}
