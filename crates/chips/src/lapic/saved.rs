//! Saving and restoring: the register page of KVM_GET_LAPIC, and what that one leaves out.

use alloc::vec::Vec;

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use super::interrupts::Signals;
use super::lvt::Local;
use super::registers::{VERSION as VERSION_REGISTER, reg};
use super::vectors::Vectors;
use super::{Lapic, base};
use crate::saved::{RestoreError, Saved, check};

/// Layout of the saved state.
const VERSION: u32 = 1;

/// Bytes of KVM's `kvm_lapic_state`.
pub const PAGE: usize = 0x400;

/// What the APIC holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LapicState {
    /// The registers as in memory at the APIC's base: KVM's `kvm_lapic_state`, whose IDs are those of xAPIC mode in
    /// either mode. The current count is that of the time of [`Lapic::save`].
    #[serde(with = "bytes")]
    pub page: [u8; PAGE],
    /// IA32_APIC_BASE.
    pub base: u64,
    /// When the timer gets to zero, or the deadline in TSC-deadline mode.
    pub due: Option<Time>,
    /// Errors that ESR has not latched yet.
    pub errors: u8,
    /// Levels of LINT0 and LINT1.
    pub lint: [bool; 2],
    /// What the CPU has not seen yet.
    pub signals: Signals,
}

/// serde knows arrays up to 32 elements only.
mod bytes {
    use super::{PAGE, Vec};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; PAGE], to: S) -> Result<S::Ok, S::Error> {
        bytes.as_slice().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; PAGE], D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        bytes.try_into().map_err(|bytes: Vec<u8>| D::Error::invalid_length(bytes.len(), &"1024 bytes"))
    }
}

fn get(page: &[u8; PAGE], offset: u16) -> u32 {
    let at = usize::from(offset);
    let bytes = page.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

fn put(page: &mut [u8; PAGE], offset: u16, value: u32) {
    let at = usize::from(offset);
    if let Some(bytes) = page.get_mut(at..at + 4) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

fn words(page: &[u8; PAGE], base: u16) -> Vectors {
    let mut words = [0; 8];
    for (word, offset) in words.iter_mut().zip((base..).step_by(0x10)) {
        *word = get(page, offset);
    }
    Vectors::from_words(words)
}

impl LapicState {
    /// The state of an APIC in KVM's kernel, of which KVM_GET_LAPIC gives the `page` and KVM_GET_MSRS the values of
    /// IA32_APIC_BASE and IA32_TSC_DEADLINE, at `now`.
    pub fn from_page(page: [u8; PAGE], base: u64, deadline: u64, now: Time) -> Saved<LapicState> {
        let mut probe = Lapic::new(0, false);
        probe.lvt[Local::Timer as usize] = get(&page, Local::Timer.offset());
        probe.initial_count = 1;
        // The divisor is in force before the count: one register after the other.
        probe.set_divide(get(&page, reg::DIVIDE), now);
        let due = if deadline != 0 {
            Some(Time(deadline))
        } else {
            probe.set_initial_count(get(&page, reg::CURRENT_COUNT), now);
            probe.due
        };
        let state = LapicState { page, base, due, errors: 0, lint: [false; 2], signals: Signals::default() };
        Saved { version: VERSION, state }
    }
}

/// Registers that are in the page as a read gives them.
const PLAIN: [u16; 12] = [
    reg::VERSION,
    reg::TPR,
    reg::PPR,
    reg::LDR,
    reg::DFR,
    reg::SVR,
    reg::ESR,
    reg::ICR,
    reg::ICR_HIGH,
    reg::INITIAL_COUNT,
    reg::CURRENT_COUNT,
    reg::DIVIDE,
];

impl Lapic {
    /// The state at `now`.
    pub fn save(&self, now: Time) -> Saved<LapicState> {
        let mut page = [0; PAGE];
        put(&mut page, reg::ID, self.id() << 24);
        let vectors = [reg::ISR, reg::TMR, reg::IRR].into_iter().flat_map(|r| (r..r + 0x80).step_by(0x10));
        let entries = Local::ALL.into_iter().map(Local::offset);
        for offset in PLAIN.into_iter().chain(vectors).chain(entries) {
            put(&mut page, offset, self.register(offset, now).unwrap_or(0));
        }
        let (errors, lint, signals) = (self.errors, self.lint, self.signals);
        let state = LapicState { page, base: self.base(), due: self.due, errors, lint, signals };
        Saved { version: VERSION, state }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<LapicState>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        let at = |offset| get(&s.page, offset);
        check(base::possible(s.base), "IA32_APIC_BASE has a value that cannot be written")?;
        check(at(reg::VERSION) & 0xff == VERSION_REGISTER & 0xff, "another version of the APIC")?;
        check(at(reg::SVR) & !0x13ff == 0, "a bit of SVR that does not exist is set")?;
        check(at(reg::DIVIDE) & !0xb == 0, "a bit of the divide register that does not exist is set")?;
        let mut new = Lapic::new(self.initial_id, false);
        new.base = s.base;
        for local in Local::ALL {
            let entry = at(local.offset());
            check(entry & !local.present() == 0, "an LVT bit that does not exist is set")?;
            new.lvt[local as usize] = entry;
        }
        let high_byte = |offset| (at(offset) >> 24) as u8;
        (new.id, new.tpr) = (high_byte(reg::ID), at(reg::TPR) as u8);
        if !new.is_x2apic() {
            new.ldr = high_byte(reg::LDR);
        }
        (new.model, new.svr) = ((at(reg::DFR) >> 28) as u8, at(reg::SVR));
        (new.isr, new.tmr, new.irr) =
            (words(&s.page, reg::ISR), words(&s.page, reg::TMR), words(&s.page, reg::IRR));
        (new.esr, new.errors) = (at(reg::ESR) as u8, s.errors);
        new.icr = u64::from(at(reg::ICR_HIGH)) << 32 | u64::from(at(reg::ICR));
        (new.initial_count, new.divide, new.due) = (at(reg::INITIAL_COUNT), at(reg::DIVIDE) as u8, s.due);
        (new.lint, new.signals) = (s.lint, s.signals);
        new.settle();
        *self = new;
        Ok(())
    }
}
