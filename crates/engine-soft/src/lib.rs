//! The soft engine: the software CPU behind the Vcpu trait.
