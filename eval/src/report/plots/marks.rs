//! Points and lines of a series; a series has one colour and one shape in every figure.

use maud::{Markup, html};

use super::frame::px;

/// Colours in the palette of the style sheet: Okabe and Ito's, which the colour-blind tell apart, without black and yellow.
const COLOURS: usize = 6;
const SHAPES: usize = 4;
const DASHES: usize = 4;

/// The style sheet's class for the colour of series `index`.
pub(in crate::report) fn series(index: usize) -> String {
    format!("s{}", index % COLOURS)
}

/// The style sheet's class for the strokes of series `index`, where colours begin anew.
fn dashes(index: usize) -> String {
    format!("d{}", index / COLOURS % DASHES)
}

/// The shape of series `index` at a point, with what it shows as its title.
pub(super) fn marker(index: usize, x: f64, y: f64, title: &str) -> Markup {
    html! {
        g.mark.(series(index)) {
            path d=(shape(index, x, y, 5.5)) { title { (title) } }
        }
    }
}

/// A line through the points; a point that is not finite breaks it.
pub(super) fn line(index: usize, points: impl IntoIterator<Item = (f64, f64)>) -> Markup {
    let mut d = String::new();
    let mut pen_down = false;
    for (x, y) in points {
        let finite = x.is_finite() && y.is_finite();
        if finite {
            d.push_str(&format!(
                "{}{x:.1} {y:.1}",
                if pen_down { 'L' } else { 'M' }
            ));
        }
        pen_down = finite;
    }
    html! { path.line.(series(index)).(dashes(index)) d=(d) {} }
}

/// How far a figure reaches over seeds, from `low` to `high` along a horizontal axis.
pub(super) fn whisker(low: f64, high: f64, y: f64) -> Markup {
    let (top, bottom) = (y - 3.0, y + 3.0);
    html! {
        path.whisker d=(format!(
            "M{low:.1} {y:.1}H{high:.1}M{low:.1} {top:.1}V{bottom:.1}M{high:.1} {top:.1}V{bottom:.1}"
        )) {}
    }
}

/// The sign of series `index` beside its name in tables and keys.
pub(in crate::report) fn swatch(index: usize) -> Markup {
    html! {
        svg.swatch.(series(index)) viewBox="0 0 14 14" width="14" height="14" aria-hidden="true" {
            g.mark.(series(index)) { path d=(shape(index, 7.0, 7.0, 5.5)) {} }
        }
    }
}

/// Names of series beside their signs, in the page.
pub(super) fn key(names: &[(usize, String)]) -> Markup {
    html! {
        ul.key { @for (index, name) in names { li { (swatch(*index)) " " (name) } } }
    }
}

/// The same of one series, in a figure.
pub(super) fn key_entry(index: usize, x: f64, y: f64, name: &str) -> Markup {
    html! {
        g.mark.(series(index)) { path d=(shape(index, x + 7.0, y, 5.5)) {} }
        text x=(px(x + 19.0)) y=(px(y)) dy="0.35em" { (name) }
    }
}

fn shape(index: usize, x: f64, y: f64, r: f64) -> String {
    // Shapes and colours come back together every 12 series; one further on, the next 12 look otherwise.
    match (index + index / 12) % SHAPES {
        0 => {
            let left = x - r;
            format!(
                "M{left:.1} {y:.1}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z",
                d = 2.0 * r
            )
        }
        1 => {
            let s = r * 0.88;
            format!(
                "M{:.1} {:.1}h{w:.1}v{w:.1}h-{w:.1}z",
                x - s,
                y - s,
                w = 2.0 * s
            )
        }
        2 => {
            let (w, h) = (r * 1.1, r * 1.9);
            format!("M{x:.1} {:.1}l{w:.1} {h:.1}h-{:.1}z", y - r * 1.1, 2.0 * w)
        }
        _ => {
            let s = r * 1.2;
            format!(
                "M{x:.1} {:.1}l{s:.1} {s:.1}l-{s:.1} {s:.1}l-{s:.1} -{s:.1}z",
                y - s
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_dozen_series_look_different() {
        let looks: BTreeSet<_> = (0..24)
            .map(|i| (series(i), shape(i, 0.0, 0.0, 5.0)))
            .collect();
        assert_eq!(looks.len(), 24);
        let lines: BTreeSet<_> = (0..24).map(|i| (series(i), dashes(i))).collect();
        assert_eq!(lines.len(), 24);
    }
}
