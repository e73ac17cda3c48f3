//! Is /dev/kvm there, may we use it, and is it fast? Answered by asking and by measuring in a throw-away VM: processor
//! flags say nothing about it, because a KVM may itself be software.

use std::time::{Duration, Instant};

use hako_engine::EngineError;
use hako_mem::{Gpa, GuestMemory};
use kvm_bindings::{KVM_API_VERSION, KVM_EXIT_HLT, KVM_EXIT_IO, kvm_regs};
use kvm_ioctls::{Cap, Kvm, VcpuFd};

use crate::cpuid::{self, CpuidExtra, CpuidModel};
use crate::error::host;
use crate::slots::Slots;

const DEVICE: &str = "/dev/kvm";

/// How fast this KVM executes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Nanoseconds per instruction of a real-mode loop, which no KVM can run in the host's ring 3.
    pub ring0_ns_per_instruction: f64,
    /// Nanoseconds from an OUT of the guest to us and back.
    pub exit_ns: f64,
}

impl Speed {
    /// Whether ring 0 is emulated instruction by instruction rather than executed by the processor.
    pub fn is_emulated(&self) -> bool {
        self.ring0_ns_per_instruction > 50.0
    }
}

/// What this host's KVM offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Its speed, or why it cannot be used and what the user can do about it.
    pub usable: Result<Speed, EngineError>,
    /// The capabilities that hako uses or reports, with KVM's answers (0: absent).
    pub capabilities: Vec<(&'static str, i32)>,
}

/// Capabilities without which the engine does not work.
const NEEDED: &[(Cap, &str)] = &[
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::SyncRegs, "KVM_CAP_SYNC_REGS"),
];

/// Others that change what is possible.
const REPORTED: &[(Cap, &str)] = &[
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::Pit2, "KVM_CAP_PIT2"),
    (Cap::ReinjectControl, "KVM_CAP_REINJECT_CONTROL"),
    (Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM"),
    (Cap::NrMemslots, "KVM_CAP_NR_MEMSLOTS"),
    (Cap::Xsave, "KVM_CAP_XSAVE"),
    (Cap::Xcrs, "KVM_CAP_XCRS"),
    (Cap::VcpuEvents, "KVM_CAP_VCPU_EVENTS"),
    (Cap::Debugregs, "KVM_CAP_DEBUGREGS"),
    (Cap::SetGuestDebug, "KVM_CAP_SET_GUEST_DEBUG"),
    (Cap::MpState, "KVM_CAP_MP_STATE"),
    (Cap::TscControl, "KVM_CAP_TSC_CONTROL"),
    (Cap::Irqfd, "KVM_CAP_IRQFD"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::NrVcpus, "KVM_CAP_NR_VCPUS"),
];

/// Opens /dev/kvm, or says why not and what to do.
pub(crate) fn open() -> Result<Kvm, EngineError> {
    let kvm = Kvm::new().map_err(|errno| {
        let remedy = match errno.errno() {
            libc::ENOENT => {
                "load the module kvm_intel or kvm_amd, or switch virtualisation on in the firmware setup; inside a \
                 virtual machine its host has to allow nesting; `--engine soft` needs none of this"
            }
            libc::EACCES | libc::EPERM => {
                "add yourself to the group that owns it (`sudo usermod -aG kvm $USER`, then log in again), or use \
                 `--engine soft`"
            }
            libc::ENODEV | libc::ENXIO => "the device file exists without its module: load kvm_intel or kvm_amd",
            libc::EBUSY => "another hypervisor uses the processor's virtualisation: stop it",
            _ => "use `--engine soft`",
        };
        EngineError::Host { what: "opening /dev/kvm", why: errno.to_string(), remedy: remedy.to_owned() }
    })?;
    let version = kvm.get_api_version();
    if version != KVM_API_VERSION as i32 {
        return Err(EngineError::Host {
            what: "KVM_GET_API_VERSION",
            why: format!("{DEVICE} speaks version {version}, not {KVM_API_VERSION}"),
            remedy: "use Linux 4.17 or later, or `--engine soft`".to_owned(),
        });
    }
    Ok(kvm)
}

/// Asks and measures; see [`Probe`]. Bounded in time, however slow the KVM is.
pub fn probe() -> Probe {
    let kvm = match open() {
        Ok(kvm) => kvm,
        Err(why) => return Probe { usable: Err(why), capabilities: Vec::new() },
    };
    let capabilities: Vec<_> = NEEDED
        .iter()
        .chain(REPORTED)
        .map(|&(cap, name)| (name, kvm.check_extension_int(cap).max(0)))
        .collect();
    let missing = NEEDED.iter().map(|n| n.1).find(|n| capabilities.contains(&(n, 0)));
    let usable = match missing {
        Some(name) => Err(EngineError::Host {
            what: "asking KVM for its capabilities",
            why: format!("it lacks {name}"),
            remedy: "use Linux 4.17 or later, or `--engine soft`".to_owned(),
        }),
        None => Scratch::new(&kvm).and_then(|mut scratch| scratch.speed()),
    };
    Probe { usable, capabilities }
}

/// Feature bits that a guest of this model would see on this KVM although the model does not have them: some KVMs add
/// what the processor has. Found by executing CPUID in a throw-away VM.
pub fn cpuid_extras(model: &CpuidModel) -> Result<Vec<CpuidExtra>, EngineError> {
    let kvm = open()?;
    let mut scratch = Scratch::new(&kvm)?;
    let cpuid = cpuid::of_cpu(&cpuid::of_model(&kvm, model)?, 0);
    scratch.cpu.set_cpuid2(&cpuid).map_err(host("KVM_SET_CPUID2"))?;
    let mut answers = Vec::new();
    for (leaf, subleaf) in cpuid::FEATURE_LEAVES {
        scratch.start(&ask(leaf, subleaf))?;
        scratch.run(KVM_EXIT_HLT)?;
        let r = scratch.cpu.get_regs().map_err(host("KVM_GET_REGS"))?;
        answers.push((leaf, subleaf, [r.rax, r.rbx, r.rcx, r.rdx].map(|r| r as u32)));
    }
    Ok(cpuid::extras(model, &answers))
}

/// `mov eax, leaf; mov ecx, subleaf; cpuid; hlt`
fn ask(leaf: u32, subleaf: u32) -> [u8; 15] {
    let [a, b, c, d] = leaf.to_le_bytes();
    let [e, f, g, h] = subleaf.to_le_bytes();
    [0x66, 0xb8, a, b, c, d, 0x66, 0xb9, e, f, g, h, 0x0f, 0xa2, 0xf4]
}

/// `mov cx, n; loop $; hlt`
fn spin(n: u16) -> [u8; 6] {
    let [low, high] = n.to_le_bytes();
    [0xb9, low, high, 0xe2, 0xfe, 0xf4]
}

/// `out 0x80, al; jmp $-2`
const KNOCK: [u8; 4] = [0xe6, 0x80, 0xeb, 0xfc];

/// A throw-away VM: one page of memory at address 0, one CPU in real mode.
pub(crate) struct Scratch {
    // Field order is drop order.
    cpu: VcpuFd,
    _slots: Slots,
    memory: GuestMemory,
}

impl Scratch {
    pub(crate) fn new(kvm: &Kvm) -> Result<Scratch, EngineError> {
        let vm = kvm.create_vm().map_err(host("KVM_CREATE_VM"))?;
        let memory = GuestMemory::flat(hako_mem::PAGE_SIZE);
        let mut slots = Slots::default();
        slots.follow(&vm, &memory)?;
        let cpu = vm.create_vcpu(0).map_err(host("KVM_CREATE_VCPU"))?;
        let mut sregs = cpu.get_sregs().map_err(host("KVM_GET_SREGS"))?;
        (sregs.cs.base, sregs.cs.selector) = (0, 0);
        cpu.set_sregs(&sregs).map_err(host("KVM_SET_SREGS"))?;
        Ok(Scratch { cpu, _slots: slots, memory })
    }

    fn start(&mut self, code: &[u8]) -> Result<(), EngineError> {
        self.memory.write(Gpa(0), code).map_err(|e| EngineError::Host {
            what: "the probe's memory",
            why: e.to_string(),
            remedy: String::new(),
        })?;
        self.cpu.set_regs(&kvm_regs { rflags: 2, ..Default::default() }).map_err(host("KVM_SET_REGS"))
    }

    /// KVM_RUN until an exit of this kind; signals are ignored.
    fn run(&mut self, expected: u32) -> Result<Duration, EngineError> {
        let begin = Instant::now();
        loop {
            match self.cpu.run() {
                Ok(_) => {}
                Err(errno) if errno.errno() == libc::EINTR => continue,
                Err(errno) => return Err(host("KVM_RUN")(errno)),
            }
            let reason = self.cpu.get_kvm_run().exit_reason;
            if reason == expected {
                return Ok(begin.elapsed());
            }
            return Err(EngineError::Host {
                what: "a trial run",
                why: format!("KVM came back with exit {reason} instead of {expected}"),
                remedy: "this KVM cannot even run a loop; use `--engine soft`".to_owned(),
            });
        }
    }

    fn speed(&mut self) -> Result<Speed, EngineError> {
        const KNOCKS: u32 = 6;
        self.start(&KNOCK)?;
        self.run(KVM_EXIT_IO)?;
        let begin = Instant::now();
        for _ in 0..KNOCKS {
            self.run(KVM_EXIT_IO)?;
        }
        let exit = begin.elapsed() / KNOCKS;
        // A first short loop tells whether the longer one, which is exact on fast hardware, is affordable.
        let mut per_instruction = f64::MAX;
        for n in [64, 16_384] {
            self.start(&spin(n))?;
            let time = self.run(KVM_EXIT_HLT)?.saturating_sub(exit);
            per_instruction = time.as_nanos() as f64 / f64::from(n);
            if per_instruction > 50.0 {
                break;
            }
        }
        Ok(Speed { ring0_ns_per_instruction: per_instruction, exit_ns: exit.as_nanos() as f64 })
    }
}
