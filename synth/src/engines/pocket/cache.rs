//! Encoded prompts, kept for the next images of the same prompt.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::text::TextFeatures;

/// Prompts kept; at the usual width of 384 this is 8 MB.
const CAPACITY: usize = 1024;

/// The prompts encoded last; the oldest gives way to a new one.
#[derive(Default)]
pub(super) struct PromptCache {
    features: HashMap<String, Arc<TextFeatures>>,
    order: VecDeque<String>,
}

impl PromptCache {
    /// The features of a prompt, encoding it if they are not kept.
    pub(super) fn get_or_encode<E>(
        &mut self,
        prompt: &str,
        encode: impl FnOnce(&str) -> Result<TextFeatures, E>,
    ) -> Result<Arc<TextFeatures>, E> {
        if let Some(found) = self.features.get(prompt) {
            return Ok(found.clone());
        }
        let encoded = Arc::new(encode(prompt)?);
        if self.order.len() == CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.features.remove(&oldest);
        }
        self.order.push_back(prompt.to_owned());
        self.features.insert(prompt.to_owned(), encoded.clone());
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_once_and_stays_bounded() {
        let mut cache = PromptCache::default();
        let mut encoded = 0;
        for i in (0..CAPACITY + 10).chain([CAPACITY + 9, 0]) {
            cache
                .get_or_encode(&i.to_string(), |_| {
                    encoded += 1;
                    Ok::<_, ()>(TextFeatures {
                        pooled: vec![i as f32],
                        tokens: vec![],
                    })
                })
                .unwrap();
        }
        assert_eq!(
            encoded,
            CAPACITY + 11,
            "the last prompt was kept, the first gave way"
        );
        assert_eq!(
            (cache.features.len(), cache.order.len()),
            (CAPACITY, CAPACITY)
        );
    }
}
