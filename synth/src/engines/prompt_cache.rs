//! Encoded prompts, kept for the next images of the same prompt.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The prompts encoded last; the oldest gives way to a new one.
pub(super) struct PromptCache<T> {
    capacity: usize,
    features: HashMap<String, Arc<T>>,
    order: VecDeque<String>,
}

impl<T> PromptCache<T> {
    /// Keeps at most `capacity` prompts.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            features: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The features of a prompt, encoding it if they are not kept.
    pub(super) fn get_or_encode<E>(
        &mut self,
        prompt: &str,
        encode: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(found) = self.features.get(prompt) {
            return Ok(found.clone());
        }
        let encoded = Arc::new(encode(prompt)?);
        if self.order.len() == self.capacity
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

    const CAPACITY: usize = 10;

    #[test]
    fn encodes_once_and_stays_bounded() {
        let mut cache = PromptCache::new(CAPACITY);
        let mut encoded = 0;
        for i in (0..CAPACITY + 10).chain([CAPACITY + 9, 0]) {
            let features = cache.get_or_encode(&i.to_string(), |_| {
                encoded += 1;
                Ok::<_, ()>(i)
            });
            assert_eq!(*features.unwrap(), i);
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
