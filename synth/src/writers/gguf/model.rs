//! The network: candle-transformers' quantised Llama.

use std::io::{Read, Seek};
use std::path::Path;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::{MAX_SEQ_LEN, ModelWeights};

use super::header;
use crate::Result;
use crate::error::model_fault;

/// Bounds of a network that is loaded: far above every model, far below what would fill a machine by a slip in a file.
const MOST_LAYERS: u64 = 512;
const MOST_HEADS: u64 = 1024;
const MOST_WIDTH: u64 = 1 << 16;

/// A network and what it has read; a clone shares the weights and reads on by itself.
#[derive(Clone)]
pub(super) struct Model {
    weights: ModelWeights,
    longest: usize,
}

impl Model {
    /// Loads the network of a file whose tokenizer has `vocabulary` entries.
    ///
    /// # Errors
    /// Another architecture, numbers that do not fit together, or missing and damaged tensors.
    pub(super) fn load<R: Read + Seek>(
        file: &Path,
        content: Content,
        reader: &mut R,
        vocabulary: usize,
    ) -> Result<Self> {
        let fault = |reason: String| model_fault(file, reason);
        let architecture = header::text(&content, "general.architecture").unwrap_or("nothing");
        if architecture != "llama" {
            return Err(fault(format!(
                "its architecture is {architecture}, and only llama is read here; use such a model, as SmolLM2, or serve this one and use chat:URL"
            )));
        }
        let number = |name: &str| header::number(file, &content, &format!("llama.{name}"));
        let (layers, width) = (number("block_count")?, number("embedding_length")?);
        let (heads, groups) = (
            number("attention.head_count")?,
            number("attention.head_count_kv")?,
        );
        let rotary = number("rope.dimension_count")?;
        let context = number("context_length")?;
        let fits = (1..=MOST_LAYERS).contains(&layers)
            && (1..=MOST_WIDTH).contains(&width)
            && (1..=MOST_HEADS).contains(&heads)
            && (1..=heads).contains(&groups)
            && heads % groups == 0
            && width % heads == 0
            && rotary == width / heads
            && rotary % 2 == 0
            && context > 0;
        if !fits {
            return Err(fault(format!(
                "its sizes do not fit together: {layers} layers, width {width}, {heads} heads in {groups} groups, {rotary} rotary dimensions, context \
                 {context}; fetch it again, or use another model"
            )));
        }
        let table = content.tensor_infos.get("token_embd.weight");
        let table = table
            .map(|info| info.shape.dims().to_vec())
            .unwrap_or_default();
        if table != [vocabulary, width as usize] {
            return Err(fault(format!(
                "its table of embeddings is {table:?} and its tokenizer has {vocabulary} entries; use the tokenizer of this model"
            )));
        }
        let weights = ModelWeights::from_gguf(content, reader, &Device::Cpu).map_err(|e| {
            fault(format!(
                "its weights cannot be used ({e}); fetch it again, or use another model"
            ))
        })?;
        let longest = usize::try_from(context).unwrap_or(MAX_SEQ_LEN);
        Ok(Self {
            weights,
            longest: longest.min(MAX_SEQ_LEN),
        })
    }

    /// The most tokens of a conversation.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Reads ids that stand at `place` and on; gives the logits of what comes next.
    ///
    /// # Errors
    /// A computation that fails.
    pub(super) fn read(&mut self, ids: &[u32], place: usize) -> Result<Vec<f32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let logits = self.weights.forward(&ids, place)?;
        Ok(logits.flatten_all()?.to_vec1()?)
    }
}
