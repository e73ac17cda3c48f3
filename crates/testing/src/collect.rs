//! From paths to cases: what `hako test` runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_machine::EngineChoice;

use crate::case::{Case, cases};
use crate::discover;
use crate::error::Error;
use crate::host::Host;
use crate::images::Images;
use crate::spec::Spec;

/// The cases of all tests in `paths` whose name contains `filter`, on `engine` or those that each test names. Every
/// faulty test is reported, not only the first.
pub fn collect(
    paths: &[PathBuf],
    engine: Option<EngineChoice>,
    filter: Option<&str>,
    images: &Images,
    host: &Host,
) -> Result<Vec<Case>, Vec<Error>> {
    let files = discover::files(paths).map_err(|e| vec![e])?;
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        let name = discover::name(&file);
        if filter.is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let made =
            Spec::load(&file).and_then(|spec| cases(&name, &Arc::new(spec), folder, engine, images, host));
        match made {
            Ok(cases) => all.extend(cases),
            Err(e) => errors.push(e),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if all.is_empty() {
        let place = paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        let filter = filter.map_or(String::new(), |filter| format!(" with a name containing \"{filter}\""));
        let place = if place.is_empty() { ".".into() } else { place };
        return Err(vec![Error::NoTest(place + &filter)]);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    const GOOD: &str = "image = \"a.img\"\n[final]\nexit = \"halt\"\n";

    #[test]
    fn tests_are_chosen_by_name_and_engine() {
        let folder = folder(&[("a.hako.toml", GOOD), ("b.hako.toml", GOOD), ("a.img", "x")]);
        let paths = [folder.path().to_path_buf()];
        let soft = Some(EngineChoice::Soft);
        let collect = |filter| collect(&paths, soft, filter, &Images::default(), &Host::hardware());
        assert_eq!(collect(None).unwrap().len(), 2);
        assert_eq!(collect(Some("/b")).unwrap().len(), 1);
        let e = collect(Some("zzz")).unwrap_err();
        assert!(e[0].status() == 4 && e[0].to_string().contains("zzz"), "{}", e[0]);
    }

    #[test]
    fn every_faulty_test_is_reported() {
        let files = [("a.hako.toml", "x = 1\n"), ("b.hako.toml", GOOD), ("c.hako.toml", "image = 1\n")];
        let folder = folder(&files);
        let e =
            collect(&[folder.path().into()], None, None, &Images::default(), &Host::hardware()).unwrap_err();
        assert_eq!(e.iter().map(Error::status).collect::<Vec<_>>(), [2, 4, 2]);
        assert!(e[1].to_string().contains("a.img"), "the image of b is missing: {}", e[1]);
    }
}
