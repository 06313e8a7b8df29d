//! bf16 products of matrix tiles by Intel's Advanced Matrix Extensions.
//!
//! Instructions by inline assembly: the intrinsics are not stable. See Intel's Architectures Software
//! Developer's Manual, volume 1, chapter 18.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::cell::Cell;
use std::mem::offset_of;
use std::sync::OnceLock;

use crate::product::Block;

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

thread_local! {
    /// How many [`Tiles`] there are on this thread.
    static USERS: Cell<usize> = const { Cell::new(0) };
}

impl Tiles {
    /// # Panics
    /// If tiles are not [`permitted`].
    pub(crate) fn configure() -> Self {
        assert!(permitted());
        if USERS.replace(USERS.get() + 1) == 0 {
            // SAFETY: tiles are permitted, and the configuration is one of palette 1. No code but this
            // module's uses tile registers, which no asm block expects to keep.
            unsafe {
                asm!(
                    "ldtilecfg [{0}]",
                    in(reg) &CONFIGURATION,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, readonly),
                );
            }
        }
        Self {
            thread: std::marker::PhantomData,
        }
    }

    /// The sums of a block.
    ///
    /// # Safety
    /// The addresses of the block must be those of [`Block::new`], their slices alive, and its sums not shared.
    pub(crate) unsafe fn multiply(&self, block: &Block) {
        // SAFETY: the tiles of this thread are configured while `self` lives, 16 rows of 64 bytes each. The loops read
        // `segments` x `tiles` tiles of each operand at the distances that `Block::new` has checked, and
        // write 16 rows of 128 bytes at both places of the sums. All tile registers are named as changed.
        unsafe {
            asm!(
                "mov {t}, [{block} + {start}]",
                "test {t}, {t}",
                "jz 3f",
                "mov {u}, [{block} + {start_row}]",
                "tileloadd tmm0, [{t} + {u}]",
                "tileloadd tmm2, [{t} + {u} + 64]",
                "mov {t}, [{block} + {start} + 8]",
                "tileloadd tmm1, [{t} + {u}]",
                "tileloadd tmm3, [{t} + {u} + 64]",
                "jmp 4f",
                "3:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "4:",
                "mov {t}, [{block} + {tiles}]",
                "2:",
                "tileloadd tmm4, [{left0} + {left_row}]",
                "tileloadd tmm6, [{right0} + {right_row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{left1} + {left_row}]",
                "tdpbf16ps tmm1, tmm5, tmm6",
                "tileloadd tmm7, [{right1} + {right_row}]",
                "tdpbf16ps tmm2, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left0}, {left_tile}",
                "add {left1}, {left_tile}",
                "add {right0}, 1024",
                "add {right1}, 1024",
                "dec {t}",
                "jnz 2b",
                "add {left0}, [{block} + {left_jump}]",
                "add {left1}, [{block} + {left_jump}]",
                "dec {segments}",
                "jnz 4b",
                "mov {u}, [{block} + {sums_row}]",
                "mov {t}, [{block} + {sums}]",
                "tilestored [{t} + {u}], tmm0",
                "tilestored [{t} + {u} + 64], tmm2",
                "mov {t}, [{block} + {sums} + 8]",
                "tilestored [{t} + {u}], tmm1",
                "tilestored [{t} + {u} + 64], tmm3",
                block = in(reg) block,
                t = out(reg) _,
                u = out(reg) _,
                left0 = inout(reg) block.left[0] => _,
                left1 = inout(reg) block.left[1] => _,
                right0 = inout(reg) block.right[0] => _,
                right1 = inout(reg) block.right[1] => _,
                left_row = in(reg) block.left_row,
                left_tile = in(reg) block.left_tile,
                right_row = in(reg) 64usize,
                segments = inout(reg) block.segments => _,
                start = const offset_of!(Block, start),
                start_row = const offset_of!(Block, start_row),
                tiles = const offset_of!(Block, tiles),
                left_jump = const offset_of!(Block, left_jump),
                sums = const offset_of!(Block, sums),
                sums_row = const offset_of!(Block, sums_row),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        if USERS.replace(USERS.get() - 1) == 1 {
            // SAFETY: gives back what `configure` took; nobody on this thread uses tiles any more.
            unsafe {
                asm!(
                    "tilerelease",
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, nomem),
                );
            }
        }
    }
}
