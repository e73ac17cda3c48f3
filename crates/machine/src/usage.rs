//! What a description asks for that its machine or its engine has not: said, not passed over.

use hako_board::pc::MAX_CPUS;
use hako_x86::cpuid::X86_64_V2;

use crate::config::{Config, EngineChoice, FirmwareChoice, MachineKind, SinkSpec};
use crate::error::Error;

/// Whether everything asked for can be there.
pub(crate) fn check(config: &Config) -> Result<(), Error> {
    if config.machine == MachineKind::Bare {
        bare(config)?;
    }
    if !(1..=MAX_CPUS).contains(&config.cpus) {
        return usage(format!("a machine has 1 to {MAX_CPUS} CPUs, not {}", config.cpus));
    }
    if config.coms.len() > 3 {
        return usage(format!(
            "there are COM1 to COM4, and --serial is given {} times",
            config.coms.len() + 1
        ));
    }
    let traces_int = config.trace.as_ref().is_some_and(|trace| trace.what.int);
    if traces_int && config.engine == EngineChoice::Kvm {
        return usage("--trace int needs --engine soft: KVM takes interrupts and exceptions without a word");
    }
    Ok(())
}

/// The bare machine is RAM, one port and one CPU.
fn bare(config: &Config) -> Result<(), Error> {
    let asked = [
        (config.firmware != FirmwareChoice::Builtin, "--firmware"),
        (config.append.is_some(), "--append"),
        (config.initrd.is_some(), "--initrd"),
        (!config.modules.is_empty(), "--module"),
        (config.protocol.is_some(), "--protocol"),
        (config.cpus > 1, "--cpus"),
        (!config.acpi, "--no-acpi"),
        (config.testdev, "--testdev"),
        (config.rng, "--rng"),
        (config.console.is_some(), "--console"),
        (config.balloon.is_some(), "--balloon"),
        (!config.disks.is_empty(), "--disk"),
        (config.floppy.is_some(), "--floppy"),
        (config.cdrom.is_some(), "--cdrom"),
        (!config.boot.is_empty(), "--boot"),
        (!config.coms.is_empty(), "a second --serial"),
        (config.debugcon != SinkSpec::None, "--debugcon"),
        (!matches!(config.debug_exit, None | Some(0xf4)), "--debug-exit"),
    ];
    if let Some((_, option)) = asked.iter().find(|(asked, _)| *asked) {
        return usage(format!("{option} needs --machine pc: a bare machine is RAM, port 1 and one CPU"));
    }
    if config.cpu != X86_64_V2 && config.engine != EngineChoice::Soft {
        return usage("--cpu on a bare machine needs --engine soft: on kvm its CPU has no CPUID");
    }
    Ok(())
}

fn usage(why: impl Into<String>) -> Result<(), Error> {
    Err(Error::Usage(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: Config) -> String {
        let why = check(&config).expect_err("it is accepted");
        assert_eq!(why.status(), 2);
        why.to_string()
    }

    #[test]
    fn a_bare_machine_has_none_of_a_pcs_parts() {
        let bare = || Config { machine: MachineKind::Bare, ..Config::default() };
        assert!(check(&bare()).is_ok());
        let table: [(Config, &str); 6] = [
            (Config { cpus: 2, ..bare() }, "--cpus"),
            (Config { append: Some("x".into()), ..bare() }, "--append"),
            (Config { disks: vec!["x".into()], ..bare() }, "--disk"),
            (Config { coms: vec![SinkSpec::None], ..bare() }, "second --serial"),
            (Config { debug_exit: Some(0x501), ..bare() }, "--debug-exit"),
            (Config { cpu: hako_x86::cpuid::MAX, ..bare() }, "--cpu"),
        ];
        for (config, option) in table {
            let why = refused(config);
            assert!(why.contains(option), "{why}");
        }
    }

    #[test]
    fn there_are_four_serial_ports_and_eight_cpus() {
        refused(Config { coms: vec![SinkSpec::None; 4], ..Config::default() });
        refused(Config { cpus: 9, ..Config::default() });
        refused(Config { cpus: 0, ..Config::default() });
        assert!(check(&Config { coms: vec![SinkSpec::None; 3], cpus: 8, ..Config::default() }).is_ok());
    }
}
