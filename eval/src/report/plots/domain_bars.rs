//! Test accuracy by domain: a bar for each method in each domain, with its spread over seeds.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::axis::Axis;
use super::drawing::Drawing;
use super::frame::px;
use super::marks::{key, series, whisker};
use super::names_of;
use super::text::short;
use crate::comparison::{Comparison, MethodResult, Spread};
use crate::report::files;
use crate::report::format::percent_spread;
use crate::report::shown::all_seeds;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 735.0;
const TOP: f64 = 8.0;
/// Below the bars: ticks, their labels and the title of the axis.
const BELOW: f64 = 48.0;
/// Between domains.
const GAP: f64 = 12.0;
/// A taller figure is no figure.
const MAX_HEIGHT: f64 = 2400.0;
/// Characters of a name that fit beside the bars.
const NAME: usize = 19;

/// The domains that occur in any run, sorted.
pub(in crate::report) fn domains(comparison: &Comparison) -> BTreeSet<&str> {
    let runs = comparison.methods.iter().flat_map(|method| &method.runs);
    runs.flat_map(|run| run.evaluation.per_domain.keys().map(String::as_str))
        .collect()
}

/// A method's accuracy in a domain, and in how many runs it was measured; the mean is NaN where it was measured in none, or not finite.
pub(in crate::report) fn accuracy(method: &MethodResult, domain: &str) -> (Spread, usize) {
    let runs = method.runs.iter();
    let values: Vec<f64> = runs
        .filter_map(|run| run.evaluation.per_domain.get(domain).copied())
        .collect();
    (Spread::of(values.iter().copied()), values.len())
}

pub(in crate::report) fn accuracy_by_domain(comparison: &Comparison) -> Markup {
    let Some(drawing) = domain_bars(comparison) else {
        return html! {};
    };
    let left_out = domains(comparison)
        .len()
        .saturating_sub(fitting(comparison));
    html! {
        figure {
            (key(&drawing.key))
            div.scroll { (drawing.inline()) }
            figcaption {
                "A bar is the mean over seeds, its whiskers reach one sample standard deviation to either side. Shown: "
                (all_seeds(comparison)) "."
                @if left_out > 0 { " Domains that are not drawn: " (left_out) ", in the table of all." }
            }
        }
        (files::note(&["domains.svg"], &[]))
    }
}

/// How many domains have room.
fn fitting(comparison: &Comparison) -> usize {
    let group = thickness(comparison) * comparison.methods.len() as f64 + GAP;
    ((MAX_HEIGHT - TOP - BELOW) / group).max(1.0) as usize
}

/// Of a bar: many methods have thin ones.
fn thickness(comparison: &Comparison) -> f64 {
    (90.0 / comparison.methods.len().max(1) as f64).clamp(8.0, 18.0)
}

/// `None` where the test images have no domains, or no accuracy is finite.
pub(super) fn domain_bars(comparison: &Comparison) -> Option<Drawing> {
    let all = domains(comparison);
    let shown: Vec<&str> = all.into_iter().take(fitting(comparison)).collect();
    let methods = &comparison.methods;
    let highest = shown
        .iter()
        .flat_map(|domain| methods.iter().map(move |method| accuracy(method, domain).0))
        .filter(is_drawn)
        .map(|spread| (spread.mean + spread.std).min(1.0))
        .reduce(f64::max)?;
    let x = Axis::from_zero(highest, LEFT, RIGHT);
    let bar = thickness(comparison);
    let group = bar * methods.len() as f64 + GAP;
    let bottom = TOP + group * shown.len() as f64;
    let body = html! {
        (grid(&x, bottom))
        @for (row, domain) in shown.iter().enumerate() {
            @let top = TOP + group * row as f64 + GAP / 2.0;
            text.end x=(px(LEFT - 10.0)) y=(px(top + (group - GAP) / 2.0)) dy="0.35em" {
                title { (domain) }
                (short(domain, NAME))
            }
            @for (index, method) in methods.iter().enumerate() {
                (column(index, method, domain, &x, top + bar * index as f64, bar))
            }
        }
        line.axis x1=(px(LEFT)) x2=(px(LEFT)) y1=(px(TOP)) y2=(px(bottom)) {}
    };
    Some(Drawing {
        stem: "domains".to_owned(),
        title: "Test accuracy by domain".to_owned(),
        width: WIDTH,
        height: bottom + BELOW,
        key: names_of(comparison),
        body,
    })
}

fn is_drawn(spread: &Spread) -> bool {
    (0.0..=1.0).contains(&spread.mean) && spread.std.is_finite()
}

fn column(
    index: usize,
    method: &MethodResult,
    domain: &str,
    x: &Axis,
    top: f64,
    thickness: f64,
) -> Markup {
    let (spread, runs) = accuracy(method, domain);
    if !is_drawn(&spread) {
        return html! {};
    }
    let end = x.position(spread.mean);
    let low = x.position((spread.mean - spread.std).max(0.0));
    let high = x.position((spread.mean + spread.std).min(1.0));
    html! {
        rect.column.(series(index)) x=(px(LEFT)) y=(px(top + 0.5)) width=(px(end - LEFT)) height=(px(thickness - 1.0)) {
            title { (method.name) ", " (domain) ": " (percent_spread(spread, runs)) }
        }
        @if runs > 1 { (whisker(low, high, top + thickness / 2.0)) }
    }
}

fn grid(x: &Axis, bottom: f64) -> Markup {
    html! {
        @for value in x.ticks() {
            @let at = px(x.position(value));
            line.grid x1=(at) x2=(at) y1=(px(TOP)) y2=(px(bottom)) {}
            text.tick.middle x=(at) y=(px(bottom + 18.0)) { (format!("{:.0}\u{a0}%", value * 100.0)) }
        }
        text.title.middle x=(px((LEFT + RIGHT) / 2.0)) y=(px(bottom + 40.0)) { "test accuracy" }
    }
}
