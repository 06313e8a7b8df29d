//! What surrounds the data of a plot: grid, ticks, labels, titles of the axes.

use maud::{Markup, html};

use super::axis::Axis;

/// A plot of `height` units with its axes.
pub(super) struct Frame<'a> {
    pub(super) height: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Where the labels of the vertical axis end.
    pub(super) y_labels_end: f64,
    /// What the horizontal axis shows, with its unit.
    pub(super) x_title: &'a str,
    /// What the vertical axis shows, with its unit.
    pub(super) y_title: &'a str,
    pub(super) x_label: &'a dyn Fn(f64) -> String,
    pub(super) y_label: &'a dyn Fn(f64) -> String,
}

impl Frame<'_> {
    /// The frame with `inside` drawn on it.
    pub(super) fn around(&self, inside: &Markup) -> Markup {
        html! {
            (self.grid())
            (inside)
        }
    }

    fn grid(&self) -> Markup {
        let (left, right) = (self.x.start(), self.x.end());
        let (bottom, top) = (self.y.start(), self.y.end());
        html! {
            @for value in self.y.ticks() {
                @let y = px(self.y.position(value));
                line.grid x1=(px(left)) x2=(px(right)) y1=(y) y2=(y) {}
                text.tick.end x=(px(self.y_labels_end)) y=(y) dy="0.35em" { ((self.y_label)(value)) }
            }
            @for value in self.x.minor_ticks() {
                @let x = px(self.x.position(value));
                line.axis x1=(x) x2=(x) y1=(px(bottom)) y2=(px(bottom + 3.0)) {}
            }
            @for value in self.x.ticks() {
                @let x = px(self.x.position(value));
                line.grid x1=(x) x2=(x) y1=(px(top)) y2=(px(bottom)) {}
                line.axis x1=(x) x2=(x) y1=(px(bottom)) y2=(px(bottom + 6.0)) {}
                text.tick.middle x=(x) y=(px(bottom + 20.0)) { ((self.x_label)(value)) }
            }
            line.axis x1=(px(left)) x2=(px(right)) y1=(px(bottom)) y2=(px(bottom)) {}
            text.title.middle x=(px((left + right) / 2.0)) y=(px(self.height - 6.0)) { (self.x_title) }
            text.title x="0" y="13" { (self.y_title) }
        }
    }
}

/// A position with one decimal, enough for any screen.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}
