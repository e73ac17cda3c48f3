//! Every saved state survives being written out and read back.

use std::fmt::Debug;

use hako_chips::saved::Saved;
use hako_chips::{
    acpi_pm, coprocessor, debugcon, hpet, i8042, ioapic, lapic, latch, pic, pit, reset, rtc, serial,
};
use hako_engine::Time;
use serde::{Serialize, de::DeserializeOwned};

fn survives<S: Serialize + DeserializeOwned + PartialEq + Debug>(saved: Saved<S>) {
    let text = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<Saved<S>>(&text).unwrap(), saved);
}

#[test]
fn pic_state() {
    let mut pics = pic::Pics::new();
    pics.write(0, 0x11);
    pics.set_irq(14, true);
    survives(pics.save());
}

#[test]
fn lapic_state() {
    let mut lapic = lapic::Lapic::new(3, false);
    lapic.write(0x0f0, 0x1ff, Time::ZERO);
    lapic.write(0x380, 77, Time(3));
    survives(lapic.save(Time(5)));
    let text = serde_json::to_string(&lapic.save(Time(5))).unwrap().replacen("[0,", "[", 1);
    let error = serde_json::from_str::<Saved<lapic::LapicState>>(&text).unwrap_err();
    assert!(error.to_string().contains("1024 bytes"), "{error}");
}

#[test]
fn ioapic_state() {
    let mut ioapic = ioapic::IoApic::new();
    ioapic.set_pin(4, true, &mut |_| true);
    survives(ioapic.save());
}

#[test]
fn coprocessor_state() {
    let mut coprocessor = coprocessor::Coprocessor::new();
    coprocessor.set_ferr(0, true);
    coprocessor.write();
    survives(coprocessor.save());
}

#[test]
fn hpet_state() {
    let mut hpet = hpet::Hpet::new();
    hpet.write(0x10, 3, u64::MAX, Time(100));
    survives(hpet.save());
}

#[test]
fn pit_state() {
    let mut pit = pit::Pit::new();
    for (reg, value) in [(3, 0x36), (0, 0x9c), (0, 0x2e), (0, 0x10), (0, 0x27)] {
        pit.write(reg, value, Time(1000));
    }
    survives(pit.save());
}

#[test]
fn rtc_state() {
    let mut rtc = rtc::Rtc::new(1_700_000_000);
    rtc.set_memory(64 << 20, 0);
    rtc.tick(Time(2_500_000_000));
    survives(rtc.save());
}

#[test]
fn an_rtc_state_with_too_few_bytes_is_refused() {
    let text = serde_json::to_string(&rtc::Rtc::new(0).save()).unwrap().replacen("[0,", "[", 1);
    let error = serde_json::from_str::<Saved<rtc::RtcState>>(&text).unwrap_err();
    assert!(error.to_string().contains("expected 128 bytes"), "{error}");
}

#[test]
fn i8042_state() {
    let mut chip = i8042::I8042::new();
    chip.type_keys(i8042::keys::text("Hako!").unwrap(), Time(7));
    chip.write(0, 0xed, Time(8));
    survives(chip.save());
}

#[test]
fn serial_state() {
    let mut serial = serial::Serial::new();
    serial.write(2, 0x01, Time(0));
    serial.receive(b'x', Time(5));
    serial.write(0, b'y', Time(6));
    survives(serial.save());
}

#[test]
fn small_states() {
    let mut port = reset::Port92::new();
    port.write(3);
    survives(port.save());
    let mut register = reset::ResetControl::new();
    register.write(6);
    survives(register.save());
    let mut latch = latch::Latch::new();
    latch.write(0x55);
    survives(latch.save());
    let mut console = debugcon::Debugcon::new();
    console.write(b'z');
    survives(console.save());
    let mut pm = acpi_pm::AcpiPm::new(true);
    pm.write(2, 1, Time(0));
    survives(pm.save());
}
