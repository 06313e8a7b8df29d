//! One figure: drawn in the page, or a file of its own that looks right wherever it is opened.

use maud::{Markup, PreEscaped, html};

use super::frame::px;
use super::marks::key_entry;
use super::text::{CHARACTER, short, wrap};
use crate::report::page;

/// The rules of figures; colours are variables of the page.
pub(in crate::report) const STYLE: &str = include_str!("plots.css");

/// What a file has that the page gives to figures otherwise.
const FILE_STYLE: &str = "text { font-family: \"Helvetica Neue\", Helvetica, Arial, \"Noto Sans\", sans-serif; }\n.paper { fill: #ffffff; }\n";

/// Space around a figure in its file.
const MARGIN: f64 = 16.0;
/// Height of a line of text.
const LINE: f64 = 20.0;

/// A figure.
pub(in crate::report) struct Drawing {
    /// Name of its file, without the ending.
    pub(super) stem: String,
    /// What it shows, in a sentence without its end.
    pub(super) title: String,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Places and names of the series whose colours it has; in the page they stand around it.
    pub(super) key: Vec<(usize, String)>,
    pub(super) body: Markup,
}

impl Drawing {
    /// Name of its file.
    pub(in crate::report) fn file_name(&self) -> String {
        format!("{}.svg", self.stem)
    }

    /// What it shows.
    pub(in crate::report) fn title(&self) -> &str {
        &self.title
    }

    /// In the page.
    pub(in crate::report) fn inline(&self) -> Markup {
        html! {
            svg.plot viewBox=(format!("0 0 {} {}", self.width, self.height)) role="img" aria-label=(self.title) {
                title { (self.title) }
                (self.body)
            }
        }
    }

    /// As an SVG document with a heading, a key and `shown` below: which data and seeds it shows. It has its own styles, a light ground, and
    /// loads nothing.
    pub(in crate::report) fn document(&self, shown: &str) -> String {
        let line_of = |size: f64| ((self.width / (CHARACTER * size)) as usize).max(8);
        let heading = wrap(&self.title, line_of(1.15), 3);
        let below = wrap(shown, line_of(1.0), 3);
        let (key, key_height) = key(&self.key, self.width);
        let key_top = MARGIN + LINE * heading.len() as f64 + 6.0;
        let body_top = key_top + key_height;
        let below_top = body_top + self.height + LINE;
        let (width, height) = (
            self.width + 2.0 * MARGIN,
            below_top + LINE * below.len() as f64,
        );
        let svg = html! {
            svg.plot xmlns="http://www.w3.org/2000/svg" width=(px(width)) height=(px(height))
                viewBox={ "0 0 " (px(width)) " " (px(height)) } role="img" aria-label=(self.title) {
                title { (self.title) }
                style { (PreEscaped(style())) }
                rect.paper x="0" y="0" width=(px(width)) height=(px(height)) {}
                @for (i, line) in heading.iter().enumerate() {
                    text.heading x=(px(MARGIN)) y=(px(MARGIN + 14.0 + LINE * i as f64)) { (line) }
                }
                g transform=(moved(MARGIN, key_top)) { (key) }
                g transform=(moved(MARGIN, body_top)) { (self.body) }
                @for (i, line) in below.iter().enumerate() {
                    text.tick x=(px(MARGIN)) y=(px(below_top + LINE * i as f64)) { (line) }
                }
            }
        };
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            svg.into_string()
        );
        document
            .chars()
            .map(|c| if is_xml(c) { c } else { '\u{fffd}' })
            .collect()
    }
}

fn moved(x: f64, y: f64) -> String {
    format!("translate({x:.1} {y:.1})")
}

/// The names of series beside their signs, in rows of `width`, and the height of all rows.
fn key(series: &[(usize, String)], width: f64) -> (Markup, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    let mut places = Vec::new();
    for (index, name) in series {
        let name = short(name, 40);
        let needed = 40.0 + CHARACTER * name.chars().count() as f64;
        if x > 0.0 && x + needed > width {
            (x, y) = (0.0, y + LINE);
        }
        places.push((x, y, *index, name));
        x += needed;
    }
    let markup = html! {
        @for (x, y, index, name) in &places { (key_entry(*index, *x, *y + 10.0, name)) }
    };
    let height = if series.is_empty() {
        0.0
    } else {
        y + LINE + 6.0
    };
    (markup, height)
}

/// The rules with the light page's colours in place of their names, which few programs but browsers know.
fn style() -> String {
    let root = page::STYLE.split('}').next().unwrap_or_default();
    let colours = root.lines().filter_map(|line| {
        let (name, value) = line.trim().strip_suffix(';')?.split_once(": ")?;
        name.starts_with("--").then_some((name, value))
    });
    colours.fold(format!("{FILE_STYLE}{STYLE}"), |style, (name, value)| {
        style.replace(&format!("var({name})"), value)
    })
}

/// Whether XML 1.0 has the character at all (production 2).
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(title: &str, names: usize) -> Drawing {
        Drawing {
            stem: "domains".into(),
            title: title.into(),
            width: 400.0,
            height: 100.0,
            key: (0..names).map(|i| (i, format!("method {i}"))).collect(),
            body: html! { g {} },
        }
    }

    #[test]
    fn files_know_their_colours() {
        let document = drawing("accuracy", 2).document("seed 1");
        assert!(!document.contains("var("), "{document}");
        for colour in [
            "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
        ] {
            assert!(document.contains(colour), "{colour}");
        }
        assert!(document.contains("xmlns=\"http://www.w3.org/2000/svg\""));
        assert_eq!(document.matches("method 1").count(), 1);
    }

    #[test]
    fn what_xml_does_not_have_is_replaced() {
        let document = drawing("a\0b\u{b}c\u{ffff}<&\u{1f431}", 0).document("\u{1b}");
        assert!(document.chars().all(is_xml));
        assert!(document.contains("a\u{fffd}b\u{fffd}c\u{fffd}&lt;&amp;\u{1f431}"));
    }

    #[test]
    fn a_long_key_takes_more_rows() {
        let (_, one) = key(&drawing("", 3).key, 400.0);
        let (_, more) = key(&drawing("", 30).key, 400.0);
        assert!(one < 30.0 && more > 150.0, "{one} {more}");
    }
}
