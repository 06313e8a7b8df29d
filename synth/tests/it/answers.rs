//! What an engine answers, and what a job comes to: fewer images than asked for, none that can be used, none of a class.

use promptfed_synth::job::MANIFEST_FILE;
use promptfed_synth::{
    EngineInfo, Error, Generator, Image, ImageBudget, ImageRequest, JobSpec, Result,
};

use crate::fixtures::{Painter, rows, run_quietly, spec_for};

/// An engine that leaves out or adds images, from the `from`-th call on.
struct Careless {
    painter: Painter,
    calls: usize,
    from: usize,
    too_many: bool,
}

impl Generator for Careless {
    fn describe(&self) -> &EngineInfo {
        self.painter.describe()
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let mut images = self.painter.generate(requests)?;
        self.calls += 1;
        if self.calls >= self.from {
            if self.too_many {
                images.push(images[0].clone());
            } else {
                images.pop();
            }
        }
        Ok(images)
    }
}

#[test]
fn an_engine_that_gives_another_number_of_images_is_an_error() {
    for too_many in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut careless = Careless {
            painter: Painter::new(),
            calls: 0,
            from: 3,
            too_many,
        };
        let spec = JobSpec {
            batch: 4,
            ..spec_for(&Painter::new())
        };
        let error = run_quietly(&mut careless, &spec, dir.path()).unwrap_err();
        let given = if too_many { 5 } else { 3 };
        let text = format!("painter gave {given} images where 4 were asked for");
        assert!(
            matches!(error, Error::Backend { .. }) && error.to_string().contains(&text),
            "{error}"
        );
        // What was done before stays, and goes on with a sound engine.
        assert_eq!(rows(dir.path()).len(), 8);
        run_quietly(&mut Painter::new(), &spec, dir.path()).unwrap();
        assert_eq!(rows(dir.path()).len(), 20);
    }
}

#[test]
fn an_engine_that_gives_nothing_when_asked_again_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut careless = Careless {
        painter: Painter::spoiling(|_, values| values.fill(-1.0)),
        calls: 0,
        from: 2,
        too_many: false,
    };
    let error = run_quietly(&mut careless, &spec_for(&Painter::new()), dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("gave 0 images where 1"),
        "{error}"
    );
}

#[test]
fn a_job_without_an_image_is_a_failure_with_its_cause() {
    let dir = tempfile::tempdir().unwrap();
    let mut broken = Painter::spoiling(|_, values| values.fill(f32::NAN));
    let spec = spec_for(&broken);
    let error = run_quietly(&mut broken, &spec, dir.path()).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::NoImages { drawn: 20, .. }), "{told}");
    assert!(
        told.contains("80 draws held values that are not numbers; compute in f32"),
        "{told}"
    );
    assert_eq!(rows(dir.path()).len(), 20);
    // Also where the job is asked for again.
    assert!(run_quietly(&mut broken, &spec, dir.path()).is_err());
}

#[test]
fn a_class_without_an_image_is_a_failure_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut painter = Painter::spoiling(|request, values| {
        if request.prompt.contains("tool") {
            values.fill(-1.0);
        }
    });
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(2),
        ..spec_for(&painter)
    };
    let half = JobSpec {
        limit: Some(20),
        ..spec.clone()
    };
    assert!(
        run_quietly(&mut painter, &half, dir.path()).is_ok(),
        "unfinished"
    );
    let told = run_quietly(&mut painter, &spec, dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("no image of \"tool\" was accepted") && told.contains("of one colour"),
        "{told}"
    );
    assert!(dir.path().join(MANIFEST_FILE).exists());
}
