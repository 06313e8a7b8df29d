//! A result that several tasks write to.

use std::marker::PhantomData;
use std::ops::Range;

use half::bf16;

use crate::values::{Element, ValuesMut};

/// Values of which every task writes its own.
pub(crate) struct Shared<'a, T = f32> {
    values: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: an exclusive borrow of plain numbers; who writes through it promises that tasks do not meet.
unsafe impl<T: Element> Send for Shared<'_, T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Element> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(values: &'a mut [T]) -> Self {
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

    /// Those from a place on.
    ///
    /// # Panics
    /// If it lies beyond them.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn shifted(&self, start: usize) -> Self {
        self.range(start..self.len)
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of the first value.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn start(&self) -> *mut T {
        self.values
    }

    /// # Safety
    /// Nothing else may read or write these values while the slice is used.
    #[inline(always)]
    pub(crate) unsafe fn slice(self) -> &'a mut [T] {
        // SAFETY: the values lie inside the borrowed slice, and the caller promises that they are not shared.
        unsafe { std::slice::from_raw_parts_mut(self.values, self.len) }
    }
}

/// A result in either format that several tasks write to.
#[derive(Clone, Copy)]
pub(crate) enum Output<'a> {
    F32(Shared<'a>),
    Bf16(Shared<'a, bf16>),
}

impl<'a> Output<'a> {
    pub(crate) fn new(values: ValuesMut<'a>) -> Self {
        match values {
            ValuesMut::F32(values) => Self::F32(Shared::new(values)),
            ValuesMut::Bf16(values) => Self::Bf16(Shared::new(values)),
        }
    }

    /// The values of a range.
    ///
    /// # Panics
    /// If it reaches beyond them.
    #[inline(always)]
    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(values.range(range)),
            Self::Bf16(values) => Self::Bf16(values.range(range)),
        }
    }

    /// # Safety
    /// Nothing else may read or write these values while they are used.
    #[inline(always)]
    pub(crate) unsafe fn values(self) -> ValuesMut<'a> {
        // SAFETY: as the caller promises.
        unsafe {
            match self {
                Self::F32(values) => ValuesMut::F32(values.slice()),
                Self::Bf16(values) => ValuesMut::Bf16(values.slice()),
            }
        }
    }
}
