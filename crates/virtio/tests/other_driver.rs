//! A driver that is not ours, the crate virtio-drivers, with its own idea of the specification.

mod common;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use common::disk::Disk;
use common::{Board, RAM, Ring};
use hako_chips::pci::{ConfigSpace, PciDevice};
use hako_mem::{Gpa, GuestMemory, SlabOffset};
use hako_virtio::{BlkConfig, Flavour, Seeded, blk, console, rng};
use virtio_drivers::device::blk::VirtIOBlk;
use virtio_drivers::device::console::VirtIOConsole;
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

thread_local! {
    /// The guest's memory, for the driver's static functions, and where it is free.
    static MEMORY: GuestMemory = GuestMemory::flat(RAM);
    static FREE: Cell<u64> = const { Cell::new(0x1000) };
}

fn memory() -> GuestMemory {
    MEMORY.with(Clone::clone)
}

/// Whole pages of guest memory, never given back: tests are short.
fn pages(count: u64) -> u64 {
    let at = FREE.get();
    FREE.set(at + count * 4096);
    assert!(FREE.get() <= RAM, "the guest's memory is used up");
    at
}

struct Guest;

// SAFETY: DMA memory is pages of the slab of this thread's guest, each handed out once, zeroed, page-aligned and valid
// as long as the thread runs, which is longer than any driver in it; buffers are copied.
unsafe impl Hal for Guest {
    fn dma_alloc(count: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let at = pages(count as u64);
        let base = memory().slab().host_base();
        // SAFETY: `pages` has checked that the range lies in the slab.
        (at, unsafe { base.add(at as usize) })
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("registers are reached by the transport below")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        // SAFETY: the caller says that the buffer is valid and not accessed meanwhile.
        let data = unsafe { buffer.as_ref() };
        let at = pages((data.len() as u64).div_ceil(4096));
        memory().slab().write(SlabOffset(at), data);
        at
    }

    unsafe fn unshare(at: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: as above; the device has written to the copy only.
            memory().slab().read(SlabOffset(at), unsafe { buffer.as_mut() });
        }
    }
}

/// The registers of our modern function.
struct Registers(RefCell<Board>);

impl Registers {
    fn new(device: (ConfigSpace, Box<dyn PciDevice>)) -> Registers {
        let mut board = Board::new(device, Flavour::Modern);
        board.memory = memory();
        Registers(RefCell::new(board))
    }
}

impl Transport for &Registers {
    fn device_type(&self) -> DeviceType {
        match self.0.borrow().config.word(2) {
            0x1042 => DeviceType::Block,
            0x1043 => DeviceType::Console,
            _ => DeviceType::EntropySource,
        }
    }
    fn read_device_features(&mut self) -> u64 {
        self.0.borrow_mut().offered()
    }
    fn write_driver_features(&mut self, features: u64) {
        self.0.borrow_mut().take(features);
    }
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.0.borrow_mut().queue_size(queue).into()
    }
    fn notify(&mut self, queue: u16) {
        self.0.borrow_mut().kick(queue);
    }
    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_truncate(self.0.borrow_mut().status().into())
    }
    fn set_status(&mut self, status: DeviceStatus) {
        self.0.borrow_mut().set_status(status.bits() as u8);
    }
    fn set_guest_page_size(&mut self, _: u32) {}
    fn requires_legacy_layout(&self) -> bool {
        false
    }
    fn queue_set(&mut self, queue: u16, size: u32, desc: PhysAddr, avail: PhysAddr, used: PhysAddr) {
        let ring = Ring::at(&memory(), size as u16, desc, avail, used);
        self.0.borrow_mut().set_rings(queue, &ring);
    }
    fn queue_unset(&mut self, _: u16) {}
    fn queue_used(&mut self, queue: u16) -> bool {
        let mut board = self.0.borrow_mut();
        board.select(queue);
        board.read(0, 0x1c, 2) == 1
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_truncate(self.0.borrow_mut().isr().into())
    }
    fn read_config_generation(&self) -> u32 {
        self.0.borrow_mut().read(0, 0x15, 1) as u32
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> virtio_drivers::Result<T> {
        let bytes = self.0.borrow_mut().field(offset as u64, size_of::<T>()).to_le_bytes();
        Ok(T::read_from_bytes(&bytes[..size_of::<T>()]).unwrap())
    }
    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> virtio_drivers::Result<()> {
        let mut bytes = [0; 8];
        bytes[..size_of::<T>()].copy_from_slice(value.as_bytes());
        self.0.borrow_mut().set_field(offset as u64, size_of::<T>(), u64::from_le_bytes(bytes));
        Ok(())
    }
}

#[test]
fn its_block_driver_reads_writes_and_flushes() {
    let disk = Disk::new(64);
    let config = BlkConfig { serial: "hako0".into(), ..BlkConfig::default() };
    let registers = Registers::new(blk(config, Box::new(disk.clone()), Flavour::Modern));
    let mut driver = VirtIOBlk::<Guest, _>::new(&registers).unwrap();
    assert_eq!((driver.capacity(), driver.readonly()), (64, false));
    let mut sectors = [0; 1024];
    driver.read_blocks(5, &mut sectors).unwrap();
    assert_eq!((sectors[0], sectors[512]), (5, 6));
    driver.write_blocks(9, &[0xa5; 512]).unwrap();
    driver.flush().unwrap();
    assert_eq!((disk.byte(9), disk.byte(10)), (0xa5, 10));
    let mut id = [0; 20];
    assert_eq!(driver.device_id(&mut id), Ok(5));
    assert_eq!(&id[..5], b"hako0");
    assert!(driver.read_blocks(64, &mut sectors).is_err());
    assert!(driver.ack_interrupt().contains(InterruptStatus::QUEUE_INTERRUPT));
}

#[test]
fn its_console_driver_talks_and_hears() {
    let (space, device, _) = console((80, 25), Flavour::Modern);
    let registers = Registers::new((space, device));
    let mut driver = VirtIOConsole::<Guest, _>::new(&registers).unwrap();
    let size = driver.size().unwrap().unwrap();
    assert_eq!((size.columns, size.rows), (80, 25));
    driver.send_bytes(b"hello").unwrap();
    let mut said = Vec::new();
    registers.0.borrow_mut().device.output(&mut said);
    assert_eq!(said, b"hello");
    registers.0.borrow_mut().call(|d, env| assert_eq!(d.input(env, b"ab"), 2));
    assert_eq!(
        (driver.recv(true), driver.recv(true), driver.recv(true)),
        (Ok(Some(b'a')), Ok(Some(b'b')), Ok(None))
    );
}

#[test]
fn its_entropy_driver_gets_random_bytes() {
    let registers = Registers::new(rng(Box::new(Seeded::new(3)), Flavour::Modern));
    let mut driver = VirtIORng::<Guest, _>::new(&registers).unwrap();
    let mut bytes = [0; 32];
    assert_eq!(driver.request_entropy(&mut bytes), Ok(32));
    assert_ne!(bytes, [0; 32]);
    assert_eq!(memory().load::<u64>(Gpa(0)), Ok(0));
}
