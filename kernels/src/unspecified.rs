//! Memory for results that are written whole.

/// `len` values that are whatever the memory holds, NaN where debug assertions are on: for results of which every value is
/// written, so that large ones are not written twice.
pub fn unspecified(len: usize) -> Vec<f32> {
    if cfg!(debug_assertions) {
        return vec![f32::NAN; len];
    }
    let mut values: Vec<f32> = Vec::with_capacity(len);
    let start = values.as_mut_ptr();
    // SAFETY: the assembly block may write to all memory that the address leads to, so that the compiler takes the values
    // as written there; every bit pattern is an f32, and the capacity is at least `len`. (An allocator that lets the kernel
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
            let mut values = unspecified(len);
            values.fill(1.5);
            assert_eq!(values, vec![1.5; len]);
        }
    }
}
