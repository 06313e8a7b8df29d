//! Streaming decoding: in order, on all cores, in bounded memory.

mod encoded;
mod memory_gate;
mod sources;

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::picture::{Unfit, inspect};
use crate::{Adjustment, DataError, Dataset, DecodeReport, Result, SkipReason, Skipped};
pub use encoded::read_encoded;
use memory_gate::MemoryGate;
use sources::{Encoded, Sources};

/// What pictures may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels (width x height) of one picture; more is [`SkipReason::TooLarge`]. Default: 64 Mi (8192 x 8192).
    pub max_pixels: u64,
    /// Most bytes of one encoded picture; more is [`SkipReason::TooLarge`]. Default: 64 MiB.
    pub max_encoded_bytes: u64,
    /// Bytes that all pictures between decoding and delivery may take together; further ones wait. A picture that
    /// needs more than this is decoded alone. Default: 256 MiB.
    pub max_bytes_in_flight: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_pixels: 64 << 20,
            max_encoded_bytes: 64 << 20,
            max_bytes_in_flight: 256 << 20,
        }
    }
}

/// How to decode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecodeOptions {
    /// What pictures may cost.
    pub limits: DecodeLimits,
    /// Make the first unfit picture an error instead of skipping it. Default: false.
    pub strict: bool,
    /// Decoding threads. Default: one per core.
    pub threads: Option<NonZeroUsize>,
}

/// A decoded picture in its original size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// RGB, 8 bits per channel, row by row: `height * width * 3` bytes.
    pub pixels: Vec<u8>,
}

/// Pictures read ahead per thread, so that a slow one does not stop the others.
const WINDOW_PER_THREAD: usize = 4;

/// What became of a picture that decoded.
struct Delivery<T> {
    item: T,
    adjustments: BTreeSet<Adjustment>,
    /// Bytes it holds of the gate.
    held: u64,
}

/// A picture that was given to the decoding threads.
struct InFlight<T> {
    encoded_bytes: u64,
    receiver: Receiver<Result<Delivery<T>, Unfit>>,
}

/// Decodes every sample and hands it to `on_image` with its index, in sample order, on the calling thread.
///
/// The format is found from the content, never from the extension. Pictures come as people see them: turned as their
/// metadata (EXIF, TIFF) says, transparency blended on white, grey repeated, palettes looked up, 16 bits scaled to 8, print
/// colours converted without a colour profile, of an animation the first frame. The report counts each [`Adjustment`]; unfit
/// pictures are left out and listed in it.
///
/// # Errors
/// With [`DecodeOptions::strict`], the first unfit picture; pictures before it have been delivered.
pub fn decode(
    dataset: &Dataset,
    options: &DecodeOptions,
    on_image: impl FnMut(usize, DecodedImage),
) -> Result<DecodeReport> {
    decode_map(dataset, options, |_, image| image, on_image)
}

/// Decodes one picture that is in memory, as [`decode`] does; `source` is what it is called in messages.
///
/// # Errors
/// A picture that is not whole, of a kind that is not read, or larger than the limits: [`DataError::UnfitImage`].
pub fn decode_bytes(bytes: &[u8], source: &str, limits: &DecodeLimits) -> Result<DecodedImage> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let (image, _) = inspect(bytes, limits)?.decode()?;
        Ok(image)
    }))
    .unwrap_or_else(|_| Err(Unfit::new(SkipReason::Corrupt, "the decoder gave up on it")));
    decoded.map_err(|Unfit { reason, detail }| DataError::UnfitImage {
        source_name: source.to_owned(),
        reason,
        detail,
    })
}

/// [`decode`] with a function that runs on the decoding threads, for work per picture that need not wait its turn.
///
/// # Errors
/// As [`decode`].
pub fn decode_map<T: Send>(
    dataset: &Dataset,
    options: &DecodeOptions,
    map: impl Fn(usize, DecodedImage) -> T + Sync,
    mut on_item: impl FnMut(usize, T),
) -> Result<DecodeReport> {
    let threads = match options.threads {
        Some(threads) => threads.get(),
        None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("decode-{i}"))
        .build()
        .map_err(|e| DataError::Threads {
            threads,
            reason: e.to_string(),
        })?;
    let limits = &options.limits;
    let gate = MemoryGate::new(limits.max_bytes_in_flight);
    let mut sources = Sources::default();
    let mut report = DecodeReport::default();

    pool.in_place_scope_fifo(|scope| -> Result<()> {
        // Tasks that wait for memory must go home when this closure ends early, by error or panic.
        let _open_at_the_end = gate.open_on_drop();
        let mut in_flight: VecDeque<InFlight<T>> = VecDeque::new();
        let mut encoded_bytes = 0;
        let mut samples = dataset.samples.iter().enumerate();
        let mut delivered = 0;
        loop {
            while in_flight.len() < threads * WINDOW_PER_THREAD
                && (in_flight.is_empty() || encoded_bytes < limits.max_bytes_in_flight)
            {
                let Some((index, sample)) = samples.next() else {
                    break;
                };
                let encoded = sources.get(&sample.source);
                let (sender, receiver) = sync_channel(1);
                encoded_bytes += encoded.bytes_in_memory();
                in_flight.push_back(InFlight {
                    encoded_bytes: encoded.bytes_in_memory(),
                    receiver,
                });
                let (gate, map) = (&gate, &map);
                scope.spawn_fifo(move |_| {
                    let outcome = decode_one(encoded, index, limits, gate).map(|one| Delivery {
                        item: map(index, one.item),
                        adjustments: one.adjustments,
                        held: one.held,
                    });
                    // Nobody listens after an early end.
                    let _ = sender.send(outcome);
                });
            }
            let Some(next) = in_flight.pop_front() else {
                return Ok(());
            };
            encoded_bytes -= next.encoded_bytes;
            let Ok(outcome) = next.receiver.recv() else {
                // `map` panicked; the scope passes that on.
                return Ok(());
            };
            let index = delivered;
            delivered += 1;
            match outcome {
                Ok(delivery) => {
                    report.decoded += 1;
                    for adjustment in delivery.adjustments {
                        *report.adjusted.entry(adjustment).or_insert(0) += 1;
                    }
                    on_item(index, delivery.item);
                    gate.delivered(delivery.held);
                }
                Err(unfit) => {
                    gate.delivered(0);
                    let source = dataset.samples[index].source.to_string();
                    skip(&mut report, index, source, unfit, options.strict)?;
                }
            }
        }
    })?;
    Ok(report)
}

fn skip(
    report: &mut DecodeReport,
    sample: usize,
    source: String,
    unfit: Unfit,
    strict: bool,
) -> Result<()> {
    let Unfit { reason, detail } = unfit;
    if strict {
        return Err(DataError::UnfitImage {
            source_name: source,
            reason,
            detail,
        });
    }
    report.skipped.push(Skipped {
        sample,
        source,
        reason,
        detail,
    });
    Ok(())
}

fn decode_one(
    encoded: Encoded,
    index: usize,
    limits: &DecodeLimits,
    gate: &MemoryGate,
) -> Result<Delivery<DecodedImage>, Unfit> {
    let bytes = encoded.read(limits)?;
    // A decoder's own mistake on a hostile picture costs that picture, not the run.
    catch_unwind(AssertUnwindSafe(|| {
        let picture = inspect(bytes.as_ref(), limits)?;
        let held = picture.decoding_bytes();
        gate.enter(index, held);
        match picture.decode() {
            Ok((item, adjustments)) => Ok(Delivery {
                item,
                adjustments,
                held,
            }),
            Err(unfit) => {
                gate.leave(held);
                Err(unfit)
            }
        }
    }))
    .unwrap_or_else(|_| Err(Unfit::new(SkipReason::Corrupt, "the decoder gave up on it")))
}
