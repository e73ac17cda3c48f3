//! Control registers, MSRs, CPUID, the time-stamp counter, ports (SDM Vol. 3A 2.5, 9.8; Vol. 4; Vol. 1 chapter 19).

use crate::machine::{DATA, Pc, TSS, sel};
use hako_cpu::{Config, Cpu, StopKind, Why};
use hako_engine::Attention;
use hako_x86::{Cr0, Cr4, Efer, Features, Gpr, RFlags, SegReg, Vector, msr, parse_cpu};

const MOV_CR0: [u8; 3] = [0x0f, 0x22, 0xc0];
const MOV_CR3: [u8; 3] = [0x0f, 0x22, 0xd8];
const MOV_CR4: [u8; 3] = [0x0f, 0x22, 0xe0];
const RDMSR: [u8; 2] = [0x0f, 0x32];
const WRMSR: [u8; 2] = [0x0f, 0x30];

fn write_cr(mut pc: Pc, code: &[u8], value: u64) -> Pc {
    pc.set_reg(Gpr::Rax, value);
    pc.code(code);
    pc
}

#[test]
fn cr0_switches_protected_mode_on_and_off() {
    let mut pc = write_cr(Pc::real(), &MOV_CR0, 0x11);
    pc.ok();
    assert_eq!(pc.state.cr0, 0x11);
    // Still the real-mode segments, at level 0.
    pc.code(&[0x90]).ok();
    let mut pc = write_cr(pc, &MOV_CR0, 0);
    assert_eq!(pc.ok().state.cr0, 0x10, "ET reads one");
}

#[test]
fn cr0_checks() {
    let on = (Cr0::PE | Cr0::PG).bits();
    write_cr(Pc::real(), &MOV_CR0, Cr0::PG.bits()).gp(0, Why::PagingWithoutProtection);
    write_cr(Pc::real(), &MOV_CR0, Cr0::NW.bits()).gp(0, Why::NotWriteThroughWithCache);
    write_cr(Pc::long(0), &MOV_CR0, 1 << 32 | on).gp(0, Why::CrReservedBit);
    write_cr(Pc::long(0), &MOV_CR0, 1).gp(0, Why::PagingOffIn64BitMode);
    write_cr(Pc::protected(3), &MOV_CR0, 1).gp(0, Why::NotLevel0);
    let mut pc = Pc::protected(0);
    pc.state.efer |= Efer::LME.bits();
    write_cr(pc, &MOV_CR0, on).gp(0, Why::LongModeWithoutPae);
    let mut pc = Pc::protected(0);
    pc.state.efer |= Efer::LME.bits();
    pc.state.cr4 |= Cr4::PAE.bits();
    pc.state.tr.attr = crate::machine::attr(0x83);
    write_cr(pc, &MOV_CR0, on).gp(0, Why::LongModeWith16BitTss);
    // PAE paging reads four PDPTEs at CR3 and refuses reserved bits in them.
    let mut pc = Pc::protected(0);
    pc.state.cr4 |= Cr4::PAE.bits();
    pc.state.cr3 = DATA;
    pc.poke64(DATA, 1 << 8 | 3);
    write_cr(pc, &MOV_CR0, on).gp(0, Why::PdpteReservedBit);
}

#[test]
fn the_way_into_long_mode_and_out() {
    let mut pc = Pc::long(0);
    pc.set_seg(SegReg::Cs, pc.descriptor(sel::CODE0).segment(sel::CODE0));
    pc.state.cr0 &= !Cr0::PG.bits();
    pc.state.efer &= !Efer::LMA.bits();
    let on = pc.state.cr0 | Cr0::PG.bits();
    let mut pc = write_cr(pc, &MOV_CR0, on);
    pc.ok();
    assert_ne!(pc.state.efer & Efer::LMA.bits(), 0);
    // From compatibility mode paging may be switched off again.
    let off = on & !Cr0::PG.bits();
    let mut pc = write_cr(pc, &MOV_CR0, off);
    assert_eq!(pc.ok().state.efer & (Efer::LMA | Efer::LME).bits(), Efer::LME.bits());
}

#[test]
fn cr4_takes_what_cpuid_offers() {
    let all = Cr4::VME
        | Cr4::PVI
        | Cr4::TSD
        | Cr4::DE
        | Cr4::PSE
        | Cr4::PAE
        | Cr4::MCE
        | Cr4::PGE
        | Cr4::PCE
        | Cr4::OSFXSR
        | Cr4::OSXMMEXCPT
        | Cr4::UMIP
        | Cr4::FSGSBASE
        | Cr4::SMEP
        | Cr4::SMAP;
    let mut pc = write_cr(Pc::protected(0), &MOV_CR4, all.bits());
    assert_eq!(pc.ok().state.cr4, all.bits());
    for bit in (0..64).filter(|b| all.bits() >> b & 1 == 0) {
        write_cr(Pc::long(0), &MOV_CR4, 1 << bit | Cr4::PAE.bits()).gp(0, Why::CrReservedBit);
    }
    write_cr(Pc::long(0), &MOV_CR4, 0).gp(0, Why::LongModeWithoutPae);
}

#[test]
fn cr3_has_no_bits_above_maxphyaddr_in_long_mode() {
    let cr3 = Pc::long(0).state.cr3;
    write_cr(Pc::long(0), &MOV_CR3, cr3 | 1 << 40).gp(0, Why::CrReservedBit);
    assert_eq!(write_cr(Pc::long(0), &MOV_CR3, cr3 | 0x18).ok().state.cr3, cr3 | 0x18);
}

#[test]
fn cr8_is_the_task_priority_in_64_bit_mode() {
    let mov_cr8 = [0x44, 0x0f, 0x22, 0xc0];
    assert_eq!(write_cr(Pc::long(0), &mov_cr8, 15).ok().state.cr8, 15);
    write_cr(Pc::long(0), &mov_cr8, 16).gp(0, Why::CrReservedBit);
    let mut pc = Pc::long(0);
    pc.state.cr8 = 5;
    assert_eq!(pc.code(&[0x44, 0x0f, 0x20, 0xc0]).ok().reg(Gpr::Rax), 5);
    // A local APIC has it as its task priority.
    let mut pc = Pc::long(0);
    pc.board.priority = Some(7);
    assert_eq!(pc.code(&[0x44, 0x0f, 0x20, 0xc0]).ok().reg(Gpr::Rax), 7);
    pc.set_reg(Gpr::Rax, 9);
    pc.code(&mov_cr8).ok();
    assert_eq!((pc.board.priority, pc.state.cr8), (Some(9), 0));
    assert_eq!(pc.cpu.state_on(&mut pc.board).cr8, 9);
}

#[test]
fn other_control_registers_do_not_exist() {
    for modrm in [0xc8, 0xe8, 0xf0, 0xf8] {
        Pc::protected(0).code(&[0x0f, 0x20, modrm]).faults(Vector::UD, None, Why::BadRegister);
        Pc::protected(0).code(&[0x0f, 0x22, modrm]).faults(Vector::UD, None, Why::BadRegister);
    }
}

#[test]
fn msrs_of_features_that_the_model_lacks_do_not_exist() {
    for (model, index) in [
        ("max,-spec-ctrl", msr::SPEC_CTRL),
        ("max,-spec-ctrl", msr::PRED_CMD),
        ("max,-arch-capabilities", msr::ARCH_CAPABILITIES),
        ("max,-mtrr", msr::MTRR_CAP),
        ("max,-mtrr", msr::MTRR_PHYSBASE0),
        ("max,-pat", msr::PAT),
        ("max,-mca", msr::MCG_CAP),
        ("max,-rdtscp", msr::TSC_AUX),
        ("max,-tsc-adjust", msr::TSC_ADJUST),
    ] {
        let mut pc = with_msr(Pc::long(0), index, 0, &WRMSR);
        pc.cpu = Cpu::new(Config { model: parse_cpu(model).unwrap(), ..Config::default() });
        pc.gp(0, Why::UnknownMsr);
        pc.code(&RDMSR).gp(0, Why::UnknownMsr);
    }
}

#[test]
fn what_an_operating_system_reads_at_boot_is_there() {
    // Each with the value that says "nothing to do".
    for (index, value) in [
        (msr::PLATFORM_ID, 0),
        (msr::BIOS_SIGN_ID, 1 << 32),
        (msr::MCG_CAP, 0),
        (msr::MCG_STATUS, 0),
        (msr::DEBUGCTL, 0),
        (msr::MISC_ENABLE, 0x1801),
        (msr::MTRR_CAP, 0x508),
        (msr::PAT, 0x0007_0406_0007_0406),
        (msr::TSC_ADJUST, 0),
    ] {
        assert_eq!(read_back(Pc::long(0), index), value, "{:?}", msr::name(index));
    }
}

fn with_msr(mut pc: Pc, index: u32, value: u64, code: &[u8]) -> Pc {
    pc.set_reg(Gpr::Rcx, u64::from(index));
    pc.set_reg(Gpr::Rax, value & 0xffff_ffff);
    pc.set_reg(Gpr::Rdx, value >> 32);
    pc.code(code);
    pc
}

fn wrmsr(index: u32, value: u64) -> Pc {
    with_msr(Pc::long(0), index, value, &WRMSR)
}

fn read_back(mut pc: Pc, index: u32) -> u64 {
    pc = with_msr(pc, index, 0, &RDMSR);
    pc.ok();
    pc.reg(Gpr::Rax) | pc.reg(Gpr::Rdx) << 32
}

#[test]
fn plain_msrs_keep_their_values() {
    let high = 0xffff_8000_1234_5678;
    let cases = [
        (msr::STAR, !0),
        (msr::LSTAR, high),
        (msr::CSTAR, high),
        (msr::FMASK, 0xffff_ffff),
        (msr::KERNEL_GS_BASE, high),
        (msr::FS_BASE, high),
        (msr::GS_BASE, high),
        (msr::SYSENTER_CS, 0xffff),
        (msr::SYSENTER_ESP, high),
        (msr::SYSENTER_EIP, high),
        (msr::TSC_AUX, 7),
        (msr::PAT, 0x0102_0304_0506_0700 & 0x0101_0404_0506_0700),
        (msr::TSC_ADJUST, !0),
        (msr::SPEC_CTRL, 1),
        (msr::MTRR_DEF_TYPE, 0xc06),
        (msr::MTRR_PHYSBASE0 + 1, 0xff_c000_0800),
    ];
    for (index, value) in cases {
        let mut pc = wrmsr(index, value);
        pc.ok();
        assert_eq!(read_back(pc, index), value, "{:?}", msr::name(index));
    }
}

#[test]
fn msrs_refuse_what_they_cannot_hold() {
    let odd = 0x8000_0000_0000;
    for index in [
        msr::LSTAR,
        msr::CSTAR,
        msr::KERNEL_GS_BASE,
        msr::FS_BASE,
        msr::GS_BASE,
        msr::SYSENTER_ESP,
        msr::SYSENTER_EIP,
    ] {
        wrmsr(index, odd).gp(0, Why::MsrNotCanonical);
    }
    for (index, value) in [
        (msr::FMASK, 1 << 32),
        (msr::TSC_AUX, 1 << 32),
        (msr::PAT, 2),
        (msr::PAT, 8),
        (msr::EFER, 1 << 1),
        (msr::DEBUGCTL, 2),
        (msr::MTRR_DEF_TYPE, 7),
        (msr::MISC_ENABLE, 1 << 35),
        (msr::MISC_ENABLE, 1 << 17),
        (msr::MISC_ENABLE, 1 << 1),
    ] {
        wrmsr(index, value).gp(0, Why::MsrReservedBit);
    }
    wrmsr(msr::EFER, Efer::SCE.bits()).gp(0, Why::LmeWhilePaging);
    wrmsr(msr::MTRR_CAP, 0).gp(0, Why::MsrReadOnly);
    wrmsr(0x1234_5678, 0).gp(0, Why::UnknownMsr);
    with_msr(Pc::long(0), 0x1234_5678, 0, &RDMSR).gp(0, Why::UnknownMsr);
    for code in [&RDMSR, &WRMSR] {
        with_msr(Pc::long(3), msr::STAR, 0, code).gp(0, Why::NotLevel0);
    }
}

#[test]
fn other_msrs_are_the_buss() {
    let mut pc = wrmsr(msr::APIC_BASE, 0xfee0_0900);
    pc.board.msr = Some((msr::APIC_BASE, 0));
    pc.ok();
    assert_eq!(pc.board.msr, Some((msr::APIC_BASE, 0xfee0_0900)));
    assert_eq!(read_back(pc, msr::APIC_BASE), 0xfee0_0900);
}

#[test]
fn efer_shows_lma_and_cannot_set_it() {
    let mut pc = with_msr(Pc::protected(0), msr::EFER, Efer::all().bits(), &WRMSR);
    pc.ok();
    assert_eq!(pc.state.efer, Efer::all().bits() & !Efer::LMA.bits());
}

#[test]
fn the_tsc_follows_the_bus_and_what_was_written() {
    let rdtsc = [0x0f, 0x31];
    let mut pc = Pc::protected(0);
    // The counter of the state goes on as the bus's does.
    pc.board.tsc = 77;
    pc.state.tsc = 0x1_0000_0000;
    pc.code(&rdtsc).ok();
    assert_eq!((pc.reg(Gpr::Rdx), pc.reg(Gpr::Rax)), (1, 0));
    let mut pc = with_msr(Pc::protected(0), msr::TSC, 5000, &WRMSR);
    pc.board.tsc = 1000;
    pc.ok();
    // rdtscp
    pc.code(&[0x0f, 0x01, 0xf9]).ok();
    assert_eq!((pc.reg(Gpr::Rax), pc.reg(Gpr::Rcx)), (5001, 0));
    assert_eq!(read_back(pc, msr::TSC_ADJUST), 5000);
    // IA32_TSC_ADJUST moves the counter by what it changes.
    let mut pc = with_msr(Pc::protected(0), msr::TSC_ADJUST, 4000, &WRMSR);
    pc.state.tsc = 10;
    pc.ok();
    assert_eq!(pc.code(&rdtsc).ok().reg(Gpr::Rax), 4011);
}

#[test]
fn a_deadline_is_one_of_the_guests_counter_whoever_moved_it() {
    // A counter that begins at 0 when the bus's is at 1000, as after a reset.
    let mut pc = Pc::protected(0);
    pc.board.msr = Some((msr::TSC_DEADLINE, 0));
    pc.board.tsc = 1000;
    let mut pc = with_msr(pc, msr::TSC_DEADLINE, 5000, &WRMSR);
    pc.ok();
    assert_eq!(pc.board.msr, Some((msr::TSC_DEADLINE, 6000)));
    // 2000 more on the counter are 2000 less to go; the register still says what was written.
    pc = with_msr(pc, msr::TSC_ADJUST, 2000, &WRMSR);
    pc.ok();
    assert_eq!(pc.board.msr, Some((msr::TSC_DEADLINE, 4000)));
    pc = with_msr(pc, msr::TSC_DEADLINE, 0, &RDMSR);
    pc.ok();
    assert_eq!(pc.reg(Gpr::Rax), 5000);
    // One that has passed has passed, and 0 disarms.
    for (written, kept) in [(1, 1), (0, 0)] {
        pc = with_msr(pc, msr::TSC_DEADLINE, written, &WRMSR);
        pc.ok();
        assert_eq!(pc.board.msr, Some((msr::TSC_DEADLINE, kept)));
    }
}

#[test]
fn the_state_has_the_running_counter_and_takes_it_back() {
    let mut pc = Pc::protected(0);
    pc.state.tsc = 1000;
    pc.code(&[0x90]).ok();
    pc.board.tsc = 500;
    let state = pc.cpu.state_on(&mut pc.board);
    assert_eq!(state.tsc, 1501);
    // As it came: the counter runs on.
    pc.board.tsc = 600;
    pc.cpu.set_state(&state).unwrap();
    assert_eq!(pc.cpu.state_on(&mut pc.board).tsc, 1601);
    // Another time: the counter is set.
    pc.cpu.set_state(&hako_x86::CpuState { tsc: 20, ..state }).unwrap();
    pc.board.tsc = 900;
    assert_eq!(pc.cpu.state_on(&mut pc.board).tsc, 20);
    pc.go_on(1);
    pc.board.tsc = 950;
    assert_eq!(pc.cpu.state_on(&mut pc.board).tsc, 71);
}

#[test]
fn tsd_and_pce_keep_level_3_out() {
    for code in [&[0x0f, 0x31][..], &[0x0f, 0x01, 0xf9]] {
        let mut pc = Pc::protected(3);
        pc.state.cr4 |= Cr4::TSD.bits();
        pc.code(code).gp(0, Why::TimeStampDisabled);
    }
    Pc::protected(3).code(&[0x0f, 0x33]).gp(0, Why::PerformanceCountersDisabled);
    Pc::protected(0).code(&[0x0f, 0x33]).gp(0, Why::NoSuchCounter);
}

#[test]
fn cpuid_tells_the_model() {
    let mut pc = Pc::long(3);
    pc.set_reg(Gpr::Rax, 0xffff_ffff_0000_0001);
    pc.code(&[0x0f, 0xa2]).ok();
    let model = *pc.cpu.model();
    assert_eq!(pc.reg(Gpr::Rax), u64::from(model.signature));
    let edx = pc.reg(Gpr::Rdx);
    assert_eq!(edx & 1, 1, "x87");
    assert_eq!(edx >> 9 & 1, 0, "no local APIC without one on the bus");
    pc.board.msr = Some((msr::APIC_BASE, 0xfee0_0800));
    pc.set_reg(Gpr::Rax, 1);
    assert_eq!(pc.code(&[0x0f, 0xa2]).ok().reg(Gpr::Rdx) >> 9 & 1, 1);
    assert!(model.features.has(Features::LM));
    assert_eq!(model.name, "x86-64-v2");
}

#[test]
fn misc_enable_takes_what_is_defined_and_keeps_what_is_read_only() {
    const WRITABLE: u64 = 1 << 34 | 1 << 23 | 1 << 22 | 1 << 18 | 1 << 16 | 1 << 3 | 1;
    const READ_ONLY: u64 = 1 << 12 | 1 << 11;
    for (value, kept) in [(WRITABLE, WRITABLE | READ_ONLY), (READ_ONLY | 1 << 7, READ_ONLY), (0, READ_ONLY)] {
        let mut pc = wrmsr(msr::MISC_ENABLE, value);
        pc.ok();
        assert_eq!(read_back(pc, msr::MISC_ENABLE), kept, "{value:#x}");
    }
}

/// CPUID with a value in IA32_MISC_ENABLE: EAX and EDX.
fn cpuid_under(misc_enable: u64, leaf: u64) -> (u64, u64) {
    let mut pc = wrmsr(msr::MISC_ENABLE, misc_enable);
    pc.ok();
    pc.set_reg(Gpr::Rax, leaf);
    pc.set_reg(Gpr::Rcx, 0);
    pc.code(&[0x0f, 0xa2]).ok();
    (pc.reg(Gpr::Rax), pc.reg(Gpr::Rdx))
}

#[test]
fn misc_enable_limits_cpuid() {
    const LIMIT: u64 = 1 << 22;
    assert_eq!(cpuid_under(LIMIT, 0).0, 2);
    assert_eq!(cpuid_under(LIMIT, 4), cpuid_under(0, 2), "beyond the highest leaf");
    assert_eq!(cpuid_under(LIMIT, 0x8000_0000), cpuid_under(0, 0x8000_0000));
}

#[test]
fn misc_enable_takes_no_execute_pages_away() {
    const XD_DISABLE: u64 = 1 << 34;
    let nx = |misc_enable| cpuid_under(misc_enable, 0x8000_0001).1 >> 20 & 1;
    assert_eq!((nx(0), nx(XD_DISABLE)), (1, 0));
    let mut pc = wrmsr(msr::MISC_ENABLE, XD_DISABLE);
    pc.ok();
    let efer = pc.state.efer | Efer::NXE.bits();
    with_msr(pc, msr::EFER, efer, &WRMSR).gp(0, Why::MsrReservedBit);
}

/// What the bus holds for IA32_TSC_DEADLINE after its write, when the guest's counter stands at `guest` and the bus's at
/// 1000 (the write is the second instruction, and counts go on).
fn deadline_on_bus(guest: u64, deadline: u64) -> u64 {
    let mut pc = with_msr(Pc::protected(0), msr::TSC, guest, &WRMSR);
    pc.board.tsc = 1000;
    pc.board.msr = Some((msr::TSC_DEADLINE, 0));
    pc.ok();
    let mut pc = with_msr(pc, msr::TSC_DEADLINE, deadline, &WRMSR);
    pc.ok();
    pc.board.msr.unwrap().1
}

#[test]
fn the_deadline_is_one_of_the_counter_that_the_guest_has_written() {
    assert_eq!(deadline_on_bus(1000, 1500), 1500);
    assert_eq!(deadline_on_bus(0, 500), 1500);
    assert_eq!(deadline_on_bus(1 << 40, (1 << 40) + 500), 1500);
    assert_eq!(deadline_on_bus(1 << 40, 0), 0, "disarmed");
    // What has passed is due at once.
    assert_eq!(deadline_on_bus(1 << 40, 500), 1);
    assert_eq!(deadline_on_bus(1 << 63, (1 << 63) + 500), 1500);
    assert_eq!(deadline_on_bus(0, u64::MAX), u64::MAX);
}

#[test]
fn the_tscs_frequency_is_told_when_it_is_known() {
    let mut pc = Pc::protected(0);
    pc.cpu = Cpu::new(Config { tsc_hz: 100_000_000, ..Config::default() });
    pc.set_reg(Gpr::Rax, 0x15);
    assert_eq!(pc.code(&[0x0f, 0xa2]).ok().reg(Gpr::Rcx), 100_000_000);
}

#[test]
fn ports_are_free_up_to_iopl() {
    for (cpl, iopl) in [(0, 0), (3, 3)] {
        let mut pc = Pc::protected(cpl);
        pc.set_flags(RFlags::from_bits_retain(iopl << 12));
        pc.set_reg(Gpr::Rax, 0x1122_3344);
        pc.code(&[0xe7, 0xf4]).ok();
        assert_eq!(pc.board.ports, [(0xf4, 0x1122_3344)]);
        pc.board.input = 0xaabb_ccdd;
        assert_eq!(pc.code(&[0xe4, 0x60]).ok().reg(Gpr::Rax), 0x1122_33dd);
        assert_eq!(pc.code(&[0x66, 0xe5, 0x60]).ok().reg(Gpr::Rax), 0x1122_ccdd);
        assert_eq!(pc.code(&[0xe5, 0x60]).ok().reg(Gpr::Rax), 0xaabb_ccdd);
    }
}

#[test]
fn the_io_map_decides_above_iopl_and_in_virtual_8086_mode() {
    for make in [|| Pc::protected(3), || Pc::v86(3), || Pc::long(3)] {
        let map = |bits: &[u8], limit: u32| {
            let mut pc = make();
            pc.poke16(TSS + 0x66, 0x88);
            pc.poke(TSS + 0x88 + 0x0c, bits);
            pc.state.tr.limit = limit;
            // in al, 60h
            pc.code(&[0xe4, 0x60]);
            pc
        };
        map(&[0xfe], 0x95).ok();
        map(&[0x01], 0x95).gp(0, Why::IoNotPermitted);
        map(&[0], 0x94).gp(0, Why::IoMapTooShort);
        map(&[0], 0x66).gp(0, Why::NoIoMap);
    }
    // All bytes of a wide access are asked: in eax, 66h touches the next byte of the map.
    let mut pc = Pc::protected(3);
    pc.poke16(TSS + 0x66, 0x88);
    pc.poke(TSS + 0x88 + 0x0c, &[0, 2]);
    pc.code(&[0xe5, 0x66]).gp(0, Why::IoNotPermitted);
    pc.code(&[0x66, 0xe5, 0x66]).ok();
    // A 16-bit TSS has no map.
    let mut pc = Pc::protected(3);
    pc.state.tr.attr = crate::machine::attr(0x83);
    pc.code(&[0xe4, 0x60]).gp(0, Why::NoIoMap);
}

#[test]
fn string_io_moves_and_counts() {
    let mut pc = Pc::protected(0);
    pc.poke(DATA, b"Hello");
    pc.set_reg(Gpr::Rsi, DATA);
    pc.set_reg(Gpr::Rcx, 5);
    pc.set_reg(Gpr::Rdx, 0xe9);
    // rep outsb
    pc.code(&[0xf3, 0x6e]).run(5);
    let text: Vec<u8> = pc.board.ports.iter().map(|p| p.1 as u8).collect();
    assert_eq!(
        (text.as_slice(), pc.reg(Gpr::Rcx), pc.reg(Gpr::Rsi), pc.state.rip),
        (&b"Hello"[..], 0, DATA + 5, 0x8002)
    );
    assert_eq!(pc.cpu.count(), 5);
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rdi, DATA);
    pc.board.input = 0x1234;
    // insw
    pc.code(&[0x66, 0x6d]).ok();
    assert_eq!((pc.peek32(DATA), pc.reg(Gpr::Rdi)), (0x1234, DATA + 2));
}

#[test]
fn repeated_string_io_takes_what_lies_in_one_page_at_once() {
    // 600 words from the end of a page on, written until count 250, then to the end.
    let start = DATA + 0xf00;
    let mut pc = Pc::protected(0);
    let data: Vec<u8> = (0..1200).map(|i| (i * 7) as u8).collect();
    pc.poke(start, &data);
    pc.set_reg(Gpr::Rsi, start);
    pc.set_reg(Gpr::Rcx, 600);
    pc.set_reg(Gpr::Rdx, 0x1f0);
    // rep outsw
    pc.code(&[0xf3, 0x66, 0x6f]).run(250);
    assert_eq!((pc.reg(Gpr::Rcx), pc.reg(Gpr::Rsi), pc.state.rip), (350, start + 500, 0x8000));
    pc.go_on(350);
    assert_eq!((pc.reg(Gpr::Rcx), pc.reg(Gpr::Rsi), pc.state.rip), (0, start + 1200, 0x8003));
    assert_eq!((&pc.board.written, pc.cpu.count()), (&data, 600));
    assert!(pc.board.calls < 12, "{} calls", pc.board.calls);
    // rep insw
    pc.board.input_bytes = data.clone();
    pc.poke(start, &[0; 1200]);
    pc.state.rip = 0x8000;
    pc.set_reg(Gpr::Rdi, start);
    pc.set_reg(Gpr::Rcx, 600);
    pc.code(&[0xf3, 0x66, 0x6d]).run(600);
    let mut back = [0; 1200];
    pc.board.memory.read(hako_mem::Gpa(start), &mut back).unwrap();
    assert_eq!((back.as_slice(), pc.reg(Gpr::Rcx), pc.reg(Gpr::Rdi)), (data.as_slice(), 0, start + 1200));
}

#[test]
fn what_a_device_reports_ends_the_repetition() {
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rsi, DATA);
    pc.set_reg(Gpr::Rcx, 2000);
    pc.board.attention = Attention::WISH;
    pc.code(&[0xf3, 0x6e]);
    assert_eq!(pc.run(2000).kind, StopKind::Wish);
    // As many as were given are done and counted, no more.
    let written = pc.board.written.len() as u64;
    assert_eq!(
        (pc.cpu.count(), pc.reg(Gpr::Rcx), pc.reg(Gpr::Rsi)),
        (written, 2000 - written, DATA + written)
    );
    assert_eq!(pc.state.rip, 0x8000);
}

#[test]
fn repeated_input_faults_at_the_item_that_cannot_be_stored() {
    let mut pc = Pc::long(0);
    pc.state.idtr.limit = 0;
    pc.board.input_bytes = vec![5; 100];
    // The second 2 MiB are not mapped.
    pc.set_reg(Gpr::Rdi, 0x1f_fff0);
    pc.set_reg(Gpr::Rcx, 100);
    pc.code(&[0xf3, 0x6c]).run(100);
    let fault = *pc.cpu.faults().iter().next().unwrap();
    assert_eq!((fault.vector, fault.cr2, fault.count), (Vector::PF, 0x20_0000, 16));
    assert_eq!((pc.reg(Gpr::Rcx), pc.reg(Gpr::Rdi), pc.board.input_bytes.len()), (84, 0x20_0000, 84));
}

#[test]
fn ins_checks_memory_before_it_reads_the_port() {
    let mut pc = Pc::protected(0);
    pc.set_seg(SegReg::Es, pc.descriptor(sel::READ_ONLY).segment(sel::READ_ONLY));
    pc.set_reg(Gpr::Rdi, DATA);
    pc.code(&[0x6c]).gp(0, Why::NotWritable);
}
