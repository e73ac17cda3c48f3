//! A test on one engine and one firmware: what is run and what a verdict is about.

use std::path::Path;
use std::sync::Arc;

use hako_machine::{ClockKind, Config, EngineChoice, FirmwareChoice, MachineKind, ModuleSpec, SinkSpec};

use crate::error::Error;
use crate::host::Host;
use crate::images::Images;
use crate::spec::{Condition, Exempt, Spec};

/// One combination, ready to be run.
#[derive(Clone, Debug)]
pub struct Case {
    /// The test's name.
    pub test: String,
    /// Engine and, where it matters, firmware, as reports show them.
    pub variant: String,
    /// What the test wants.
    pub spec: Arc<Spec>,
    /// The machine.
    pub config: Arc<Config>,
    /// Why it is not run here, if it is not.
    pub skip: Option<String>,
}

impl Case {
    /// Test and variant.
    pub fn name(&self) -> String {
        format!("{} [{}]", self.test, self.variant)
    }
}

/// The cases of a test: its engines, or `engine` alone, times its firmwares. Images are found from `folder`.
pub fn cases(
    test: &str,
    spec: &Arc<Spec>,
    folder: &Path,
    engine: Option<EngineChoice>,
    images: &Images,
    host: &Host,
) -> Result<Vec<Case>, Error> {
    // Without a word about engines a test runs where its verdict depends on nothing but the guest.
    let named = if spec.engines.is_empty() { &[EngineChoice::Soft][..] } else { &spec.engines };
    // A test that does not want the engine asked for is not run on it.
    let fits = |wanted: EngineChoice| spec.engines.is_empty() || named.contains(&wanted);
    let engines = match engine {
        Some(wanted) if fits(wanted) => vec![wanted],
        Some(_) => Vec::new(),
        None => named.to_vec(),
    };
    let firmwares = match (spec.machine, &spec.firmwares[..]) {
        (MachineKind::Bare, _) | (_, []) => &[FirmwareChoice::Builtin][..],
        (_, named) => named,
    };
    let mut cases = Vec::new();
    for engine in engines {
        let spec = &patient(spec, engine, host);
        for firmware in firmwares {
            // It does not matter to a bare machine, which has none.
            let none = FirmwareChoice::Builtin;
            let firmware = from(folder, if spec.machine == MachineKind::Bare { &none } else { firmware });
            let config = config(spec, folder, engine, &firmware, images)?;
            cases.push(Case {
                test: test.to_owned(),
                variant: variant(spec.machine, engine, &firmware),
                spec: Arc::clone(spec),
                config: Arc::new(config),
                skip: skip(&spec.exempt, engine, &firmware, host),
            });
        }
    }
    Ok(cases)
}

/// How much longer guests may run on a KVM that emulates: limits are meant for one that does not.
const PATIENCE: u32 = 10;

/// The test, with a limit that fits the engine.
fn patient(spec: &Arc<Spec>, engine: EngineChoice, host: &Host) -> Arc<Spec> {
    if engine != EngineChoice::Kvm || !host.kvm_is_software() {
        return Arc::clone(spec);
    }
    Arc::new(Spec { limit: spec.limit.saturating_mul(PATIENCE), ..Spec::clone(spec) })
}

/// A firmware file's path counts from the test's folder, as images' do.
fn from(folder: &Path, firmware: &FirmwareChoice) -> FirmwareChoice {
    match firmware {
        FirmwareChoice::Path(path) => FirmwareChoice::Path(folder.join(path)),
        other => other.clone(),
    }
}

fn config(
    spec: &Spec,
    folder: &Path,
    engine: EngineChoice,
    firmware: &FirmwareChoice,
    images: &Images,
) -> Result<Config, Error> {
    let disk = |medium: &crate::spec::Medium| images.disk(medium, folder);
    let module = |m: &crate::spec::Module| {
        Ok(ModuleSpec {
            name: m.file.path.clone(),
            source: images.source(&m.file, folder)?,
            args: m.args.clone(),
        })
    };
    Ok(Config {
        engine,
        machine: spec.machine,
        memory: spec.memory,
        firmware: firmware.clone(),
        image: spec.image.as_ref().map(|image| images.source(image, folder)).transpose()?,
        append: spec.kernel.append.clone(),
        initrd: spec.kernel.initrd.as_ref().map(|initrd| images.source(initrd, folder)).transpose()?,
        modules: spec.kernel.modules.iter().map(module).collect::<Result<_, Error>>()?,
        protocol: spec.kernel.protocol,
        cpus: spec.cpus,
        acpi: spec.acpi,
        testdev: spec.testdev,
        rng: spec.rng,
        console: spec.console.then_some(SinkSpec::None),
        balloon: spec.balloon,
        coms: vec![SinkSpec::None; usize::from(spec.serial_ports.saturating_sub(1))],
        disks: spec.disks.iter().map(disk).collect::<Result<_, _>>()?,
        floppy: spec.floppy.as_ref().map(disk).transpose()?,
        cdrom: spec.cdrom.as_ref().map(disk).transpose()?,
        boot: spec.boot.clone(),
        debug_exit: spec.debug_exit,
        no_reboot: spec.no_reboot,
        triple_fault: spec.triple_fault,
        clock: (engine == EngineChoice::Soft).then_some(ClockKind::Virtual),
        timeout: Some(spec.limit),
        detect_hang: engine == EngineChoice::Soft,
        log_ports: spec.finals.as_ref().is_some_and(|finals| !finals.ports.is_empty()),
        ..Config::default()
    })
}

/// How messages call an engine.
pub fn engine_name(engine: EngineChoice) -> &'static str {
    match engine {
        EngineChoice::Auto => "auto",
        EngineChoice::Kvm => "kvm",
        EngineChoice::Soft => "soft",
    }
}

fn variant(machine: MachineKind, engine: EngineChoice, firmware: &FirmwareChoice) -> String {
    let engine = engine_name(engine);
    match (machine, firmware) {
        (MachineKind::Bare, _) => engine.to_owned(),
        (_, FirmwareChoice::Builtin) => format!("{engine}, builtin"),
        (_, FirmwareChoice::SeaBios) => format!("{engine}, seabios"),
        (_, FirmwareChoice::Path(path)) => {
            format!("{engine}, {}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
        }
    }
}

/// Why a combination is not run here.
fn skip(exempt: &[Exempt], engine: EngineChoice, firmware: &FirmwareChoice, host: &Host) -> Option<String> {
    let hit = exempt.iter().find(|e| {
        e.engine.is_none_or(|named| named == engine)
            && e.firmware.as_ref().is_none_or(|named| named == firmware)
            && match e.when {
                None => true,
                Some(Condition::SoftwareKvm) => host.kvm_is_software(),
            }
    });
    if let Some(hit) = hit {
        return Some(hit.reason.clone());
    }
    match engine {
        EngineChoice::Kvm => host.why_no_kvm(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Arc<Spec> {
        Arc::new(
            Spec::parse(&format!("image = \"builtin:x\"\n{text}[final]\nexit = \"halt\"\n"), "t").unwrap(),
        )
    }

    fn names(spec: &Arc<Spec>, engine: Option<EngineChoice>, host: &Host) -> Vec<(String, Option<String>)> {
        let images = Images::with_built_in(|_| Some(&[0x55]));
        let cases = cases("t", spec, Path::new("."), engine, &images, host).unwrap();
        cases.into_iter().map(|case| (case.name(), case.skip)).collect()
    }

    #[test]
    fn every_engine_with_every_firmware() {
        let spec = spec("engines = [\"soft\", \"kvm\"]\nfirmware = [\"builtin\", \"seabios\"]\n");
        let all = names(&spec, None, &Host::hardware());
        let wanted = ["t [soft, builtin]", "t [soft, seabios]", "t [kvm, builtin]", "t [kvm, seabios]"];
        assert_eq!(all.iter().map(|case| &case.0[..]).collect::<Vec<_>>(), wanted);
        assert_eq!(names(&spec, Some(EngineChoice::Kvm), &Host::hardware()).len(), 2);
    }

    #[test]
    fn a_test_without_engines_runs_on_the_one_asked_for_or_soft() {
        assert_eq!(names(&spec(""), None, &Host::hardware())[0].0, "t [soft, builtin]");
        assert_eq!(names(&spec(""), Some(EngineChoice::Kvm), &Host::hardware())[0].0, "t [kvm, builtin]");
        assert!(names(&spec("engines = \"kvm\"\n"), Some(EngineChoice::Soft), &Host::hardware()).is_empty());
    }

    #[test]
    fn firmware_does_not_matter_to_a_bare_machine() {
        let spec = spec("machine = \"bare\"\nengines = \"soft\"\nfirmware = [\"builtin\", \"seabios\"]\n");
        assert_eq!(names(&spec, None, &Host::hardware()), [("t [soft]".to_owned(), None)]);
    }

    #[test]
    fn an_exemption_counts_where_its_conditions_hold() {
        let text = "engines = [\"soft\", \"kvm\"]\n[[exempt]]\nengine = \"kvm\"\nwhen = \"software-kvm\"\nreason = \"slow\"\n";
        let spec = spec(text);
        let reasons =
            |host: &Host| names(&spec, None, host).into_iter().map(|case| case.1).collect::<Vec<_>>();
        assert_eq!(reasons(&Host::hardware()), [None, None]);
        assert_eq!(reasons(&Host::software()), [None, Some("slow".into())]);
        let none = reasons(&Host::without_kvm("no /dev/kvm"));
        assert_eq!(none, [None, Some("no /dev/kvm".into())]);
    }

    #[test]
    fn a_kvm_that_emulates_gets_more_time() {
        let images = Images::with_built_in(|_| Some(&[0x55]));
        let limit = |engine, host: &Host| {
            let cases = cases("t", &spec(""), Path::new("."), Some(engine), &images, host).unwrap();
            assert_eq!(cases[0].config.timeout, Some(cases[0].spec.limit));
            cases[0].spec.limit.as_secs()
        };
        assert_eq!(limit(EngineChoice::Kvm, &Host::software()), 100);
        assert_eq!(limit(EngineChoice::Kvm, &Host::hardware()), 10);
        assert_eq!(limit(EngineChoice::Soft, &Host::software()), 10);
    }

    #[test]
    fn tests_on_soft_run_under_the_virtual_clock_and_end_when_they_hang() {
        let images = Images::with_built_in(|_| Some(&[0x55]));
        let soft = Some(EngineChoice::Soft);
        let cases = cases("t", &spec(""), Path::new("."), soft, &images, &Host::hardware()).unwrap();
        let config = &cases[0].config;
        assert_eq!((config.clock, config.detect_hang), (Some(ClockKind::Virtual), true));
    }
}
