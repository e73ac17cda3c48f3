//! What the kvm engine costs on this host: start and end of a VM, an exit, a state exchange.
//!
//! `costs` prints a table; `costs halt` only runs a 128 MiB guest that halts at once (to be timed from outside).

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hako_engine::{At, Attention, Bus, Deadline, ExitKind, Lines, Vcpu};
use hako_engine_kvm::{CpuidModel, KvmVcpu, Parts, Vm, VmConfig, cpuid_extras, probe};
use hako_mem::{Gpa, GuestMemory, MemoryMap, Region, RegionKind, SlabOffset};
use hako_x86::{CpuState, SegReg, Segment, Width};

/// Counts accesses; every `wish_every`-th has a wish.
struct Counting {
    memory: GuestMemory,
    accesses: u64,
    wish_every: u64,
}

impl Counting {
    fn count(&mut self) -> Attention {
        self.accesses += 1;
        if self.accesses.is_multiple_of(self.wish_every) { Attention::WISH } else { Attention::empty() }
    }
}

impl Bus for Counting {
    fn port_in(&mut self, _: At, _: u16, _: Width, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        self.count()
    }
    fn port_out(&mut self, _: At, _: u16, _: Width, _: &[u8]) -> Attention {
        self.count()
    }
    fn mmio_read(&mut self, _: At, _: Gpa, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        self.count()
    }
    fn mmio_write(&mut self, _: At, _: Gpa, _: &[u8]) -> Attention {
        self.count()
    }
    fn msr_read(&mut self, _: At, _: u32) -> Option<u64> {
        None
    }
    fn msr_write(&mut self, _: At, _: u32, _: u64) -> Option<Attention> {
        None
    }
    fn acknowledge(&mut self, _: At) -> u8 {
        0
    }
    fn lines(&mut self, _: At) -> Lines {
        Lines::default()
    }
    fn tsc(&mut self, _: At) -> u64 {
        0
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn memory(code: &[u8]) -> Outcome<GuestMemory> {
    let slab = hako_mem::host::slab(128 << 20)?;
    let mut map = MemoryMap::new();
    map.map(Region { gpa: Gpa(0), len: slab.len(), kind: RegionKind::Ram, offset: SlabOffset(0) })?;
    let memory = GuestMemory::new(Arc::new(slab), map);
    memory.write(Gpa(0), code)?;
    Ok(memory)
}

fn real_mode() -> CpuState {
    let mut state = CpuState::reset();
    state.seg[SegReg::Cs as usize] = Segment::real(0);
    state.rip = 0;
    state
}

struct Guest {
    vcpu: KvmVcpu,
    bus: Counting,
    vm: Vm,
}

fn guest(config: VmConfig, code: &[u8], wish_every: u64) -> Outcome<Guest> {
    let memory = memory(code)?;
    let vm = Vm::new(config, &memory)?;
    let mut vcpu = vm.vcpu(0)?;
    vcpu.set_state(&real_mode())?;
    Ok(Guest { vcpu, vm, bus: Counting { memory, accesses: 0, wish_every } })
}

/// Median, in microseconds, of what `f` says or takes.
fn median(n: usize, mut f: impl FnMut() -> Outcome<Duration>) -> Outcome<f64> {
    let mut times = (0..n).map(|_| f()).collect::<Outcome<Vec<_>>>()?;
    times.sort();
    Ok(times.get(n / 2).map_or(0.0, |d| d.as_nanos() as f64 / 1e3))
}

fn timed<T>(f: impl FnOnce() -> Outcome<T>) -> Outcome<Duration> {
    let begin = Instant::now();
    black_box(f()?);
    Ok(begin.elapsed())
}

fn halt() -> Outcome<()> {
    let mut guest = guest(VmConfig::default(), &[0xf4], u64::MAX)?;
    assert_eq!(guest.vcpu.run(&mut guest.bus, Deadline::Never)?.kind, ExitKind::Halt);
    Ok(())
}

fn starts() -> Outcome<()> {
    let configs = [
        ("bare", VmConfig::default()),
        ("with CPUID", VmConfig { cpuid: Some(CpuidModel::default()), ..VmConfig::default() }),
        ("with irqchip", VmConfig { irqchip: true, ..VmConfig::default() }),
    ];
    for (name, config) in configs {
        let n = if config.irqchip { 9 } else { 25 };
        let mut ends = Vec::new();
        let start = median(n, || {
            let mut kept = None;
            let start = timed(|| {
                kept = Some(guest(config.clone(), &[0xf4], u64::MAX)?);
                Ok(())
            });
            let end = Instant::now();
            drop(kept);
            ends.push(end.elapsed());
            start
        })?;
        ends.sort();
        let end = ends.get(n / 2).copied().unwrap_or_default();
        println!("{name:14} start {start:8.1} us, end {:8.1} us", end.as_nanos() as f64 / 1e3);
    }
    Ok(())
}

/// The same guest and as many exits with nothing around KVM_RUN.
fn raw(n: u64) -> Outcome<Duration> {
    let memory = memory(&[0xe6, 0x80, 0xeb, 0xfc])?;
    let vm = kvm_ioctls::Kvm::new()?.create_vm()?;
    let region = kvm_bindings::kvm_userspace_memory_region {
        memory_size: memory.slab().len(),
        userspace_addr: memory.slab().host_base().as_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: the slab is alive as long as `memory`, which is dropped after the VM's handles.
    unsafe { vm.set_user_memory_region(region)? };
    let mut vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs)?;
    vcpu.set_regs(&kvm_bindings::kvm_regs { rflags: 2, ..Default::default() })?;
    timed(|| {
        for _ in 0..n {
            black_box(vcpu.run()?);
        }
        Ok(())
    })
}

fn exits() -> Outcome<()> {
    const N: u64 = 2000;
    // out 0x80,al; jmp -4: the bus ends it after N accesses.
    let mut guest = guest(VmConfig::default(), &[0xe6, 0x80, 0xeb, 0xfc], N)?;
    let per = |d: f64| d / N as f64;
    let exit = median(21, || timed(|| Ok(guest.vcpu.run(&mut guest.bus, Deadline::Never)?)))?;
    let raw = median(21, || raw(N))?;
    println!("exit           {:8.2} us, of which {:.2} us in bare KVM_RUN calls", per(exit), per(raw));
    let in_vm = median(7, || {
        let memory = memory(&[])?;
        let mut vcpu = Vm::new(VmConfig::default(), &memory)?.vcpu(0)?;
        timed(|| Ok(vcpu.measure(&memory)?))
    })?;
    println!("measure in VM  {in_vm:8.2} us");
    guest.bus.wish_every = 1;
    let vcpu = &mut guest.vcpu;
    let bus = &mut guest.bus;
    for (name, parts) in [("core", Parts::CORE), ("all", Parts::ALL)] {
        let get = median(101, || {
            vcpu.run(bus, Deadline::Never)?;
            timed(|| Ok(vcpu.partial_state(parts)?))
        })?;
        let set = median(101, || {
            vcpu.run(bus, Deadline::Never)?;
            let mut state = vcpu.partial_state(parts)?;
            state.gpr[0] ^= 1;
            timed(|| Ok(vcpu.set_partial_state(&state, parts)?))
        })?;
        println!("state, {name:5}    get {get:6.2} us, set one register {set:6.2} us");
    }
    let turn = median(101, || timed(|| Ok(vcpu.run(bus, Deadline::Never)?)))?;
    println!("run to a wish  {turn:8.2} us");
    drop(guest.vm);
    Ok(())
}

fn refusals() -> Outcome<()> {
    // popcnt ax,bx; jmp -6: refused where KVM emulates.
    let mut guest = guest(VmConfig::default(), &[0xf3, 0x0f, 0xb8, 0xc3, 0xeb, 0xfa], u64::MAX)?;
    let mut protected = real_mode();
    protected.cr0 |= 1;
    guest.vcpu.set_state(&protected)?;
    let deadline = Deadline::After(Duration::from_millis(50));
    if !matches!(guest.vcpu.run(&mut guest.bus, deadline)?.kind, ExitKind::Refused(_)) {
        println!("refusal        none");
        return Ok(());
    }
    for (name, parts) in [("core", Parts::CORE), ("all", Parts::ALL)] {
        let cost = median(101, || {
            timed(|| {
                let exit = guest.vcpu.run(&mut guest.bus, Deadline::Never)?;
                let mut state = guest.vcpu.partial_state(parts)?;
                state.rip = 4;
                guest.vcpu.set_partial_state(&state, parts)?;
                Ok(exit)
            })
        })?;
        println!("refusal, {name:5} {cost:7.2} us for run, state and back");
    }
    Ok(())
}

fn main() -> Outcome<()> {
    if std::env::args().nth(1).as_deref() == Some("halt") {
        return halt();
    }
    let begin = Instant::now();
    let found = probe();
    println!("probe          {:8.1} us: {:?}", begin.elapsed().as_nanos() as f64 / 1e3, found.usable);
    println!("probe again    {:8.1} us", median(15, || timed(|| Ok(probe())))?);
    for (name, value) in &found.capabilities {
        print!("{name}={value} ");
    }
    println!();
    if let Ok(speed) = &found.usable {
        let model = CpuidModel { emulated: speed.is_emulated(), ..CpuidModel::default() };
        println!("CPUID beyond the model: {:x?}", cpuid_extras(&model)?);
    }
    starts()?;
    exits()?;
    refusals()
}
