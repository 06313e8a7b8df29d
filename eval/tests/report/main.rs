//! The report of a comparison, from the outside: what is in the file, and what must never be.
#![allow(clippy::unwrap_used)]

mod contents;
mod figures;
mod files;
mod grid;
mod hostile;
mod odd_records;
mod sample;
mod simulated;
mod tables;
mod well_formed;

/// The values of all attributes called `name` in a document.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.match_indices(&start)
        .map(|(at, _)| html[at + start.len()..].split('"').next().unwrap())
        .collect()
}

/// The part of a document between the opening tag of the section `id` and the next section.
fn section<'a>(html: &'a str, id: &str) -> &'a str {
    let from = html
        .find(&format!("<section id=\"{id}\""))
        .unwrap_or_else(|| panic!("no section {id}"));
    let rest = &html[from + 1..];
    &rest[..rest.find("<section id=").unwrap_or(rest.len())]
}

/// Nothing that a reader or a browser would choke on: every element is closed, every number drawn is finite, nothing is fetched or run.
fn assert_sound(html: &str) {
    well_formed::assert_well_formed(html);
    for name in [
        "d",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "width",
        "height",
        "viewBox",
        "transform",
        "fill-opacity",
        "style",
        "value",
    ] {
        for value in attributes(html, name) {
            assert!(
                !value.contains("NaN") && !value.contains("inf"),
                "{name}=\"{value}\""
            );
        }
    }
    for value in attributes(html, "src") {
        assert!(
            value.starts_with("data:image/png;base64,"),
            "src=\"{value}\""
        );
    }
    for value in attributes(html, "href") {
        assert!(value.starts_with('#'), "href=\"{value}\"");
    }
    for never in ["<script", "<link", "<iframe", "@import", "url("] {
        assert!(!html.contains(never), "{never}");
    }
}
