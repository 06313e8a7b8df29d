//! bf16 products of matrix tiles by Intel's Advanced Matrix Extensions.
//!
//! Instructions by inline assembly: the intrinsics are not stable. See Intel's Architectures Software
//! Developer's Manual, volume 1, chapter 18.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use crate::product::{SUMS, TILE};

/// Whether the processor has bf16 tiles and the operating system lets this process use them.
pub(crate) fn permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| has_tiles() && request_permission())
}

fn has_tiles() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let highest = __cpuid_count(0, 0).eax;
    highest >= 7 && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

/// Asks Linux for the tile registers, for the whole process (Documentation/arch/x86/xstate.rst).
fn request_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two integers and touches no memory of the process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        )
    };
    result == 0
}

/// Palette 1: eight tiles of 16 rows x 64 bytes.
#[repr(C, align(64))]
struct TileConfiguration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: TileConfiguration = TileConfiguration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Tile registers that are configured on this thread until the value is dropped.
pub(crate) struct Tiles {
    /// Configured on one thread: must not move to another.
    thread: std::marker::PhantomData<*const ()>,
}

impl Tiles {
    /// # Panics
    /// If tiles are not [`permitted`].
    pub(crate) fn configure() -> Self {
        assert!(permitted());
        // SAFETY: tiles are permitted, and the configuration is one of palette 1. No code but this
        // module's uses tile registers.
        unsafe {
            asm!("ldtilecfg [{0}]", in(reg) &CONFIGURATION, options(nostack, readonly));
        }
        Self {
            thread: std::marker::PhantomData,
        }
    }

    /// `sums [2 panels, 2 row tiles, 16, 16]` of two row tiles and two panels of as many tiles.
    ///
    /// # Panics
    /// If a slice has another length.
    pub(crate) fn multiply(&self, left: [&[u16]; 2], right: [&[u16]; 2], sums: &mut [f32]) {
        let len = left[0].len();
        assert!(
            len > 0 && len.is_multiple_of(TILE) && sums.len() == 4 * SUMS,
            "tiles"
        );
        assert!(left[1].len() == len && right[0].len() == len && right[1].len() == len);
        // SAFETY: the tiles of this thread are configured while `self` lives. Each of the four operands
        // holds `len / TILE` tiles of 1024 bytes, which the loop reads in steps of 1024 bytes, 16 rows
        // of 64 bytes each; the sums hold four tiles of 1024 bytes. All tile registers are named as changed.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{left0} + {row}]",
                "tileloadd tmm6, [{right0} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{left1} + {row}]",
                "tdpbf16ps tmm1, tmm5, tmm6",
                "tileloadd tmm7, [{right1} + {row}]",
                "tdpbf16ps tmm2, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left0}, 1024",
                "add {left1}, 1024",
                "add {right0}, 1024",
                "add {right1}, 1024",
                "dec {tiles}",
                "jnz 2b",
                "tilestored [{sums} + {row}], tmm0",
                "add {sums}, 1024",
                "tilestored [{sums} + {row}], tmm1",
                "add {sums}, 1024",
                "tilestored [{sums} + {row}], tmm2",
                "add {sums}, 1024",
                "tilestored [{sums} + {row}], tmm3",
                left0 = inout(reg) left[0].as_ptr() => _,
                left1 = inout(reg) left[1].as_ptr() => _,
                right0 = inout(reg) right[0].as_ptr() => _,
                right1 = inout(reg) right[1].as_ptr() => _,
                sums = inout(reg) sums.as_mut_ptr() => _,
                tiles = inout(reg) len / TILE => _,
                row = in(reg) 64usize,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: gives back what `configure` took; no tile is read after it.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
