//! What the host offers, as far as tests depend on it.

use std::sync::OnceLock;

/// What is known of this host's KVM.
#[derive(Clone, Debug, Default)]
pub struct Host {
    kvm: OnceLock<Kvm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kvm {
    /// Uses the processor's virtualization.
    Hardware,
    /// Emulates what runs in ring 0, with faults of its own.
    Software,
    /// Cannot be used: why.
    Absent(String),
}

impl Host {
    /// This host; it is asked when it matters for the first time.
    pub fn this() -> Host {
        Host::default()
    }

    /// A host whose KVM uses the processor.
    pub fn hardware() -> Host {
        Host { kvm: Kvm::Hardware.into() }
    }

    /// A host whose KVM emulates.
    pub fn software() -> Host {
        Host { kvm: Kvm::Software.into() }
    }

    /// A host whose KVM cannot be used.
    pub fn without_kvm(why: impl Into<String>) -> Host {
        Host { kvm: Kvm::Absent(why.into()).into() }
    }

    /// Whether KVM is there but emulates.
    pub fn kvm_is_software(&self) -> bool {
        *self.kvm() == Kvm::Software
    }

    /// Why KVM cannot be used, if it cannot.
    pub fn why_no_kvm(&self) -> Option<String> {
        match self.kvm() {
            Kvm::Absent(why) => Some(why.clone()),
            _ => None,
        }
    }

    fn kvm(&self) -> &Kvm {
        self.kvm.get_or_init(|| match hako_engine_kvm::probe().usable {
            Ok(speed) if speed.is_emulated() => Kvm::Software,
            Ok(_) => Kvm::Hardware,
            Err(why) => Kvm::Absent(why.to_string()),
        })
    }
}
