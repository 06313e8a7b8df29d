//! Which caption is chosen, token by token: the most likely one each time, or beam search as transformers 5 computes it.

use std::cmp::Ordering;

use super::generation::{Ending, Generation};
use crate::{Error, Result};

/// What transformers adds to the score of what may not be chosen.
const NEVER: f32 = -1e9;

/// The tokens between `begin` and `end`. `logits`: of every token after the ids of a caption so far, [vocabulary].
pub(super) fn search(
    settings: &Generation,
    (begin, end): (u32, u32),
    mut logits: impl FnMut(&[u32]) -> Result<Vec<f32>>,
) -> Result<Vec<u32>> {
    let mut scores = |ids: &[u32]| {
        let scores = logits(ids)?;
        if scores.iter().any(|score| score.is_nan()) {
            return Err(Error::Input("the caption model gives no numbers".into()));
        }
        Ok(scores)
    };
    let mut ids = match settings.beams {
        1 => greedy(settings, begin, end, &mut scores)?,
        _ => beams(settings, begin, end, &mut scores)?,
    };
    let stop = ids.iter().skip(1).position(|id| *id == end);
    ids.truncate(stop.map_or(ids.len(), |stop| stop + 1));
    Ok(ids.split_off(1))
}

fn greedy(
    settings: &Generation,
    begin: u32,
    end: u32,
    logits: &mut impl FnMut(&[u32]) -> Result<Vec<f32>>,
) -> Result<Vec<u32>> {
    let mut ids = vec![begin];
    while ids.len() < settings.longest {
        let mut scores = logits(&ids)?;
        adjust(&mut scores, &ids, end, settings);
        let mut best = 0;
        for (id, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = id;
            }
        }
        ids.push(best as u32);
        if best as u32 == end {
            break;
        }
    }
    Ok(ids)
}

/// Penalties and prohibitions, in the order of transformers.
fn adjust(scores: &mut [f32], ids: &[u32], end: u32, settings: &Generation) {
    if settings.repetition != 1.0 {
        let mut seen = ids.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            let score = &mut scores[id as usize];
            if *score < 0.0 {
                *score *= settings.repetition;
            } else {
                *score /= settings.repetition;
            }
        }
    }
    let together = settings.no_repeat;
    if together > 0 && ids.len() >= together {
        let last = &ids[ids.len() + 1 - together..];
        for before in ids.windows(together) {
            let (start, next) = before.split_at(together - 1);
            if start == last {
                scores[next[0] as usize] = f32::NEG_INFINITY;
            }
        }
    }
    if ids.len() < settings.shortest {
        scores[end as usize] = f32::NEG_INFINITY;
    }
}

/// A caption that is being followed, or a whole one.
#[derive(Clone)]
struct Beam {
    ids: Vec<u32>,
    score: f32,
    whole: bool,
}

/// `_beam_search` in transformers, with its scores in f32.
fn beams(
    settings: &Generation,
    begin: u32,
    end: u32,
    logits: &mut impl FnMut(&[u32]) -> Result<Vec<f32>>,
) -> Result<Vec<u32>> {
    let count = settings.beams;
    let beam = |score| Beam {
        ids: vec![begin],
        score,
        whole: false,
    };
    // All are the same at first: only one may go on.
    let mut running: Vec<Beam> = (0..count)
        .map(|i| beam(if i == 0 { 0.0 } else { NEVER }))
        .collect();
    let mut found = vec![beam(NEVER); count];
    let mut improvable = true;
    for length in 1..settings.longest {
        let next = continuations(settings, &running, end, logits)?;
        let stops: Vec<bool> = next
            .iter()
            .map(|beam| beam.ids.last() == Some(&end) || length + 1 >= settings.longest)
            .collect();
        let full = found.iter().all(|beam| beam.whole);
        let finished = next
            .iter()
            .zip(&stops)
            .enumerate()
            .map(|(i, (beam, stop))| {
                let whole = *stop && i < count;
                let mut score = beam.score / (length as f32).powf(settings.length);
                let barred = [
                    full && settings.ending == Ending::Early,
                    !improvable,
                    !whole,
                ];
                score += NEVER * barred.iter().filter(|barred| **barred).count() as f32;
                Beam {
                    ids: beam.ids.clone(),
                    score,
                    whole,
                }
            });
        found = best(found.into_iter().chain(finished).collect(), count);
        let going = next.iter().zip(&stops).map(|(beam, stop)| Beam {
            score: beam.score + if *stop { NEVER } else { 0.0 },
            ..beam.clone()
        });
        running = best(going.collect(), count);
        improvable &= can_improve(settings, &running, &found, length);
        let full = found.iter().all(|beam| beam.whole);
        if !improvable
            || (full && settings.ending == Ending::Early)
            || stops.iter().all(|stop| *stop)
        {
            break;
        }
    }
    Ok(found.swap_remove(0).ids)
}

/// The best continuations by one token, twice as many as there are beams: as many are left where that many end.
fn continuations(
    settings: &Generation,
    running: &[Beam],
    end: u32,
    logits: &mut impl FnMut(&[u32]) -> Result<Vec<f32>>,
) -> Result<Vec<Beam>> {
    let mut all: Vec<(f32, usize, u32)> = Vec::new();
    let mut last: Option<(&[u32], Vec<f32>)> = None;
    for (place, beam) in running.iter().enumerate() {
        let scores = match last.take() {
            Some((ids, scores)) if ids == beam.ids => scores,
            _ => {
                let mut scores = logits(&beam.ids)?;
                to_log_probabilities(&mut scores);
                adjust(&mut scores, &beam.ids, end, settings);
                scores
            }
        };
        let scored = scores.iter().enumerate();
        all.extend(scored.map(|(id, score)| (score + beam.score, place, id as u32)));
        last = Some((&beam.ids, scores));
    }
    let order = |a: &(f32, usize, u32), b: &(f32, usize, u32)| {
        let by_place = (a.1, a.2).cmp(&(b.1, b.2));
        b.0.total_cmp(&a.0).then(by_place)
    };
    let kept = (2 * running.len()).min(all.len());
    if kept < all.len() {
        all.select_nth_unstable_by(kept, order);
        all.truncate(kept);
    }
    all.sort_unstable_by(order);
    let continued = all.into_iter().map(|(score, place, id)| {
        let mut ids = running[place].ids.clone();
        ids.push(id);
        Beam {
            ids,
            score,
            whole: false,
        }
    });
    Ok(continued.collect())
}

/// Whether going on can give a better caption than those found; `length`: tokens so far without the first.
fn can_improve(settings: &Generation, running: &[Beam], found: &[Beam], length: usize) -> bool {
    let hoped = match settings.ending {
        Ending::Certain if settings.length > 0.0 => settings.longest - 1,
        Ending::Early | Ending::Likely | Ending::Certain => length,
    };
    let most = running[0].score / (hoped as f32).powf(settings.length);
    let worst = found
        .iter()
        .map(|beam| beam.score)
        .fold(f32::INFINITY, f32::min);
    found
        .iter()
        .any(|beam| most > if beam.whole { worst } else { NEVER })
}

/// The best of them in order; of equals the first.
fn best(mut beams: Vec<Beam>, count: usize) -> Vec<Beam> {
    let order = |a: &Beam, b: &Beam| -> Ordering { b.score.total_cmp(&a.score) };
    beams.sort_by(order);
    beams.truncate(count);
    beams
}

/// x - log(sum(exp(x)))
fn to_log_probabilities(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|s| f64::from(s - most).exp()).sum();
    let all = sum.ln() as f32;
    for score in scores {
        *score = *score - most - all;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Generation = Generation {
        longest: 5,
        shortest: 0,
        beams: 1,
        no_repeat: 0,
        repetition: 1.0,
        length: 1.0,
        ending: Ending::Likely,
    };

    /// Of five tokens, 0 begins and 4 ends: 1 is likelier than 2, but only 2 leads to a sure 3.
    fn logits(ids: &[u32]) -> Result<Vec<f32>> {
        let chances: [f32; 5] = match ids {
            [0] => [0.0, 0.5, 0.4, 0.0, 0.1],
            [0, 1] => [0.0, 0.3, 0.3, 0.2, 0.2],
            [0, 2] => [0.0, 0.0, 0.0, 1.0, 0.0],
            [0, 2, 3] => [0.0, 0.0, 0.0, 0.0, 1.0],
            _ => [0.0, 0.2, 0.2, 0.1, 0.5],
        };
        Ok(chances.map(|p| p.max(1e-9).ln()).to_vec())
    }

    #[test]
    fn beams_find_what_one_step_at_a_time_misses() {
        let greedy = search(&PLAIN, (0, 4), logits).unwrap();
        assert_eq!(greedy, [1, 1]);
        let several = Generation { beams: 2, ..PLAIN };
        assert_eq!(search(&several, (0, 4), logits).unwrap(), [2, 3]);
    }

    #[test]
    fn captions_keep_to_their_lengths() {
        let short = Generation {
            longest: 2,
            ..PLAIN
        };
        assert_eq!(search(&short, (0, 4), logits).unwrap(), [1]);
        for beams in [1, 2, 3] {
            let long = Generation {
                shortest: 5,
                beams,
                ..PLAIN
            };
            assert_eq!(search(&long, (0, 4), logits).unwrap().len(), 4);
        }
    }

    #[test]
    fn nothing_comes_twice_where_it_must_not() {
        let settings = Generation {
            longest: 4,
            shortest: 4,
            no_repeat: 1,
            ..PLAIN
        };
        assert_eq!(search(&settings, (0, 4), logits).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let error = search(&PLAIN, (0, 4), |_| Ok(vec![0.0, f32::NAN])).unwrap_err();
        assert!(error.to_string().contains("no numbers"));
    }
}
