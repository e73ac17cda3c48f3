//! The kvm engine: /dev/kvm behind the Vcpu trait.
