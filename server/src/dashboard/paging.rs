//! Lists that are shown a page at a time.

use maud::{Markup, html};

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    /// Counted from 1.
    page: u64,
    /// Entries on a page.
    each: u64,
}

impl Paging {
    /// The page of a number as an address has it; what is none is the first.
    pub(super) fn of(number: &str, each: u64) -> Self {
        let page = number.parse().unwrap_or(1);
        // No list is longer than a hundred million entries.
        Self {
            page: u64::clamp(page, 1, 10_000_000),
            each,
        }
    }

    /// Entries before this page.
    pub(super) fn skipped(self) -> u64 {
        (self.page - 1) * self.each
    }

    /// Whether the entry of a number, counted from 0, is on this page.
    pub(super) fn holds(self, entry: u64) -> bool {
        (self.skipped()..self.skipped() + self.each).contains(&entry)
    }

    /// Links to the pages around this one of a list of `total` entries; `address` gives that of a page.
    pub(super) fn links(self, total: u64, address: impl Fn(u64) -> String) -> Markup {
        let pages = total.div_ceil(self.each).max(1);
        let before = (self.page > 1).then(|| (self.page - 1).min(pages));
        let after = (self.page < pages).then_some(self.page + 1);
        html! {
            nav.pages aria-label="Pages" {
                @if let Some(page) = before { a rel="prev" href=(address(page)) { "Previous page" } }
                span { "Page " (self.page) " of " (pages) }
                @if let Some(page) = after { a rel="next" href=(address(page)) { "Next page" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_on_one_page() {
        let pages = ["1", "2", "3"].map(|page| Paging::of(page, 4));
        for entry in 0..12 {
            let on = pages.iter().filter(|page| page.holds(entry));
            assert_eq!(on.count(), 1, "{entry}");
        }
        assert_eq!(Paging::of("2", 4).skipped(), 4);
        for wrong in ["", "0", "-1", "a"] {
            assert_eq!(Paging::of(wrong, 4), Paging::of("1", 4));
        }
        // As large as it may be, it overflows nothing.
        Paging::of(&u64::MAX.to_string(), 60).holds(u64::MAX);
    }

    #[test]
    fn links_lead_to_pages_that_there_are() {
        let links = |page, total| {
            let links = Paging::of(page, 10).links(total, |page| format!("p{page}"));
            links.into_string()
        };
        let first = links("1", 25);
        assert!(first.contains("p2") && !first.contains("prev") && first.contains("1 of 3"));
        let last = links("3", 25);
        assert!(last.contains("p2") && !last.contains("next"));
        assert!(!links("1", 0).contains("href"));
        // Beyond the end there is a way back.
        assert!(links("99", 25).contains("\"p3\""));
    }
}
