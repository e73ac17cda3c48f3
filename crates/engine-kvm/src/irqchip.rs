//! The interrupt controllers and the timer inside the kernel, as plain values for snapshots and traces.
//!
//! They hold exactly what KVM_GET_IRQCHIP, KVM_GET_PIT2 and KVM_GET_LAPIC hold.

use hako_engine::EngineError;
use hako_mem::{Gpa, PAGE_MASK};
use hako_x86::Width;
use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_ioapic_state, kvm_irqchip,
    kvm_lapic_state, kvm_pic_state, kvm_pit_channel_state, kvm_pit_state2,
};

use crate::error::host;
use crate::vcpu::KvmVcpu;
use crate::vm::Vm;

/// Declares a plain struct and its conversions from and to KVM's struct of the same fields.
macro_rules! plain {
    ($(#[$doc:meta])* $name:ident = $kvm:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }
        impl From<$kvm> for $name {
            fn from(k: $kvm) -> $name {
                $name { $($field: k.$field,)* }
            }
        }
        impl From<$name> for $kvm {
            fn from(s: $name) -> $kvm {
                $kvm { $($field: s.$field,)* }
            }
        }
    };
}

plain! {
    /// One 8259A.
    PicState = kvm_pic_state {
        /// Levels at the last edge detection.
        last_irr: u8,
        /// Interrupt request register.
        irr: u8,
        /// Interrupt mask register.
        imr: u8,
        /// In-service register.
        isr: u8,
        /// The highest priority.
        priority_add: u8,
        /// Vector base (ICW2).
        irq_base: u8,
        /// Whether reads give ISR instead of IRR.
        read_reg_select: u8,
        /// Poll command.
        poll: u8,
        /// Special mask mode.
        special_mask: u8,
        /// Position in the initialisation sequence.
        init_state: u8,
        /// Automatic end of interrupt.
        auto_eoi: u8,
        /// Rotation with it.
        rotate_on_auto_eoi: u8,
        /// Special fully nested mode.
        special_fully_nested_mode: u8,
        /// Whether ICW4 is expected.
        init4: u8,
        /// Edge/level control register.
        elcr: u8,
        /// Its writable bits.
        elcr_mask: u8,
    }
}

plain! {
    /// One counter of the 8254.
    PitChannelState = kvm_pit_channel_state {
        /// The reload value; 0x10000 for 0.
        count: u32,
        /// The latched count.
        latched_count: u16,
        /// How much of it is still to be read.
        count_latched: u8,
        /// Whether the status is latched.
        status_latched: u8,
        /// The latched status.
        status: u8,
        /// Which byte is read next.
        read_state: u8,
        /// Which byte is written next.
        write_state: u8,
        /// The low byte written first.
        write_latch: u8,
        /// Access mode.
        rw_mode: u8,
        /// Counting mode.
        mode: u8,
        /// BCD counting.
        bcd: u8,
        /// The gate input.
        gate: u8,
        /// When the count was loaded, in the kernel's nanoseconds.
        count_load_time: i64,
    }
}

/// The 8254.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PitState {
    /// The three counters.
    pub channels: [PitChannelState; 3],
    /// KVM_PIT_FLAGS_*.
    pub flags: u32,
}

/// The I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IoApicState {
    /// Its address.
    pub base_address: u64,
    /// The register selected.
    pub ioregsel: u32,
    /// Its APIC id.
    pub id: u32,
    /// Levels of the inputs.
    pub irr: u32,
    /// The redirection table.
    pub redirtbl: [u64; 24],
}

/// Everything that all CPUs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IrqchipState {
    /// Master and slave.
    pub pic: [PicState; 2],
    /// The I/O APIC.
    pub ioapic: IoApicState,
    /// The timer.
    pub pit: PitState,
}

impl IrqchipState {
    /// Whether the timer's wire leads anywhere: IRQ 0 at the master PIC or input 2 of the I/O APIC. A halted guest for
    /// which this is false, and whose APIC timer is masked too, is not woken by time passing.
    pub fn timer_is_heard(&self) -> bool {
        const MASKED: u64 = 1 << 16;
        let pic = self.pic[0].imr & 1 == 0 && self.pic[0].init_state == 0 && self.pic[0].irq_base >= 8;
        pic || [0, 2].into_iter().any(|pin| self.ioapic.redirtbl[pin] & MASKED == 0)
    }
}

/// One local APIC: its 1 KiB of registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LapicState {
    /// The registers as in memory at the APIC's base.
    pub regs: [u8; 1024],
}

impl LapicState {
    /// The 32-bit register at an offset; all ones where there is none.
    pub fn register(&self, offset: usize) -> u32 {
        let bytes = offset.checked_add(4).and_then(|end| self.regs.get(offset..end));
        bytes.and_then(|b| b.try_into().ok()).map_or(!0, u32::from_le_bytes)
    }

    /// Whether its timer may interrupt: not masked (SDM Vol. 3A 10.5.1) and counting or in TSC-deadline mode.
    pub fn timer_runs(&self) -> bool {
        let lvt = self.register(0x320);
        let deadline_mode = lvt >> 17 & 3 == 2;
        lvt & 1 << 16 == 0 && (deadline_mode || self.register(0x380) != 0)
    }
}

/// What of the guest's ports and memory is inside KVM: accesses there never reach a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The page of the CPU's local APIC.
    pub apic: u64,
}

/// The ports of the chips inside KVM, first and last.
const PORTS: [(u16, u16); 5] = [(0x20, 0x21), (0x40, 0x43), (0x61, 0x61), (0xa0, 0xa1), (0x4d0, 0x4d1)];
/// The page of the I/O APIC.
const IOAPIC: u64 = 0xfec0_0000;

impl Inside {
    /// Whether an access touches a port of theirs.
    pub fn has_port(&self, port: u16, width: Width) -> bool {
        let last = port.saturating_add(width.bytes() as u16 - 1);
        PORTS.iter().any(|&(from, to)| port <= to && last >= from)
    }

    /// Whether an access within one page touches memory of theirs.
    pub fn has_memory(&self, gpa: Gpa) -> bool {
        let page = gpa.0 & !PAGE_MASK;
        page == self.apic || page == IOAPIC
    }
}

fn get(vm: &Vm, chip_id: u32) -> Result<kvm_irqchip, EngineError> {
    let mut chip = kvm_irqchip { chip_id, ..Default::default() };
    vm.fd().get_irqchip(&mut chip).map_err(host("KVM_GET_IRQCHIP"))?;
    Ok(chip)
}

impl Vm {
    /// The shared interrupt controllers and the timer. An error without `VmConfig::irqchip`.
    pub fn irqchip_state(&self) -> Result<IrqchipState, EngineError> {
        let pic = |id| -> Result<PicState, EngineError> {
            let chip = get(self, id)?;
            // SAFETY: KVM has filled the part of the union that the chip id names; any bytes are valid.
            Ok(unsafe { chip.chip.pic }.into())
        };
        let ioapic = get(self, KVM_IRQCHIP_IOAPIC)?;
        // SAFETY: as above.
        let ioapic = unsafe { ioapic.chip.ioapic };
        let pit = self.fd().get_pit2().map_err(host("KVM_GET_PIT2"))?;
        Ok(IrqchipState {
            pic: [pic(KVM_IRQCHIP_PIC_MASTER)?, pic(KVM_IRQCHIP_PIC_SLAVE)?],
            ioapic: IoApicState {
                base_address: ioapic.base_address,
                ioregsel: ioapic.ioregsel,
                id: ioapic.id,
                irr: ioapic.irr,
                // SAFETY: both fields of the union are 64 bits of which any are valid.
                redirtbl: ioapic.redirtbl.map(|entry| unsafe { entry.bits }),
            },
            pit: PitState { channels: pit.channels.map(Into::into), flags: pit.flags },
        })
    }

    /// Replaces them.
    pub fn set_irqchip_state(&self, state: &IrqchipState) -> Result<(), EngineError> {
        for (chip_id, pic) in [(KVM_IRQCHIP_PIC_MASTER, state.pic[0]), (KVM_IRQCHIP_PIC_SLAVE, state.pic[1])]
        {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            chip.chip.pic = pic.into();
            self.fd().set_irqchip(&chip).map_err(host("KVM_SET_IRQCHIP"))?;
        }
        let from = &state.ioapic;
        let mut ioapic = kvm_ioapic_state {
            base_address: from.base_address,
            ioregsel: from.ioregsel,
            id: from.id,
            irr: from.irr,
            ..Default::default()
        };
        for (entry, bits) in ioapic.redirtbl.iter_mut().zip(from.redirtbl) {
            entry.bits = bits;
        }
        let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_IOAPIC, ..Default::default() };
        chip.chip.ioapic = ioapic;
        self.fd().set_irqchip(&chip).map_err(host("KVM_SET_IRQCHIP"))?;
        let channels = state.pit.channels.map(Into::into);
        let pit = kvm_pit_state2 { channels, flags: state.pit.flags, ..Default::default() };
        self.fd().set_pit2(&pit).map_err(host("KVM_SET_PIT2"))
    }
}

impl KvmVcpu {
    /// What of this CPU's ports and memory never reaches a bus, with `VmConfig::irqchip`.
    pub fn inside(&mut self) -> Inside {
        // Bits 12 and up of IA32_APIC_BASE (SDM Vol. 3A 11.4.4).
        Inside { apic: self.page().sync().sregs.apic_base & !PAGE_MASK }
    }

    /// The local APIC of this CPU. An error without `VmConfig::irqchip`.
    pub fn lapic_state(&self) -> Result<LapicState, EngineError> {
        let lapic = self.fd.get_lapic().map_err(host("KVM_GET_LAPIC"))?;
        Ok(LapicState { regs: lapic.regs.map(|b| b as u8) })
    }

    /// Replaces it.
    pub fn set_lapic_state(&mut self, state: &LapicState) -> Result<(), EngineError> {
        let lapic = kvm_lapic_state { regs: state.regs.map(|b| b as _) };
        self.fd.set_lapic(&lapic).map_err(host("KVM_SET_LAPIC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_inside_where_it_touches_a_port_or_page_of_a_chip_there() {
        let inside = Inside { apic: 0xfee0_0000 };
        assert!(inside.has_port(0x1e, Width::B4) && inside.has_port(0xa1, Width::B1));
        assert!(!inside.has_port(0x1c, Width::B4) && !inside.has_port(0x22, Width::B1));
        assert!(!inside.has_port(0xffff, Width::B4));
        assert!(inside.has_memory(Gpa(0xfee0_00b0)) && inside.has_memory(Gpa(0xfec0_0010)));
        assert!(!inside.has_memory(Gpa(0xfed0_0000)));
    }
}
