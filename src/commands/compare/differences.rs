//! What is more than chance, as a table in a terminal.

use super::table::interval;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::pairs::Pair;

/// One method beside each of the others; none where nothing was tested.
pub(super) fn differences(pairs: &[Pair]) -> Option<Table> {
    let first = &pairs.first()?.first;
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        format!("{first} less"),
        "points".to_owned(),
        "95 % interval".to_owned(),
        "p, corrected".to_owned(),
        "more than chance?".to_owned(),
    ]);
    for pair in pairs {
        table.add_row([
            pair.second.clone(),
            format!("{:+.1}", 100.0 * pair.difference),
            interval(pair.interval),
            p_value(pair.p_corrected),
            answer(pair).to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Some(table)
}

/// What is too small for three digits is told as that.
fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

fn answer(pair: &Pair) -> &'static str {
    match (pair.is_clear(), pair.seeds) {
        (false, _) => "not shown",
        (true, 1) => "yes, with this seed",
        (true, _) => "yes",
    }
}
