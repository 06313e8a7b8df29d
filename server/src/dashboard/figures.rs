//! Drawings: bars and lines, as SVG without a style of its own.

use maud::{Markup, html};

/// Size of a line chart, in units of the drawing.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 160.0;
/// Room at its left and below it for the numbers.
const LEFT: f64 = 40.0;
const BELOW: f64 = 20.0;

/// A line: its name, the class of its style, and a value of 0 to 1 for each epoch that has one.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// Shares of one over epochs.
pub(super) fn lines(title: &str, lines: &[Line<'_>]) -> Markup {
    let epochs = lines.iter().map(|line| line.values.len()).max();
    let epochs = epochs.unwrap_or(0);
    let x = |i: usize| LEFT + (WIDTH - LEFT - 8.0) * i as f64 / (epochs.max(2) - 1) as f64;
    let y = |value: f64| 8.0 + (HEIGHT - BELOW - 8.0) * (1.0 - value.clamp(0.0, 1.0));
    let points = |line: &Line<'_>| {
        let there = line.values.iter().enumerate();
        let there = there.filter_map(|(i, value)| Some((i, value.filter(|v| v.is_finite())?)));
        let points: Vec<String> = there
            .map(|(i, value)| format!("{:.1},{:.1}", x(i), y(value)))
            .collect();
        points.join(" ")
    };
    html! {
        figure {
            svg.chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for share in [0.0, 0.5, 1.0] {
                    line.grid x1=(LEFT) x2=(WIDTH - 8.0) y1=(format!("{:.1}", y(share))) y2=(format!("{:.1}", y(share))) {}
                    text x=(LEFT - 6.0) y=(format!("{:.1}", y(share) + 4.0)) text-anchor="end" { (share) }
                }
                text x=(LEFT) y=(HEIGHT - 4.0) { "1" }
                text x=(WIDTH - 8.0) y=(HEIGHT - 4.0) text-anchor="end" { (epochs) " epochs" }
                @for line in lines { polyline class=(line.class) points=(points(line)) {} }
            }
            figcaption {
                (title) ": "
                @for (i, line) in lines.iter().enumerate() {
                    @if i > 0 { ", " }
                    span class=(format!("key {}", line.class)) {
                        svg.stroke viewBox="0 0 32 8" aria-hidden="true" { polyline class=(line.class) points="0,4 32,4" {} }
                        " " (line.name)
                    }
                }
            }
        }
    }
}

/// Counts of things, each as long as its share of the largest.
pub(super) fn bars(title: &str, of: &str, counts: &[(&str, String, f64)]) -> Markup {
    let most = counts.iter().map(|(.., value)| *value).fold(0.0, f64::max);
    html! {
        div.wide role="region" aria-label=(title) tabindex="0" {
            table.bars {
                caption { (title) }
                thead { tr { th scope="col" { (of) } th scope="col" { "Value" } td {} } }
                tbody {
                    @for (name, told, value) in counts {
                        tr {
                            th scope="row" { (name) }
                            td { (told) }
                            td { (bar(*value, most)) }
                        }
                    }
                }
            }
        }
    }
}

/// What stands beside it in words is not read out twice.
fn bar(value: f64, most: f64) -> Markup {
    let length = if most > 0.0 {
        100.0 * value / most
    } else {
        0.0
    };
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(format!("{length:.1}")) height="8" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_left_to_right_and_higher_is_better() {
        let line = Line {
            name: "accuracy",
            class: "first",
            values: vec![Some(0.0), None, Some(f64::NAN), Some(1.0)],
        };
        let drawn = lines("Accuracy", &[line]).into_string();
        assert!(drawn.contains("points=\"40.0,140.0 472.0,8.0\""), "{drawn}");
        // Without an epoch there is nothing to divide by.
        let empty = lines("Accuracy", &[]).into_string();
        assert!(
            !empty.contains("NaN") && !empty.contains("polyline"),
            "{empty}"
        );
    }

    #[test]
    fn bars_are_shares_of_the_largest() {
        let counts = [("<cat>", "2".to_owned(), 2.0), ("dog", "4".to_owned(), 4.0)];
        let drawn = bars("Images", "Class", &counts).into_string();
        assert!(drawn.contains("width=\"50.0\"") && drawn.contains("width=\"100.0\""));
        assert!(drawn.contains("&lt;cat&gt;") && !drawn.contains("<cat>"));
        let none = bars("Images", "Class", &[("cat", "0".to_owned(), 0.0)]);
        assert!(none.into_string().contains("width=\"0.0\""));
    }
}
