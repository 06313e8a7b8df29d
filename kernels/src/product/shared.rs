//! A result that several tasks write to.

use std::marker::PhantomData;
use std::ops::Range;

/// Values of which every task writes its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    values: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: an exclusive borrow of plain numbers; who writes through it promises that tasks do not meet.
unsafe impl Send for Shared<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(values: &'a mut [f32]) -> Self {
        Self {
            values: values.as_mut_ptr(),
            len: values.len(),
            borrow: PhantomData,
        }
    }

    /// The values of a range.
    ///
    /// # Panics
    /// If it reaches beyond them.
    #[inline(always)]
    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "a part");
        Self {
            values: self.values.wrapping_add(range.start),
            len: range.end - range.start,
            borrow: PhantomData,
        }
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of the first value.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn start(&self) -> *mut f32 {
        self.values
    }

    /// # Safety
    /// Nothing else may read or write these values while the slice is used.
    #[inline(always)]
    pub(crate) unsafe fn slice(self) -> &'a mut [f32] {
        // SAFETY: the values lie inside the borrowed slice, and the caller promises that they are not shared.
        unsafe { std::slice::from_raw_parts_mut(self.values, self.len) }
    }
}
