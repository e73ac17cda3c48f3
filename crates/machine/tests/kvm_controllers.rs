//! The interrupt controllers of the board and those in the kernel hold the same: states travel both ways.

use hako_chips::ioapic::{IoApic, IoApicState};
use hako_chips::lapic::{Destination, Lapic, LapicState, Message, Mode};
use hako_chips::{Saved, ioapic};
use hako_engine::Time;
use hako_engine_kvm::{KvmVcpu, Vm, VmConfig};
use hako_mem::GuestMemory;

/// A virtual machine with controllers in the kernel, where there is KVM.
fn kernel() -> Option<(Vm, KvmVcpu)> {
    if let Err(why) = hako_engine_kvm::probe().usable {
        assert!(std::env::var("HAKO_NO_KVM").is_ok_and(|v| v == "1"), "this test needs KVM: {why}");
        eprintln!("SKIPPED: HAKO_NO_KVM=1");
        return None;
    }
    let config = VmConfig { irqchip: true, ..VmConfig::default() };
    let vm = Vm::new(config, &GuestMemory::flat(0x1_0000)).unwrap();
    let vcpu = vm.vcpu(0).unwrap();
    Some((vm, vcpu))
}

/// The registers that mean the same on both sides: not the version, and not what time passes in.
const SAME: [u16; 13] =
    [0x020, 0x080, 0x0d0, 0x0e0, 0x0f0, 0x300, 0x310, 0x320, 0x350, 0x360, 0x370, 0x380, 0x3e0];

fn word(page: &[u8; 1024], offset: u16) -> u32 {
    let at = usize::from(offset);
    u32::from_le_bytes(page[at..at + 4].try_into().unwrap())
}

#[test]
fn a_local_apic_goes_into_the_kernel_and_comes_back() {
    let Some((_vm, mut vcpu)) = kernel() else { return };
    let mut lapic = Lapic::new(0, true);
    for (offset, value) in [
        (0x0f0, 0x1ef),
        (0x080, 0x50),
        (0x0d0, 1 << 24),
        (0x310, 3 << 24),
        (0x300, 0x4041),
        (0x320, 0x2_0061),
        (0x350, 0x1_0700),
        (0x360, 0x400),
        (0x370, 0xfe),
        (0x3e0, 0xb),
        (0x380, 1_000_000_000),
    ] {
        let _ = lapic.write(offset, value, Time::ZERO);
    }
    for (vector, level) in [(0x61, false), (0x93, true)] {
        lapic.accept(&Message { destination: Destination::All, mode: Mode::Fixed, vector, level });
    }
    assert_eq!(lapic.acknowledge(), 0x93);

    let ours = lapic.save(Time::ZERO).state.page;
    vcpu.set_lapic_state(&hako_engine_kvm::LapicState { regs: ours }).unwrap();
    let theirs = vcpu.lapic_state().unwrap().regs;
    let vectors = [0x100, 0x180, 0x200].into_iter().flat_map(|r| (r..r + 0x80).step_by(0x10));
    for offset in SAME.into_iter().chain(vectors.clone()) {
        assert_eq!(word(&theirs, offset), word(&ours, offset), "register {offset:#x}");
    }

    let mut back = Lapic::new(0, true);
    back.restore(&LapicState::from_page(theirs, 0xfee0_0900, 0, Time(77))).unwrap();
    let again = back.save(Time(77)).state.page;
    for offset in SAME.into_iter().chain(vectors) {
        assert_eq!(word(&again, offset), word(&ours, offset), "register {offset:#x}");
    }
    assert!(back.read(0x390, Time(77)) <= 1_000_000_000);
}

#[test]
fn a_local_apic_of_the_kernel_after_reset_is_one_that_ours_can_be() {
    let Some((_vm, vcpu)) = kernel() else { return };
    let theirs = vcpu.lapic_state().unwrap().regs;
    let mut lapic = Lapic::new(0, true);
    let ours = lapic.save(Time::ZERO).state.page;
    for offset in SAME {
        assert_eq!(word(&theirs, offset), word(&ours, offset), "register {offset:#x}");
    }
    lapic.restore(&LapicState::from_page(theirs, 0xfee0_0900, 0, Time::ZERO)).unwrap();
}

#[test]
fn an_io_apic_goes_into_the_kernel_and_comes_back() {
    let Some((vm, _vcpu)) = kernel() else { return };
    let mut chip = IoApic::new();
    let mut deliver = |_: &Message| true;
    for (index, value) in [(0x00, 0x0500_0000), (0x18, 0x1_0044), (0x31, 0x0100_0000), (0x30, 0x1_a051)] {
        chip.write(0x00, index, &mut deliver);
        chip.write(0x10, value, &mut deliver);
    }
    let ours: Saved<IoApicState> = chip.save();
    let mut irqchip = vm.irqchip_state().unwrap();
    irqchip.ioapic = hako_engine_kvm::IoApicState {
        base_address: ours.state.base_address,
        ioregsel: ours.state.ioregsel,
        id: ours.state.id,
        irr: ours.state.irr,
        redirtbl: ours.state.redirtbl,
    };
    vm.set_irqchip_state(&irqchip).unwrap();
    let theirs = vm.irqchip_state().unwrap().ioapic;
    assert_eq!(theirs, irqchip.ioapic);
    assert_eq!(theirs.base_address, ioapic::BASE);
}
