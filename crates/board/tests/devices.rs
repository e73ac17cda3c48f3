//! PCI devices on the board: found, sized, placed, called; their interrupts and their time.

use std::sync::{Arc, Mutex};

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_chips::RestoreError;
use hako_chips::pci::{Bar, BarKind, Bdf, ConfigSpace, Env, Identity, Msi, PciDevice};
use hako_engine::{Attention, Time};
use hako_mem::{Gpa, Slab};
use hako_x86::Width;

/// What the device has seen.
#[derive(Default)]
struct Log {
    calls: Vec<String>,
}

/// A register file that logs; writing 1 to offset 4 of BAR 0 raises its pin, 0 lowers it; 8 sends a message; 12 sets an
/// alarm.
struct Probe {
    log: Arc<Mutex<Log>>,
    value: u8,
    alarm: Time,
}

impl Probe {
    fn say(&self, what: String) {
        self.log.lock().unwrap().calls.push(what);
    }
}

impl PciDevice for Probe {
    fn bar_read(&mut self, _: &mut Env<'_>, bar: u8, offset: u64, data: &mut [u8]) {
        self.say(format!("read {bar}+{offset:#x} {}", data.len()));
        data.fill(self.value);
    }
    fn bar_write(&mut self, env: &mut Env<'_>, bar: u8, offset: u64, data: &[u8]) {
        self.say(format!("write {bar}+{offset:#x} {data:x?}"));
        match offset {
            4 => {
                env.config.set_interrupt(data[0] != 0);
            }
            8 => env.msis.push(Msi { address: 0xfee0_0000, data: data[0].into() }),
            12 => self.alarm = Time(env.now.0 + 100),
            _ => self.value = data[0],
        }
    }
    fn config_written(&mut self, _: &mut Env<'_>, at: u8, len: usize) {
        self.say(format!("config {at:#x} {len}"));
    }
    fn next_event(&self) -> Time {
        self.alarm
    }
    fn tick(&mut self, env: &mut Env<'_>) {
        self.say(format!("tick {}", env.now.0));
        self.alarm = Time::NEVER;
    }
    fn reset(&mut self) {
        (self.value, self.alarm) = (0, Time::NEVER);
    }
    fn save(&self) -> Vec<u8> {
        vec![self.value]
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), RestoreError> {
        match state {
            [value] if *value != 0xee => self.value = *value,
            _ => return Err(RestoreError::Impossible("one byte, not 0xee")),
        }
        Ok(())
    }
}

fn probe(log: &Arc<Mutex<Log>>) -> (ConfigSpace, Box<dyn PciDevice>) {
    let id = Identity { vendor: 0x1234, device: 0x5678, interrupt_pin: 1, ..Identity::default() };
    let config = ConfigSpace::new(id, &[])
        .with_bar(Bar::new(0, BarKind::Io, 64))
        .with_bar(Bar::new(1, BarKind::Memory32 { prefetchable: false }, 0x1000))
        .with_bar(Bar::new(4, BarKind::Memory64 { prefetchable: true }, 0x4000));
    (config, Box::new(Probe { log: log.clone(), value: 0, alarm: Time::NEVER }))
}

/// A PC with two probes, in slots 3 and 4.
fn pc(post: bool) -> (Pc, Arc<Mutex<Log>>) {
    let log = Arc::default();
    let layout = Layout::new(1 << 20, 0);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &[]).unwrap();
    let devices = vec![probe(&log), probe(&log)];
    (Pc::new(PcConfig { post, devices, ..PcConfig::new(layout) }, memory, Disks::default()), log)
}

fn board(post: bool) -> (Board, Arc<Mutex<Log>>) {
    let (pc, log) = pc(post);
    (Board::Pc(Box::new(pc)), log)
}

fn calls(log: &Arc<Mutex<Log>>) -> Vec<String> {
    core::mem::take(&mut log.lock().unwrap().calls)
}

const T: Time = Time::ZERO;

fn out32(board: &mut Board, port: u16, value: u32) {
    let _ = board.port_out(T, port, Width::B4, &value.to_le_bytes());
}

fn config_write(board: &mut Board, slot: u32, register: u32, value: u32) {
    out32(board, 0xcf8, 1 << 31 | slot << 11 | register);
    out32(board, 0xcfc, value);
}

fn config_read(board: &mut Board, slot: u32, register: u32) -> u32 {
    out32(board, 0xcf8, 1 << 31 | slot << 11 | register);
    let mut data = [0; 4];
    let _ = board.port_in(T, 0xcfc, Width::B4, &mut data);
    u32::from_le_bytes(data)
}

fn ecam(slot: u64, register: u64) -> Gpa {
    Gpa(0xe000_0000 + (slot << 15) + register)
}

fn read32(board: &mut Board, gpa: Gpa) -> u32 {
    let mut data = [0; 4];
    let _ = board.mmio_read(T, 0, gpa, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn both_mechanisms_find_the_devices_from_slot_3_on() {
    let (mut b, _) = board(false);
    for slot in [3, 4] {
        assert_eq!(config_read(&mut b, slot, 0), 0x5678_1234);
        assert_eq!(read32(&mut b, ecam(slot.into(), 0)), 0x5678_1234);
    }
    assert_eq!(config_read(&mut b, 5, 0), !0);
    assert_eq!(read32(&mut b, ecam(5, 0)), !0);
    assert_eq!(read32(&mut b, ecam(0x20 * 8 + 3, 0)), !0, "bus 1");
}

#[test]
fn there_are_no_extended_registers() {
    let (mut b, _) = board(false);
    assert_eq!(read32(&mut b, ecam(3, 0x100)), !0);
    let _ = b.mmio_write(T, 0, ecam(3, 0x104), &[0; 4]);
    assert_eq!(config_read(&mut b, 3, 0x04), 0, "and 0x104 is not 0x04");
}

#[test]
fn the_second_mechanism_writes_what_the_first_reads() {
    let (mut b, log) = board(false);
    let _ = b.mmio_write(T, 0, ecam(3, 4), &[3, 0]);
    assert_eq!(config_read(&mut b, 3, 4), 3);
    assert_eq!(calls(&log), ["config 0x4 2"]);
}

#[test]
fn without_post_nothing_is_assigned() {
    let (mut b, _) = board(false);
    assert_eq!(config_read(&mut b, 3, 0x10), 1);
    assert_eq!(config_read(&mut b, 3, 0x04) & 3, 0);
}

#[test]
fn post_assigns_aligned_addresses_that_do_not_overlap() {
    let (mut b, _) = board(true);
    let mut ranges = Vec::new();
    for slot in [3, 4] {
        assert_eq!(config_read(&mut b, slot, 4) & 7, 3, "decoding is on, the bus master off");
        for (register, size) in [(0x14, 0x1000), (0x20, 0x4000)] {
            let at = config_read(&mut b, slot, register) & !0xf;
            assert!(at >= 0xc000_0000 && at.is_multiple_of(size), "{at:#x}");
            ranges.push((at, at + size));
        }
        let port = config_read(&mut b, slot, 0x10);
        assert!(port & 1 == 1 && (0xc000..0x1_0000).contains(&port) && port & 0x3e == 0);
    }
    ranges.sort();
    assert!(ranges.windows(2).all(|w| w[0].1 <= w[1].0), "{ranges:x?}");
}

#[test]
fn post_routes_pins_to_level_triggered_interrupts_that_functions_know() {
    let (mut b, _) = board(true);
    // Slot 3's INTA# is PIRQC, slot 4's PIRQD.
    assert_eq!(config_read(&mut b, 3, 0x3c) & 0xff, 10);
    assert_eq!(config_read(&mut b, 4, 0x3c) & 0xff, 11);
    assert_eq!(config_read(&mut b, 1, 0x60), 0x0b0a_0b0a);
    let mut elcr = [0];
    let _ = b.port_in(T, 0x4d1, Width::B1, &mut elcr);
    assert_eq!(elcr, [0x0c]);
}

#[test]
fn post_switches_power_management_on_at_0x600_with_irq_9() {
    let (mut b, _) = board(true);
    assert_eq!(pm_read(&mut b, 0), 0x7113_8086);
    assert_eq!((pm_read(&mut b, 0x40), pm_read(&mut b, 0x80) & 1), (0x601, 1));
    assert_eq!(pm_read(&mut b, 0x3c) & 0xff, 9);
}

/// Function 3 of the south bridge.
fn pm_read(b: &mut Board, register: u32) -> u32 {
    config_read(b, 1, 3 << 8 | register)
}

#[test]
fn a_reset_assigns_again() {
    let (mut b, _) = board(true);
    let was = config_read(&mut b, 3, 0x14);
    config_write(&mut b, 3, 0x14, 0xd000_0000);
    b.reset(T);
    assert_eq!(config_read(&mut b, 3, 0x14), was);
}

#[test]
fn accesses_reach_the_bar_where_it_was_put_while_decoding_is_on() {
    let (mut b, log) = board(false);
    config_write(&mut b, 3, 0x14, 0xd000_0000);
    assert_eq!(read32(&mut b, Gpa(0xd000_0010)), !0, "decoding is off");
    config_write(&mut b, 3, 0x04, 2);
    calls(&log);
    assert_eq!(read32(&mut b, Gpa(0xd000_0010)), 0);
    assert_eq!(calls(&log), ["read 1+0x10 4"]);
    config_write(&mut b, 3, 0x14, 0xd100_0000);
    assert_eq!(read32(&mut b, Gpa(0xd000_0010)), !0, "it has moved");
    assert_eq!(read32(&mut b, Gpa(0xd100_0ffc)), 0);
}

#[test]
fn a_64_bit_bar_may_lie_above_4_gib() {
    let (mut b, log) = board(false);
    config_write(&mut b, 3, 0x20, 0);
    config_write(&mut b, 3, 0x24, 0x10);
    config_write(&mut b, 3, 0x04, 2);
    calls(&log);
    assert_eq!(read32(&mut b, Gpa(0x10_0000_3ffc)), 0);
    assert_eq!(calls(&log), ["read 4+0x3ffc 4"]);
}

#[test]
fn ports_take_each_item_of_a_string_at_the_same_register() {
    let (mut b, log) = board(false);
    config_write(&mut b, 3, 0x10, 0xc041);
    config_write(&mut b, 3, 0x04, 1);
    calls(&log);
    let _ = b.port_out(T, 0xc050, Width::B2, &[1, 2, 3, 4]);
    let mut byte = [0xff];
    let _ = b.port_in(T, 0xc05f, Width::B1, &mut byte);
    assert_eq!(calls(&log), ["write 0+0x10 [1, 2]", "write 0+0x10 [3, 4]", "read 0+0x1f 1"]);
}

#[test]
fn what_reaches_over_the_end_of_a_bar_reads_ones() {
    let (mut b, log) = board(false);
    config_write(&mut b, 3, 0x10, 0xc041);
    config_write(&mut b, 3, 0x04, 1);
    calls(&log);
    let mut data = [0; 4];
    let _ = b.port_in(T, 0xc07e, Width::B4, &mut data);
    assert_eq!(data, [0, 0, 0xff, 0xff]);
    assert_eq!(calls(&log), ["read 0+0x3e 2"]);
}

#[test]
fn ports_of_the_chip_set_win() {
    let (mut b, log) = board(false);
    config_write(&mut b, 3, 0x10, 0x3c1);
    config_write(&mut b, 3, 0x04, 1);
    calls(&log);
    let _ = b.port_out(T, 0x3c8, Width::B1, &[0]);
    assert!(calls(&log).is_empty());
}

/// Opens IRQ 10 and 11 at the interrupt controllers.
fn open_irqs(b: &mut Board) {
    for (port, value) in [
        (0x20, 0x11),
        (0x21, 0x08),
        (0x21, 4),
        (0x21, 1),
        (0x21, 0xfb),
        (0xa0, 0x11),
        (0xa1, 0x70),
        (0xa1, 2),
        (0xa1, 1),
        (0xa1, 0),
    ] {
        let _ = b.port_out(T, port, Width::B1, &[value]);
    }
}

/// The I/O BAR that POST gave a slot.
fn ports(b: &mut Board, slot: u32) -> u16 {
    (config_read(b, slot, 0x10) & !3) as u16
}

#[test]
fn a_pin_is_a_level_at_the_interrupt_controller() {
    let (mut b, _) = board(true);
    open_irqs(&mut b);
    let base = ports(&mut b, 3);
    let attention = b.port_out(T, base + 4, Width::B1, &[1]);
    assert!(attention.contains(Attention::LINES));
    assert!(b.lines(0).intr);
    assert_eq!(b.acknowledge(T, 0), 0x72);
    let _ = b.port_out(T, 0xa0, Width::B1, &[0x20]);
    let _ = b.port_out(T, 0x20, Width::B1, &[0x20]);
    assert!(b.lines(0).intr, "the level stays");
    let _ = b.port_out(T, base + 4, Width::B1, &[0]);
    assert!(!b.lines(0).intr);
}

#[test]
fn intx_disable_holds_the_pin_low() {
    let (mut b, _) = board(true);
    open_irqs(&mut b);
    let base = ports(&mut b, 3);
    let _ = b.port_out(T, base + 4, Width::B1, &[1]);
    config_write(&mut b, 3, 4, 0x403);
    assert!(!b.lines(0).intr);
    config_write(&mut b, 3, 4, 0x003);
    assert!(b.lines(0).intr);
}

#[test]
fn a_device_is_ticked_at_the_time_it_named() {
    let (mut b, log) = board(true);
    let base = ports(&mut b, 4);
    let _ = b.port_out(Time(1000), base + 12, Width::B1, &[0]);
    assert_eq!(b.next_event(), Time(1100));
    assert_eq!(b.next_wake(), Time(1100));
    calls(&log);
    let _ = b.tick(Time(1099));
    let _ = b.tick(Time(1100));
    assert_eq!(calls(&log), ["tick 1100"]);
    assert_ne!(b.next_event(), Time(1100));
}

#[test]
fn a_poked_device_looks_at_once() {
    let (mut b, log) = board(true);
    let _ = b.poke(Time(5), Bdf::new(0, 4, 0));
    let _ = b.poke(Time(5), Bdf::new(0, 9, 0));
    assert_eq!(calls(&log), ["tick 5"]);
}

#[test]
fn a_saved_device_comes_back_where_it_was() {
    let (mut a, _) = pc(true);
    let state = {
        let mut b = Board::Pc(Box::new(a));
        let base = ports(&mut b, 3);
        let _ = b.port_out(T, base, Width::B1, &[0x5a]);
        config_write(&mut b, 3, 0x14, 0xd000_0000);
        let Board::Pc(pc) = b else { unreachable!() };
        a = *pc;
        a.save(T)
    };
    let (mut other, _) = pc(true);
    other.restore(&state).unwrap();
    assert_eq!(other.save(T), state);
    let mut b = Board::Pc(Box::new(other));
    assert_eq!(read32(&mut b, Gpa(0xd000_0000)), 0x5a5a_5a5a);
}

#[test]
fn a_refused_device_leaves_the_others_as_they_were() {
    let (mut pc, _) = pc(true);
    let mut state = pc.save(T);
    state.state.devices = vec![vec![1], vec![0xee]];
    assert!(pc.restore(&state).is_err());
    assert_eq!(pc.save(T).state.devices, [[0], [0]]);
    state.state.devices.pop();
    assert!(pc.restore(&state).is_err());
}

#[test]
fn a_message_interrupts_if_the_function_is_bus_master() {
    let (mut b, _) = board(true);
    let _ = b.mmio_write(T, 0, Gpa(0xfee0_00f0), &0x1ffu32.to_le_bytes());
    let base = ports(&mut b, 3);
    let _ = b.port_out(T, base + 8, Width::B1, &[0x51]);
    assert!(!b.lines(0).intr);
    config_write(&mut b, 3, 4, 7);
    let attention = b.port_out(T, base + 8, Width::B1, &[0x52]);
    assert!(b.lines(0).intr && !attention.is_empty());
    assert_eq!(b.acknowledge(T, 0), 0x52);
}

#[test]
fn a_pin_is_also_an_input_of_the_io_apic() {
    let (mut b, _) = board(true);
    let _ = b.mmio_write(T, 0, Gpa(0xfee0_00f0), &0x1ffu32.to_le_bytes());
    let _ = b.port_out(T, 0x21, Width::B1, &[0xff]);
    // Slot 3's INTA# is PIRQC: input 18, level-triggered, active low, vector 0x61.
    for (index, value) in [(0x10 + 2 * 18, 0xa061u32), (0x11 + 2 * 18, 0)] {
        let _ = b.mmio_write(T, 0, Gpa(0xfec0_0000), &[index, 0, 0, 0]);
        let _ = b.mmio_write(T, 0, Gpa(0xfec0_0010), &value.to_le_bytes());
    }
    assert!(!b.lines(0).intr);
    let base = ports(&mut b, 3);
    let _ = b.port_out(T, base + 4, Width::B1, &[1]);
    assert!(b.lines(0).intr);
    assert_eq!(b.acknowledge(T, 0), 0x61);
}
