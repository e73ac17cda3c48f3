//! Is /dev/kvm there, may we use it, and is it fast? Answered by asking and by measuring in a throw-away VM: processor
//! flags say nothing about it, because a KVM may itself be software.

use hako_engine::{Deadline, EngineError, ExitKind};
use hako_mem::{Gpa, GuestMemory, PAGE_SIZE};
use hako_x86::{CpuState, Gpr, SegReg, Segment};
use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::{Cap, Kvm};

use crate::cpuid::{self, CpuidExtra, CpuidModel};
use crate::speed::{Speed, Stopwatch};
use crate::state::Parts;
use crate::vcpu::KvmVcpu;
use crate::vm::{Vm, VmConfig};

const DEVICE: &str = "/dev/kvm";

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
        None => measure(),
    };
    Probe { usable, capabilities }
}

/// Makes a throw-away VM and measures in it.
fn measure() -> Result<Speed, EngineError> {
    let memory = GuestMemory::flat(PAGE_SIZE);
    Vm::new(VmConfig::default(), &memory)?.vcpu(0)?.measure(&memory)
}

/// Feature bits that a guest of this model would see on this KVM although the model does not have them: some KVMs add
/// what the processor has. Found by executing CPUID in a throw-away VM.
pub fn cpuid_extras(model: &CpuidModel) -> Result<Vec<CpuidExtra>, EngineError> {
    let memory = GuestMemory::flat(PAGE_SIZE);
    let config = VmConfig { cpuid: Some(model.clone()), ..VmConfig::default() };
    let mut vcpu = Vm::new(config, &memory)?.vcpu(0)?;
    let mut answers = Vec::new();
    for (leaf, subleaf) in cpuid::FEATURE_LEAVES {
        answers.push((leaf, subleaf, ask(&mut vcpu, &memory, leaf, subleaf)?));
    }
    Ok(cpuid::extras(model, &answers))
}

/// Executes CPUID in the guest.
fn ask(vcpu: &mut KvmVcpu, memory: &GuestMemory, leaf: u32, subleaf: u32) -> Result<[u32; 4], EngineError> {
    // cpuid; hlt
    memory.write(Gpa(0), &[0x0f, 0xa2, 0xf4]).map_err(|e| strange(e.to_string()))?;
    let mut state = CpuState::reset();
    state.seg[SegReg::Cs as usize] = Segment::real(0);
    state.rip = 0;
    state.gpr[Gpr::Rax as usize] = leaf.into();
    state.gpr[Gpr::Rcx as usize] = subleaf.into();
    vcpu.set_partial_state(&state, Parts::CORE)?;
    let exit = vcpu.run_until(&mut Stopwatch::new(memory), Deadline::Never)?;
    if exit.kind != ExitKind::Halt {
        return Err(strange(format!("CPUID ended with {:?}", exit.kind)));
    }
    let state = vcpu.partial_state(Parts::CORE)?;
    Ok([Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx].map(|r| state.reg(r) as u32))
}

/// A KVM that does not do what every KVM does.
pub(crate) fn strange(why: String) -> EngineError {
    EngineError::Host {
        what: "a trial run on KVM",
        why,
        remedy: "this KVM cannot run even a few instructions; use `--engine soft`".to_owned(),
    }
}
