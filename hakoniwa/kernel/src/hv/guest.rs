//! A guest task: its VMCS before an entry, its state page, the answer to its last exit.

use super::controls::{self, Controls};
use super::debug;
use super::exit::{self, PROTECTION};
use super::extended::{self, OSXSAVE};
use super::msr::{self, SWITCHED};
use super::reason::Counts;
use super::vmcs::{Field, Vmcs, each_field_at_least, each_other_field};
use crate::context::Context;
use crate::platform::Platform;
use hakoniwa_abi::Message;
use hakoniwa_abi::guest::{CAN_TAKE, INJECT, VECTORS, VECTORS_PRESENT, label, more};

/// What the server's answer to the exit under way means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Nothing but to go on.
    Nothing,
    /// The value that IN of this width reads.
    In(u64),
    /// The registers that CPUID sets.
    Cpuid,
    /// Whether the MSR is there, and its value.
    MsrRead,
    /// Whether the MSR took the value.
    MsrWrite,
    /// Whether the state that it had was enough.
    Enough,
}

/// An event to inject: VM-entry interruption information, error code, instruction length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Vector, type, and whether there is an error code; bit 31 set.
    pub information: u64,
    /// The error code.
    pub error: u64,
    /// The length of the INT instruction that caused it.
    pub length: u64,
}

impl Event {
    /// A hardware exception; #GP and #SS have an error code, but not in real mode.
    pub fn exception(vector: u64, protected: bool) -> Event {
        let error = matches!(vector, 12 | 13) && protected;
        Event { information: 1 << 31 | u64::from(error) << 11 | 3 << 8 | vector, error: 0, length: 0 }
    }
}

/// What a guest task has beyond other tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guest {
    /// The VMCS's page.
    pub vmcs: u64,
    /// The page that its server reads and writes its state in.
    pub state: u64,
    /// The page with its vector registers, which entries load and exits save.
    pub vectors: u64,
    /// The page with the MSRs that entries and exits switch.
    pub msrs: u64,
    /// The VMCS is empty.
    pub fresh: bool,
    /// The next entry is a resumption.
    pub launched: bool,
    /// What the kernel answers without the server.
    pub policy: u64,
    /// The processor's time-stamp counter when the guest's time began: the same for all its processors.
    pub zero: u64,
    /// The bitmaps of ports that exit, where it has some that do not; else all exit.
    pub ports: Option<[u64; 2]>,
    /// CR2, which VMX does not switch.
    pub cr2: u64,
    /// DR0 to DR3, and DR6, DR7 as 4 and 5.
    pub debug: [u64; 6],
    /// DR0 to DR3 have to be loaded before the next entry.
    pub arm: bool,
    /// XCR0.
    pub xcr0: u64,
    /// What XCR0 may have: all that the processor has.
    pub xcr0_allowed: u64,
    /// CR4.OSXSAVE is on.
    pub osxsave: bool,
    /// The tag of its translations; 0 without tags.
    pub vpid: u64,
    /// Translations with its tag have to go before the next entry: something was done for the guest that invalidates
    /// them, and the processor did not see it.
    pub stale: bool,
    /// An event to inject with the next entry.
    pub event: Option<Event>,
    /// The window is asked for in the VMCS.
    pub window: bool,
    /// The preemption timer is on in the VMCS.
    pub timer: bool,
    /// An external interrupt that waits until the guest can take it.
    pub pending: Option<u8>,
    /// An NMI that waits until the guest can take it.
    pub nmi: bool,
    /// The NMI window is asked for in the VMCS.
    pub nmi_window: bool,
    /// The server wants to be told when the guest can take an interrupt.
    pub wanted: bool,
    /// What the answer under way means.
    pub ask: Ask,
    /// The answer, applied with the next entry, when the VMCS is current.
    pub answer: Option<Message>,
    /// The next fault comes with a state that is not whole, because the server made do with registers last time.
    pub brief: bool,
    /// Exits so far.
    pub exits: Counts,
}

impl Guest {
    /// Counts an exit.
    #[inline]
    pub fn count(&mut self, reason: u64) {
        self.exits.add(reason);
    }
}

/// CR0 bits that the guest cannot change by itself: paging (long mode follows it), caching, and NE, which VMX needs.
const CR0_OWNED: u64 = 0xe000_0020;
/// CR0 bits that VMX needs even for unrestricted guests.
const CR0_ALWAYS: u64 = 1 << 5;
/// CR4 bits that guests change without an exit where the processor has them: VME to PCE, OSFXSR, OSXMMEXCPT, UMIP,
/// FSGSBASE, PCIDE and the preventions. OSXSAVE exits, because CPUID and XCR0 follow it.
const CR4_ALLOWED: u64 = 0x7ff | 1 << 11 | 1 << 16 | 1 << 17 | 1 << 20 | 1 << 21;
/// CR4.VMXE.
const CR4_ALWAYS: u64 = 1 << 13;
const CR0_PAGING: u64 = 1 << 31;
/// EFER bits that guests may set: SCE, LME, NXE.
const EFER_ALLOWED: u64 = 0x901;
const LME: u64 = 1 << 8;
const LMA: u64 = 1 << 10;
/// The vector of NMIs, and their type among events.
pub const NMI: u64 = 2;
/// RFLAGS.IF.
pub const INTERRUPTS: u64 = 1 << 9;

/// Where the host's values are in the page of MSRs; the guest's are at its start.
pub const HOST_MSRS: u64 = 2048;

/// Exceptions that exit: #DB and #AC, whose delivery a guest can make fault for ever inside the processor, and #MC.
const INTERCEPTED: u64 = 1 << debug::VECTOR | 1 << 17 | 1 << 18;

/// What a new VMCS leads to.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The root of the guest's memory map.
    pub root: u64,
    /// The tag of its translations, if there are tags.
    pub vpid: u64,
    /// The bitmap of MSRs that exit.
    pub msr_bitmap: u64,
    /// The bitmaps of ports that exit, of the lower and the upper half.
    pub io_bitmaps: [u64; 2],
}

/// Fills the fields of a new VMCS that do not change, but for the host's state.
pub fn initialise(vmcs: &mut impl Vmcs, controls: &Controls, guest: &mut Guest, places: Places) {
    /// Four-level walk, write-back tables.
    const EPT: u64 = 3 << 3 | 6;
    /// The most ticks between two PAUSEs of one loop, and how long a loop may wait before it exits.
    const PAUSE_GAP: u64 = 128;
    const PAUSE_WINDOW: u64 = 4096;
    /// The PAT after reset.
    const PAT: u64 = 0x0007_0406_0007_0406;
    let Places { root, vpid, msr_bitmap, io_bitmaps } = places;
    guest.vpid = if controls.secondary & controls::VPID != 0 { vpid } else { 0 };
    guest.xcr0_allowed = controls.xcr0;
    // TSC_AUX is the last of them, and there only with RDTSCP.
    let switched = SWITCHED.len() as u64 - u64::from(controls.secondary & controls::RDTSCP == 0);
    for (field, value) in [
        (Field::Pin, controls.pin),
        (Field::Primary, controls.primary),
        (Field::Secondary, controls.secondary),
        (Field::ExitControls, controls.exit),
        (Field::EntryControls, controls.entry),
        (Field::Vpid, guest.vpid),
        (Field::PauseGap, PAUSE_GAP),
        (Field::PauseWindow, PAUSE_WINDOW),
        (Field::EptPointer, root | EPT),
        (Field::Link, u64::MAX),
        (Field::GuestPat, PAT),
        (Field::Cr0Mask, CR0_OWNED),
        (Field::Cr4Mask, !(CR4_ALLOWED & controls.cr4)),
        (Field::MsrBitmap, msr_bitmap),
        (Field::IoBitmapA, io_bitmaps[0]),
        (Field::IoBitmapB, io_bitmaps[1]),
        // The guest's counter begins at zero.
        (Field::TscOffset, guest.zero.wrapping_neg()),
        (Field::ExitMsrStore, guest.msrs),
        (Field::EntryMsrLoad, guest.msrs),
        (Field::ExitMsrLoad, guest.msrs + HOST_MSRS),
        (Field::ExitMsrStoreCount, switched),
        (Field::EntryMsrLoadCount, switched),
        (Field::ExitMsrLoadCount, switched),
        (Field::GuestDr7, guest.debug[5]),
        (Field::ExceptionBitmap, INTERCEPTED),
        (Field::Activity, 0),
        (Field::FaultMask, 0),
        (Field::FaultMatch, 0),
        (Field::Cr3Targets, 0),
        (Field::PendingDebug, 0),
        (Field::GuestDebugctl, 0),
        (Field::SysenterCs, 0),
        (Field::SysenterEsp, 0),
        (Field::SysenterEip, 0),
        (Field::EntryInterruption, 0),
    ] {
        vmcs.write(field, value);
    }
}

/// The number of RSP, which is in the VMCS.
const RSP: usize = 4;

/// The general registers of a context with their numbers in instructions; RSP is not the guest's. Written out, because
/// every exit with a state comes by.
#[inline(always)]
fn each_register(c: &mut Context, mut f: impl FnMut(usize, &mut u64)) {
    f(0, &mut c.rax);
    f(1, &mut c.rcx);
    f(2, &mut c.rdx);
    f(3, &mut c.rbx);
    f(5, &mut c.rbp);
    f(6, &mut c.rsi);
    f(7, &mut c.rdi);
    f(8, &mut c.r8);
    f(9, &mut c.r9);
    f(10, &mut c.r10);
    f(11, &mut c.r11);
    f(12, &mut c.r12);
    f(13, &mut c.r13);
    f(14, &mut c.r14);
    f(15, &mut c.r15);
}

/// The general registers of a context by their numbers in instructions; RSP is not among them.
pub fn register(c: &mut Context, number: usize) -> Option<&mut u64> {
    let registers = [
        &mut c.rax, &mut c.rcx, &mut c.rdx, &mut c.rbx, &mut c.rsp, &mut c.rbp, &mut c.rsi, &mut c.rdi,
        &mut c.r8, &mut c.r9, &mut c.r10, &mut c.r11, &mut c.r12, &mut c.r13, &mut c.r14, &mut c.r15,
    ];
    registers.into_iter().nth(number).filter(|_| number != RSP)
}

/// CR0 or CR4 as the guest sees it.
pub fn visible(vmcs: &impl Vmcs, real: Field, shadow: Field, mask: Field) -> u64 {
    let mask = vmcs.read(mask);
    vmcs.read(real) & !mask | vmcs.read(shadow) & mask
}

/// CR0 as the guest sees it.
pub fn cr0(vmcs: &impl Vmcs) -> u64 {
    visible(vmcs, Field::GuestCr0, Field::Cr0Shadow, Field::Cr0Mask)
}

/// CR4 as the guest sees it.
pub fn cr4(vmcs: &impl Vmcs) -> u64 {
    visible(vmcs, Field::GuestCr4, Field::Cr4Shadow, Field::Cr4Mask)
}

/// Whether these control registers mean PAE paging outside long mode.
pub fn uses_pdptes(cr0: u64, cr4: u64, efer: u64) -> bool {
    cr0 & CR0_PAGING != 0 && cr4 & PAE != 0 && efer & LME == 0
}

/// Whether the guest runs 64-bit code, so that operands are as wide.
pub fn wide(vmcs: &impl Vmcs) -> bool {
    const L: u64 = 1 << 13;
    vmcs.read(Field::GuestEfer) & LMA != 0 && vmcs.read(Field::GuestCsAccess) & L != 0
}

const PAE: u64 = 1 << 5;
const PCIDE: u64 = 1 << 17;

/// Sets CR0, and with it whether long mode is active (SDM Vol. 3A, 2.5). False if the guest may not.
pub fn set_cr0(vmcs: &mut impl Vmcs, guest: &mut Guest, value: u64) -> bool {
    const PROTECTED: u64 = 1;
    const NOT_WRITE_THROUGH: u64 = 1 << 29;
    const CACHE_DISABLE: u64 = 1 << 30;
    let efer = vmcs.read(Field::GuestEfer);
    let cr4 = cr4(vmcs);
    let paging = value & CR0_PAGING != 0;
    let long = paging && efer & LME != 0;
    if value >> 32 != 0
        || paging && value & PROTECTED == 0
        || long && cr4 & PAE == 0
        || !paging && cr4 & PCIDE != 0
        || value & NOT_WRITE_THROUGH != 0 && value & CACHE_DISABLE == 0
    {
        return false;
    }
    guest.stale |= (value ^ vmcs.read(Field::GuestCr0)) & CR0_PAGING != 0;
    vmcs.write(Field::GuestCr0, value | CR0_ALWAYS);
    vmcs.write(Field::Cr0Shadow, value);
    vmcs.write(Field::GuestEfer, if long { efer | LMA } else { efer & !LMA });
    let entry = vmcs.read(Field::EntryControls) & !controls::LONG_MODE;
    vmcs.write(Field::EntryControls, if long { entry | controls::LONG_MODE } else { entry });
    true
}

/// Sets CR3, on processors where that exits. With PCIDs, bit 63 says that no translation has to go.
pub fn set_cr3(vmcs: &mut impl Vmcs, guest: &mut Guest, value: u64) {
    let keep = if cr4(vmcs) & PCIDE != 0 { value & 1 << 63 } else { 0 };
    guest.stale |= keep == 0;
    vmcs.write(Field::GuestCr3, value & !keep);
}

/// Sets CR4. False if the guest may not.
pub fn set_cr4(vmcs: &mut impl Vmcs, guest: &mut Guest, value: u64) -> bool {
    /// PSE, PAE, PGE, PCIDE, SMEP, SMAP: what translations depend on.
    const TRANSLATION: u64 = 0xb0 | PCIDE | 1 << 20 | 1 << 21;
    let old = cr4(vmcs);
    let long = vmcs.read(Field::GuestEfer) & LMA != 0;
    let tags = value & !old & PCIDE != 0 && !(long && vmcs.read(Field::GuestCr3) & 0xfff == 0);
    if value & never(vmcs, guest) != 0 || tags || long && value & PAE == 0 {
        return false;
    }
    guest.stale |= (value ^ old) & TRANSLATION != 0;
    put_cr4(vmcs, guest, value);
    true
}

fn put_cr4(vmcs: &mut impl Vmcs, guest: &mut Guest, value: u64) {
    guest.osxsave = value & OSXSAVE != 0;
    vmcs.write(Field::GuestCr4, value | CR4_ALWAYS);
    vmcs.write(Field::Cr4Shadow, value);
}

/// Bits of CR4 that the guest cannot set.
fn never(vmcs: &impl Vmcs, guest: &Guest) -> u64 {
    let extended = if guest.xcr0_allowed != 0 { OSXSAVE } else { 0 };
    vmcs.read(Field::Cr4Mask) & !extended
}

/// Sets EFER; LMA is what it is. False if the guest may not.
pub fn set_efer(vmcs: &mut impl Vmcs, value: u64) -> bool {
    let old = vmcs.read(Field::GuestEfer);
    let paging = vmcs.read(Field::GuestCr0) & CR0_PAGING != 0;
    if value & !(EFER_ALLOWED | LMA) != 0 || paging && (value ^ old) & LME != 0 {
        return false;
    }
    vmcs.write(Field::GuestEfer, value & EFER_ALLOWED | old & LMA);
    true
}

/// The physical address of a word of the state page.
#[inline(always)]
fn place(guest: &Guest, index: usize) -> u64 {
    guest.state.wrapping_add(index as u64 * 8)
}

/// Writes the guest's state to its page: if it need not be whole, without what few instructions on memory need.
pub fn save_state(
    vmcs: &impl Vmcs,
    platform: &mut impl Platform,
    guest: &Guest,
    c: &mut Context,
    whole: bool,
) {
    let mut word = |index: usize, value: u64| platform.store(place(guest, index), value);
    each_register(c, |number, value| word(number, *value));
    each_field_at_least(|field, index| word(index, vmcs.read(field)));
    word(18, cr0(vmcs));
    word(19, guest.cr2);
    word(21, cr4(vmcs));
    word(22, vmcs.read(Field::GuestEfer));
    word(more::DEBUG + 5, guest.debug[5]);
    word(more::PENDING_DEBUG, vmcs.read(Field::PendingDebug));
    if !whole {
        return;
    }
    each_other_field(|field, index| word(index, vmcs.read(field)));
    platform.copy(guest.vectors, place(guest, VECTORS), LEGACY as u64);
    platform.store(place(guest, VECTORS_PRESENT), X87_AND_SSE);
    save_more(vmcs, platform, guest);
}

/// What a processor has besides: XCR0, debug registers, MSRs.
fn save_more(vmcs: &impl Vmcs, platform: &mut impl Platform, guest: &Guest) {
    let values = msr::listed(vmcs, platform, guest);
    let mut word = |index: usize, value: u64| platform.store(place(guest, index), value);
    word(more::PRESENT, 1);
    word(more::XCR0, guest.xcr0);
    guest.debug.iter().enumerate().for_each(|(n, value)| word(more::DEBUG + n, *value));
    values.iter().enumerate().for_each(|(n, value)| word(more::MSRS + n, *value));
}

/// Takes that from the state page; what the guest could not have set is left as it is.
fn load_more(vmcs: &mut impl Vmcs, platform: &mut impl Platform, guest: &mut Guest) {
    let at = guest.state;
    let word = |platform: &dyn Platform, index: usize| platform.load(at + index as u64 * 8);
    if word(platform, more::PRESENT) == 0 {
        // INIT resets these, and the VMCS has to follow.
        let control = guest.debug[5];
        debug::set(vmcs, guest, 5, control);
        vmcs.write(Field::PendingDebug, 0);
        return;
    }
    let xcr0 = word(platform, more::XCR0);
    if extended::valid(xcr0, guest.xcr0_allowed) {
        guest.xcr0 = xcr0;
    }
    for index in 0..guest.debug.len() {
        let value = word(platform, more::DEBUG + index);
        debug::set(vmcs, guest, index, value);
    }
    let before = msr::listed(vmcs, platform, guest);
    for (number, index) in more::MSR_LIST.into_iter().enumerate() {
        let value = word(platform, more::MSRS + number);
        if value != before[number] {
            // A value that the MSR cannot have changes nothing.
            let _ = msr::write(vmcs, platform, guest, index, value);
        }
    }
    vmcs.write(Field::PendingDebug, word(platform, more::PENDING_DEBUG) & debug::PENDING);
}

/// Words of the XSAVE area's part for x87 and SSE; its header follows.
const LEGACY: usize = 64;
/// Both components.
const X87_AND_SSE: u64 = 3;
/// The word with MXCSR in its lower half and, in its upper, the bits that may be set; 0 there means [`MXCSR_BITS`].
const MXCSR: usize = 3;
/// SDM Vol. 1, 11.6.6.
const MXCSR_BITS: u64 = 0xffbf;

/// Takes x87 and SSE from the state page, without what would make XRSTOR fault.
fn load_vectors(platform: &mut impl Platform, guest: &Guest) {
    if platform.load(guest.state + VECTORS_PRESENT as u64 * 8) == 0 {
        return;
    }
    let control = guest.vectors + MXCSR as u64 * 8;
    let mask = match platform.load(control) >> 32 {
        0 => MXCSR_BITS,
        mask => mask,
    };
    platform.copy(guest.state + VECTORS as u64 * 8, guest.vectors, LEGACY as u64);
    let value = platform.load(control);
    platform.store(control, mask << 32 | value & mask);
    let present = guest.vectors + LEGACY as u64 * 8;
    let others = platform.load(present) & !X87_AND_SSE;
    platform.store(present, others | X87_AND_SSE);
}

/// Takes the guest's state from its page. Nothing in it can harm the host: the controls and the owned bits stay the
/// kernel's, and a state that is none makes the entry fail, which the server hears of.
pub fn load_state(vmcs: &mut impl Vmcs, platform: &mut impl Platform, guest: &mut Guest, c: &mut Context) {
    load_vectors(platform, guest);
    load_more(vmcs, platform, guest);
    let before = TRANSLATION.map(|field| vmcs.read(field));
    let word = |index: usize| platform.load(guest.state + index as u64 * 8);
    each_register(c, |number, place| *place = word(number));
    each_field_at_least(|field, index| vmcs.write(field, word(index)));
    each_other_field(|field, index| vmcs.write(field, word(index)));
    let (cr0, cr2, cr4, efer) = (word(18), word(19), word(21), word(22));
    guest.cr2 = cr2;
    vmcs.write(Field::GuestEfer, efer & EFER_ALLOWED);
    // Bits beyond what is allowed are dropped: the guest could not have set them either.
    let cr4 = cr4 & !never(vmcs, guest);
    put_cr4(vmcs, guest, cr4);
    if !set_cr0(vmcs, guest, cr0 & 0xffff_ffff) {
        put_cr4(vmcs, guest, cr4 & !PCIDE);
        set_cr0(vmcs, guest, cr0 & 0x1fff_ffff);
    }
    guest.stale |= before != TRANSLATION.map(|field| vmcs.read(field));
}

/// Takes what most instructions change from the page, and nothing else: general registers, RIP and RFLAGS. What held
/// interrupts off for one instruction has ended with it.
fn load_registers(vmcs: &mut impl Vmcs, platform: &impl Platform, guest: &Guest, c: &mut Context) {
    let word = |index: usize| platform.load(guest.state + index as u64 * 8);
    each_register(c, |number, place| *place = word(number));
    for (field, index) in [(Field::GuestRsp, RSP), (Field::GuestRip, 16), (Field::GuestRflags, 17)] {
        vmcs.write(field, word(index));
    }
    let blocked = vmcs.read(Field::Interruptibility);
    vmcs.write(Field::Interruptibility, blocked & !3);
}

/// The fields that linear addresses are translated by.
const TRANSLATION: [Field; 4] = [Field::GuestCr0, Field::GuestCr3, Field::GuestCr4, Field::GuestEfer];

/// Brings the VMCS up to date before an entry: the server's answer, an event or an interrupt to inject, the timer that
/// bounds a stay with interrupts off (`ticks` of it).
pub fn before_entry(
    vmcs: &mut impl Vmcs,
    platform: &mut impl Platform,
    guest: &mut Guest,
    c: &mut Context,
    ticks: impl FnOnce() -> Option<u64>,
) {
    if let Some(answer) = guest.answer.take() {
        apply(vmcs, platform, guest, c, &answer);
    }
    if core::mem::take(&mut guest.stale) && guest.vpid != 0 {
        platform.flush_linear(guest.vpid);
    }
    let interrupts = vmcs.read(Field::GuestRflags) & INTERRUPTS != 0;
    let mut window = guest.wanted;
    let mut nmi_window = false;
    if let Some(event) = guest.event.take() {
        vmcs.write(Field::EntryInterruption, event.information);
        vmcs.write(Field::EntryErrorCode, event.error);
        vmcs.write(Field::EntryLength, event.length);
        window |= guest.pending.is_some();
        nmi_window = guest.nmi;
    } else if guest.nmi && vmcs.read(Field::Interruptibility) & !4 | vmcs.read(Field::PendingDebug) == 0 {
        vmcs.write(Field::EntryInterruption, 1 << 31 | NMI << 8 | NMI);
        guest.nmi = false;
        window |= guest.pending.is_some();
    } else if guest.nmi {
        window |= guest.pending.is_some();
        nmi_window = true;
    } else if let Some(vector) = guest.pending {
        // A debug exception that waits comes first.
        let blocked = vmcs.read(Field::Interruptibility) & 3 | vmcs.read(Field::PendingDebug);
        if interrupts && blocked == 0 {
            vmcs.write(Field::EntryInterruption, 1 << 31 | u64::from(vector));
            guest.pending = None;
        } else {
            window = true;
        }
    }
    set(vmcs, Field::Primary, controls::INTERRUPT_WINDOW, &mut guest.window, window);
    set(vmcs, Field::Primary, controls::NMI_WINDOW, &mut guest.nmi_window, nmi_window);
    let timer = if interrupts { None } else { ticks() };
    set(vmcs, Field::Pin, controls::PREEMPTION_TIMER, &mut guest.timer, timer.is_some());
    if let Some(ticks) = timer {
        vmcs.write(Field::PreemptionTimer, ticks.min(u32::MAX.into()));
    }
}

/// Whether the guest whose VMCS is current could take an interrupt before its next instruction.
pub fn can_take(vmcs: &impl Vmcs, guest: &Guest) -> bool {
    let open = vmcs.read(Field::GuestRflags) & INTERRUPTS != 0 && vmcs.read(Field::Interruptibility) & 3 == 0;
    open && guest.event.is_none() && guest.pending.is_none() && !guest.nmi
}

/// Sets or clears a control if it is not so already.
fn set(vmcs: &mut impl Vmcs, field: Field, bit: u64, is: &mut bool, on: bool) {
    if *is != on {
        *is = on;
        let old = vmcs.read(field);
        vmcs.write(field, if on { old | bit } else { old & !bit });
    }
}

fn apply(
    vmcs: &mut impl Vmcs,
    platform: &mut impl Platform,
    guest: &mut Guest,
    c: &mut Context,
    answer: &Message,
) {
    let words = answer.words;
    if words[CAN_TAKE] & INJECT != 0 {
        guest.pending = Some(words[CAN_TAKE] as u8);
    }
    if answer.label == label::RESUME_WITH_STATE {
        // The server has delivered what the exit cut short.
        guest.event = None;
        load_state(vmcs, platform, guest, c);
        return;
    }
    if answer.label == label::RESUME_WITH_REGISTERS {
        (guest.event, guest.brief) = (None, true);
        load_registers(vmcs, platform, guest, c);
        return;
    }
    let low = |value: u64| value & 0xffff_ffff;
    match guest.ask {
        Ask::Nothing => {}
        Ask::Enough => guest.brief = false,
        Ask::In(1) => c.rax = c.rax & !0xff | words[0] & 0xff,
        Ask::In(2) => c.rax = c.rax & !0xffff | words[0] & 0xffff,
        Ask::In(_) => c.rax = low(words[0]),
        Ask::MsrRead | Ask::MsrWrite if words[0] & 1 == 0 => {
            guest.event = Some(Event::exception(PROTECTION, cr0(vmcs) & 1 != 0));
        }
        Ask::MsrRead => {
            (c.rax, c.rdx) = (low(words[1]), words[1] >> 32);
            exit::advance(vmcs);
        }
        Ask::MsrWrite => exit::advance(vmcs),
        Ask::Cpuid => {
            (c.rax, c.rbx, c.rcx, c.rdx) = (low(words[0]), low(words[1]), low(words[2]), low(words[3]));
        }
    }
}
