//! Points and lines of a series; a series has one colour and one shape in every figure.

use maud::{Markup, html};

/// Colours in the palette of the style sheet: Okabe and Ito's, without black and yellow.
const COLOURS: usize = 6;

/// The style sheet's class for the colour of series `index`.
pub(in crate::report) fn series(index: usize) -> String {
    format!("s{}", index % COLOURS)
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
    html! { path.line.(series(index)) d=(d) {} }
}

/// The sign of series `index` beside its name in tables and keys.
pub(in crate::report) fn swatch(index: usize) -> Markup {
    html! {
        svg.swatch.(series(index)) viewBox="0 0 14 14" width="14" height="14" aria-hidden="true" {
            g.mark.(series(index)) { path d=(shape(index, 7.0, 7.0, 5.5)) {} }
        }
    }
}

/// Names of series beside their signs.
pub(super) fn key<'a>(names: impl IntoIterator<Item = (usize, &'a str)>) -> Markup {
    html! {
        ul.key { @for (index, name) in names { li { (swatch(index)) " " (name) } } }
    }
}

fn shape(index: usize, x: f64, y: f64, r: f64) -> String {
    match index % 4 {
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
