//! Memory for results that are written whole.

use crate::values::Element;

/// `len` values that are whatever the memory holds, NaN where debug assertions are on: for results of which every value is
/// written, so that large ones are not written twice.
pub fn unspecified<T: Element>(len: usize) -> Vec<T> {
    if cfg!(debug_assertions) {
        return vec![T::NAN; len];
    }
    let mut values: Vec<T> = Vec::with_capacity(len);
    let start = values.as_mut_ptr();
    // SAFETY: the assembly block may write to all memory that the address leads to, so that the compiler takes the values
    // as written there; every bit pattern is an f32 or a bf16, and the capacity is at least `len`. (An allocator that lets the kernel
    // take freed pages back late can change what is read until the first write; nobody reads before that.)
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags));
        values.set_len(len);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::unspecified;

    #[test]
    fn values_can_be_written_and_read() {
        for len in [0, 1, 1000] {
            let mut values = unspecified::<f32>(len);
            values.fill(1.5);
            assert_eq!(values, vec![1.5; len]);
        }
    }
}
