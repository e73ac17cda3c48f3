//! The microkernel on a PC: boots, sets the processor up, and moves between tasks. What it decides is in the library.

#![no_std]
#![no_main]

mod arch;

use arch::{apic, clock, cpu, hardware::Hardware, memory, percpu::PerCpu, pic, serial, vmx::Vmx};
use hakoniwa_kernel::boot;

/// Runs once, on the boot stack, with the boot loader's information.
extern "C" fn main(magic: u32, info: u64) -> ! {
    serial::init();
    serial::line(format_args!("hakoniwa {}", env!("CARGO_PKG_VERSION")));
    let Some(boot) = boot::parse(magic, info, &|at| memory::load(at)) else {
        panic!("the boot loader speaks neither Multiboot 1 nor PVH (eax {magic:#x})");
    };
    let features = cpu::enable();
    let mut setup = memory::Setup::new(&boot);
    let root = setup.kernel_tables();
    let mut local = apic::Apic::new(root, &mut setup);
    pic::init();
    let clock = clock::Clock::calibrate(&mut local);
    serial::line(format_args!(
        "[kernel] memory {} MiB, TSC {} MHz, {}",
        setup.total() >> 20,
        clock.tsc_hz() / 1_000_000,
        local.kind()
    ));
    let vmx = Vmx::start(&mut setup);
    match &vmx {
        Ok(vmx) => {
            serial::line(format_args!("[kernel] VT-x is on: guests can run"));
            if vmx.is_silent() {
                serial::line(format_args!(
                    "[kernel] this is Bochs, silent about interrupts: guests that turn theirs off get a timer"
                ));
            }
        }
        Err(missing) => serial::line(format_args!("[kernel] no guests: {missing}")),
    }
    let setup_vectors = setup.vectors();
    let tsc_hz = clock.tsc_hz();
    let percpu = PerCpu::create(&mut setup, features, clock, local);
    let (tasks, frames) = setup.objects();
    let mut kernel = hakoniwa_kernel::Kernel::new(Hardware, tasks, frames, root);
    kernel.tasks[0].context = percpu.idle_context();
    kernel.tasks[0].vectors = setup_vectors;
    kernel.tasks[0].root = root;
    let archive =
        boot.modules.iter().next().unwrap_or_else(|| panic!("no boot archive: load it as a module"));
    let bytes = memory::bytes(archive);
    if let Err(why) = kernel.start_init(bytes, archive.0) {
        panic!("init cannot start: {why:?}");
    }
    kernel.tsc_hz = tsc_hz;
    let vmx = match vmx {
        Ok(vmx) => {
            kernel.large_pages = vmx.large_pages();
            Some(vmx)
        }
        Err(missing) => {
            kernel.hv_missing = missing.number();
            None
        }
    };
    percpu.run(kernel, vmx)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    serial::flush();
    serial::line(format_args!("[kernel] panic: {info}"));
    serial::line(format_args!("hakoniwa: verdict: FAILED (kernel panic)"));
    serial::flush();
    cpu::halt()
}
