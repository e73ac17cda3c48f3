//! The opcodes after 0Fh that mandatory prefixes tell apart and that belong neither to x87 nor to SSE: group 9, group 15,
//! the register forms of group 7 (SDM Vol. 2D appendix A.4).

use super::entry::{Args, ENDS, Entry, Forms, LOCKABLE, MEM_ONLY, ONLY64, REG_ONLY, Size, UD};
use super::need::Need;
use crate::ops::{atomic, misc};
use crate::{flush, msr, protection, syscall, user};

use Args::Rm;
use Size::{V, Y};

const PAIR: Entry = Entry::new(one!(atomic::cmpxchg_pair), Rm, V).with(LOCKABLE | MEM_ONLY).needs(Need::Cx8);
const RDRAND: Entry = Entry::new(sized!(user::rdrand), Rm, V).with(REG_ONLY).needs(Need::Rdrand);
const RDSEED: Entry = Entry::new(sized!(user::rdseed), Rm, V).with(REG_ONLY).needs(Need::Rdseed);
const RDPID: Entry = Entry::new(one!(user::rdpid), Rm, V).with(REG_ONLY).needs(Need::Rdpid);
const GROUP9_PLAIN: [Entry; 8] = [UD, PAIR, UD, UD, UD, UD, RDRAND, RDSEED];
const GROUP9_F3: [Entry; 8] = [UD, PAIR, UD, UD, UD, UD, UD, RDPID];
const GROUP9_F2: [Entry; 8] = [UD, PAIR, UD, UD, UD, UD, UD, UD];
const GROUP9_ROW: [Entry; 4] = [
    Entry::group(&GROUP9_PLAIN, V),
    Entry::group(&GROUP9_PLAIN, V),
    Entry::group(&GROUP9_F3, V),
    Entry::group(&GROUP9_F2, V),
];
/// 0F C7.
pub(super) const GROUP9: Entry = Entry::prefixed(&GROUP9_ROW);

/// 0F AE /7: SFENCE with a register operand, CLFLUSH with memory.
pub(super) const SFENCE_CLFLUSH: Entry = {
    const F: Forms = Forms::same([misc::nop; 4], [user::clflush; 4]);
    Entry::new(&F, Rm, V).forms_need(Need::Sse, Need::Clfsh)
};
const CLFLUSHOPT: Entry = Entry::new(one!(user::clflushopt), Rm, V).with(MEM_ONLY).needs(Need::Clflushopt);
/// 66 0F AE F8, the last byte of which is no ModRM byte.
pub(super) const PCOMMIT_LAST: u8 = 0xf8;
pub(super) static PCOMMIT: Entry =
    Entry::prefixed(&[UD, Entry::new(one!(misc::nop), Args::None, V).needs(Need::Pcommit), UD, UD]);
const CLWB: Entry = Entry::new(one!(user::clwb), Rm, V).with(MEM_ONLY).needs(Need::Clwb);
/// 66 0F AE.
pub(super) const GROUP15_66: [Entry; 8] = [UD, UD, UD, UD, UD, UD, CLWB, CLFLUSHOPT];

const RDFSBASE: Entry = Entry::new(one!(user::rdfsbase), Rm, Y).with(REG_ONLY | ONLY64).needs(Need::Fsgsbase);
const RDGSBASE: Entry = Entry::new(one!(user::rdgsbase), Rm, Y).with(REG_ONLY | ONLY64).needs(Need::Fsgsbase);
const WRFSBASE: Entry = Entry::new(one!(user::wrfsbase), Rm, Y).with(REG_ONLY | ONLY64).needs(Need::Fsgsbase);
const WRGSBASE: Entry = Entry::new(one!(user::wrgsbase), Rm, Y).with(REG_ONLY | ONLY64).needs(Need::Fsgsbase);
/// F3 0F AE.
pub(super) const GROUP15_F3: [Entry; 8] = [RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE, UD, UD, UD, UD];

/// 66 0F 38 82.
pub(super) const INVPCID: Entry =
    Entry::new(one!(flush::invpcid), Rm, V).with(MEM_ONLY | ENDS).needs(Need::Invpcid);

static CLAC: Entry = Entry::prefixed(&[CLAC_PLAIN, UD, UD, UD]);
const CLAC_PLAIN: Entry = Entry::new(one!(user::clac), Args::None, V).needs(Need::Smap);
static STAC: Entry = Entry::prefixed(&[STAC_PLAIN, UD, UD, UD]);
const STAC_PLAIN: Entry = Entry::new(one!(user::stac), Args::None, V).needs(Need::Smap);
static RDPKRU: Entry = Entry::prefixed(&[RDPKRU_PLAIN, UD, UD, UD]);
const RDPKRU_PLAIN: Entry = Entry::new(one!(protection::rdpkru), Args::None, V).needs(Need::Pku);
static WRPKRU: Entry = Entry::prefixed(&[WRPKRU_PLAIN, UD, UD, UD]);
const WRPKRU_PLAIN: Entry = Entry::new(one!(protection::wrpkru), Args::None, V).needs(Need::Pku);
static SWAPGS: Entry = Entry::new(one!(syscall::swapgs), Args::None, V).with(ONLY64);
static RDTSCP: Entry = Entry::new(one!(msr::rdtscp), Args::None, V).with(ENDS).needs(Need::Rdtscp);

/// 0F 01 with register operands, by the whole ModRM byte.
pub(super) fn group7_register(modrm: u8) -> Option<&'static Entry> {
    Some(match modrm {
        0xca => &CLAC,
        0xcb => &STAC,
        0xd0 => &super::x87::XGETBV,
        0xd1 => &super::x87::XSETBV,
        0xee => &RDPKRU,
        0xef => &WRPKRU,
        0xf8 => &SWAPGS,
        0xf9 => &RDTSCP,
        _ => return None,
    })
}
