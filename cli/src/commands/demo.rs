//! `indelible demo`
pub(crate) fn run(
    _: &crate::context::Context,
    _: &crate::args::Demo,
) -> Result<crate::exit::Exit, crate::failure::Failure> {
    Ok(crate::exit::Exit::Done)
}
